"""`/openapi.json` says what is served, no more and no less, and what is served does as it says."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
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
from tests.integration.test_jobs_surface import until
from tests.receiver import Receiver
from tests.security.place import OWNER, TOKEN, Place, body_of, running
from tests.security.routes import TABLE, Who
from tests.security.test_routes import asked, made_for

ROOT = Path(__file__).parents[2]
EXAMPLES = 4
"""Requests for each operation."""
CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]

CALLER = frozenset({"virtualKey", "bearer", "x-api-key", "x-goog-api-key", "api-key"})
OPERATOR = frozenset({"adminToken", "session"})
LET_IN = {
    **dict.fromkeys(("open", "sign-in"), frozenset[str]()),
    **dict.fromkeys(("own", "thing", "model", "native", "native thing"), CALLER),
    **dict.fromkeys(("cache", "cached"), CALLER | {"adminToken"}),
    **dict.fromkeys(("console", "sign-out", "admin"), OPERATOR),
}
"""What opens a route, by its kind in the table of routes."""
OURS = re.compile(r"x-.*|request-id|retry-after.*|accept-ranges|content-range|content-disposition|location")
"""Headers of answers that the document must name; the others are of HTTP itself."""
OF_HTTP = {"x-content-type-options", "x-frame-options"}
UNTOLD = {"x-stainless-retry-count", "x-stainless-timeout", "x-bf-", "x-bf-eh-"}
"""What the SDKs say of themselves, and beginnings of names."""


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


@pytest.mark.parametrize(("method", "path"), sorted(TABLE), ids=lambda value: value)
def test_who_may_call_is_who_is_let_in(method: str, path: str):
    security = OPERATIONS[method, re.sub(r":\w+}", "}", path)]["security"]
    expected = {"adminToken"} if path == "/metrics" else LET_IN[TABLE[method, path]]
    assert {scheme for way in security for scheme in way} == expected


def test_every_header_that_the_source_or_the_readme_names_is_in_it_and_each_is_a_routes():
    sources = [file for folder in ("api", "shared", "worker") for file in (ROOT / folder).rglob("*.py")]
    text = "".join(file.read_text() for file in sources if not file.name.startswith("openapi"))
    named = set(re.findall(r'"(x-(?:bf|model|should|stainless)-[a-z-]*)"', text))
    named |= set(re.findall(r"`(x-(?:bf|model)-[a-z-]+)", (ROOT / "README.md").read_text()))
    components = DOCUMENT["components"]
    schemes = {scheme["name"] for scheme in components["securitySchemes"].values() if "name" in scheme}
    assert named - UNTOLD <= schemes | set(components["parameters"]) | set(components["headers"])
    written = str([DOCUMENT["paths"], components["responses"]])
    unused = [
        f"{kind}/{name}"
        for kind in ("parameters", "headers")
        for name in components[kind]
        if f"'#/components/{kind}/{name}'" not in written
    ]
    assert not unused


@pytest.mark.parametrize(("method", "path"), sorted(TABLE), ids=lambda value: value)
def test_what_is_done_to_a_real_thing_is_told_as_it_says(place: Place, method: str, path: str):
    operation = OPERATIONS[method, re.sub(r":\w+}", "}", path)]
    name, more = made_for(place, path)
    concrete = path.partition("{")[0] + name + path.partition("}")[2]
    is_operators = LET_IN[TABLE[method, path]] in (OPERATOR, CALLER | {"adminToken"})
    who = Who.ADMIN if is_operators else Who.OWNER
    for asker in (Who.NOBODY, who):
        check(asked(place, method, concrete, asker, more), operation)


def check(answer: httpx.Response, operation: dict[str, Any]) -> None:
    """That the document tells of such an answer: its status, its type, its headers and its body."""
    responses = operation["responses"]
    told = found(responses.get(str(answer.status_code)) or responses[f"{answer.status_code // 100}XX"])
    ours = {header for header in answer.headers if OURS.fullmatch(header)} - OF_HTTP
    assert ours <= set(told.get("headers", {}))
    media = answer.headers.get("content-type", "").partition(";")[0]
    content = told["content"]
    assert answer.status_code == 303 or (not content and not answer.content) or {media, "*/*"} & set(content)
    if schema := content.get("application/json", {}).get("schema"):
        whole = {**schema, "components": DOCUMENT["components"]}
        Draft202012Validator(whole).validate(answer.json())


def found(value: dict[str, Any]) -> dict[str, Any]:
    """The component that a reference names, or the thing itself."""
    if "$ref" not in value:
        return value
    kind, name = value["$ref"].removeprefix("#/components/").split("/")
    return DOCUMENT["components"][kind][name]


@pytest.mark.parametrize("ending", ["tried out", "a job's", "a batch's"])
def test_an_event_is_told_as_it_says(place: Place, ending: str):
    with Receiver() as receiver:
        name = f"w{receiver.port}"
        place.admin("webhooks", name=name, url=receiver.url, allow_private_network=True)
        headers = {"x-bf-async-webhook": name}
        if ending == "tried out":
            place.admin(f"webhooks/{name}/test")
        elif ending == "a job's":
            headers["x-bf-async"] = "true"
            place.ask("POST", "/v1/responses", OWNER, json=body_of("/responses"), headers=headers)
        else:
            body = {"requests": [{"custom_id": "one", "params": body_of("/messages")}]}
            place.ask("POST", "/anthropic/v1/messages/batches", OWNER, json=body, headers=headers)
        until(lambda: receiver.received)
    event = receiver.received[0]
    operation = DOCUMENT["webhooks"][event.json["type"]]["post"]
    assert event.json["event"] in DOCUMENT["webhooks"]
    assert {header for header in event.headers if header.startswith("webhook-")} == {
        parameter["name"] for parameter in operation["parameters"]
    }
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    Draft202012Validator({**schema, "components": DOCUMENT["components"]}).validate(event.json)


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
