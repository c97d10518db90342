"""`/openapi.json` says what is served, no more and no less, and what is served does as it says."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from jsonschema import Draft202012Validator
from litestar import Litestar
from litestar.exceptions import LitestarDeprecationWarning
from schemathesis import checks

from api.app import build_app
from api.openapi import document
from shared.settings import ObjectStoreSettings, Settings
from tests.security.place import OWNER, TOKEN, Place, running

EXAMPLES = 4
"""Requests for each operation."""
CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]


def the_app() -> Litestar:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LitestarDeprecationWarning)  # of path parameters; the process says it too
        return build_app(Settings(object_store=ObjectStoreSettings(path="unused")))


APP = the_app()
DOCUMENT = document(APP)
OPERATIONS = {
    (method.upper(), path): facts for path, found in DOCUMENT["paths"].items() for method, facts in found.items()
}


@pytest.fixture(scope="module")
def place(server, tmp_path_factory) -> Iterator[Place]:
    with running(server.url, tmp_path_factory.mktemp("openapi")) as place:
        yield place


def test_every_route_is_described_and_every_description_is_a_route():
    served = {
        (method, re.sub(r":\w+}", "}", route.path))
        for route in APP.routes
        for method in getattr(route, "methods", ("ANY",))
        if method != "OPTIONS"
    }
    assert served == set(OPERATIONS)


def test_what_is_served_is_this_document(place: Place):
    answer = place.api.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == DOCUMENT


def test_every_reference_leads_somewhere_and_every_schema_is_one():
    def references(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            yield from [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            for inner in value.values():
                yield from references(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from references(inner)

    for reference in set(references(DOCUMENT)):
        found: Any = DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    ids = [facts["operationId"] for facts in OPERATIONS.values()]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=[" ".join(key) for key in OPERATIONS])
def test_an_operation_says_what_it_is_for_and_how_it_fails(operation: dict[str, Any]):
    assert operation["summary"].strip()
    assert {"400", "404", "500"} <= set(operation["responses"])
    assert operation["security"] == [] or {"401", "403"} <= set(operation["responses"])


def _with_keys(context: Any, case: Any) -> None:  # noqa: ARG001 - the hook's signature
    path = case.operation.path
    key = TOKEN if path.startswith(("/admin", "/api", "/console", "/metrics")) else OWNER
    case.headers = {**(case.headers or {}), "Authorization": f"Bearer {key}"}
    if case.headers.get("Prefer"):
        case.headers["Prefer"] = "wait=0"
    case.headers.pop("x-bf-async-wait", None)


SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)


@SCHEMA.parametrize()
@settings(
    max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
def test_what_is_served_does_as_it_says(case: Any, place: Place):
    _with_keys(None, case)
    response = case.call(base_url=f"http://127.0.0.1:{place.port}", timeout=30)
    case.validate_response(response, checks=CHECKS)
