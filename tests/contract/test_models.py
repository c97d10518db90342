"""The lists of models, on both surfaces."""

from urllib.parse import quote

import anthropic
import openai
import pytest

from tests.contract.process import Gateway
from tests.contract.wire import ask


def test_anthropics_list_holds_every_providers_models(claude: anthropic.Anthropic):
    names = [model.id for model in claude.models.list()]
    assert any("/" not in name for name in names)
    assert any(name.startswith("openai/") for name in names)
    assert len(names) == len(set(names))


def test_anthropics_list_comes_in_pages(claude: anthropic.Anthropic):
    whole = [model.id for model in claude.models.list(limit=1000)]
    first = claude.models.list(limit=2)
    assert len(first.data) == 2
    assert first.has_more
    assert [model.id for model in first] == whole


def test_openais_list_holds_every_providers_models(gpt: openai.OpenAI):
    names = [model.id for model in gpt.models.list()]
    assert any("/" not in name for name in names)
    assert any(name.startswith("anthropic/") for name in names)
    assert len(names) == len(set(names))


def test_every_listed_model_can_be_retrieved(claude: anthropic.Anthropic, gpt: openai.OpenAI):
    for client in (claude, gpt):
        for model in client.models.list():
            assert client.models.retrieve(model.id).id == model.id


@pytest.mark.parametrize("surface", ["/anthropic/v1", "/openai", "/openai/v1"])
def test_an_id_may_be_raw_or_percent_encoded(gateway: Gateway, surface):
    listed = ask(gateway.url, "GET", f"{surface}/models").json["data"]
    name = next(model["id"] for model in listed if "/" in model["id"])
    for written in (name, quote(name, safe="")):
        answer = ask(gateway.url, "GET", f"{surface}/models/{written}")
        assert (answer.status, answer.json["id"]) == (200, name)


def test_a_model_that_does_not_exist_is_not_found(claude: anthropic.Anthropic, gpt: openai.OpenAI):
    with pytest.raises(anthropic.NotFoundError):
        claude.models.retrieve("no-such-model")
    with pytest.raises(openai.NotFoundError):
        gpt.models.retrieve("no-such-model")
