"""Whatever a request holds, it is taken or refused with the place of what is wrong, and never takes long."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import event, given

from shared.dialects import DIALECTS
from shared.errors import CallerError
from tests.unit.fuzz.bodies import SURFACES, bodies
from tests.unit.fuzz.checks import is_header, is_json, names_the_place, told
from tests.unit.fuzz.headers import headers
from tests.unit.fuzz.often import often
from tests.unit.fuzz.pipeline import PROVIDERS, Way, simulated

EXAMPLES = 150


@pytest.mark.parametrize(("name", "operation"), SURFACES)
def test_every_request_is_answered_or_refused_with_the_place_of_what_is_wrong(
    way: Way, name: str, operation: str
) -> None:
    @often(EXAMPLES)
    @given(bodies(name, operation), headers)
    def follow(body: bytes, lines: list[tuple[str, str]]) -> None:
        try:
            job = way.take(name, operation, body, dict(lines))
        except CallerError as error:
            event("refused by the API process")
            names_the_place(DIALECTS[name], error)
            return
        for provider in PROVIDERS:
            provider_ = Provider(is_json(body, doubtful=False))
            ended = way.work(job, provider, body, provider_)
            event(f"{provider} {'sent' if provider_.asked else 'refused'}: {ended.outcome.status}")
            told(way, job, body, ended, well_formed=is_json(body, doubtful=False))
            assert ended.outcome.status < 500, ended.outcome.body

    follow()


class Provider:
    """The simulator, which looks at what it is sent."""

    def __init__(self, well_formed: bool) -> None:
        self.asked = 0
        self._well_formed = well_formed

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        assert not self._well_formed or is_json(request.content)
        for name, value in request.headers.raw:
            assert name
            assert is_header(value)
        return simulated(request)
