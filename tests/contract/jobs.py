"""Jobs on both surfaces: submit, poll, wait for the end."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.contract.asking import completion, message
from tests.contract.process import Gateway, eventually
from tests.contract.wire import Answer, ask

DONE_WITHIN_S = 60.0
ANSWERED = ("succeeded", "failed", "cancelled")

PATHS = {"anthropic": "/anthropic/v1/messages", "openai": "/openai/chat/completions"}
BODIES: dict[str, Callable[..., dict[str, Any]]] = {"anthropic": message, "openai": completion}
BOTH = pytest.mark.parametrize("surface", list(PATHS))


def marked(surface: str, user: str, **changes: Any) -> dict[str, Any]:
    """A body whose call is found in the ledger under `user`."""
    mark = {"metadata": {"user_id": user}} if surface == "anthropic" else {"user": user}
    return BODIES[surface](**mark, **changes)


def submit(gateway: Gateway, surface: str, body: Any, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return ask(gateway.url, "POST", PATHS[surface], body, {"x-bf-async": "true", **named})


def poll(gateway: Gateway, surface: str, job: str, body: Any = b"", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return ask(gateway.url, "POST", PATHS[surface], body, {"x-bf-async-id": job, **named})


def polled(gateway: Gateway, surface: str, job: str, within_s: float = DONE_WITHIN_S) -> Answer:
    """The answer that ends the polling."""

    def look() -> Answer | None:
        answer = poll(gateway, surface, job)
        return answer if answer.status != 200 or answer.headers["x-bf-async-status"] in ANSWERED else None

    return eventually(look, within_s, f"job {job} is not done")
