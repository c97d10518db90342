"""The ledger tells what reached the provider."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest

from deploy.probes import until
from tests.unit.simulator.questions import CHAT, EMBEDDINGS, HEADERS, MESSAGES, RESPONSES, asked, put


def test_a_call_is_noted_without_its_key(http):
    http.post(MESSAGES, json=asked("noted", metadata={"user_id": "ann"}), headers={"anthropic-beta": "b-1"})
    http.post(CHAT, json=asked("noted", safety_identifier="ann", stream=True))
    first, second = http.get("/__ledger", params={"user": "ann"}).json()["entries"]
    assert (first["path"], first["model"], first["status"], first["stream"]) == (MESSAGES, "noted", 200, False)
    assert (second["path"], second["finished"], second["aborted"], second["stream"]) == (CHAT, True, False, True)
    assert first["headers"]["anthropic-beta"] == "b-1"
    assert "authorization" in first["headers"]["names"]
    assert len(first["key_hash"]) == 12
    assert "sk-test" not in json.dumps([first, second])
    later = http.get("/__ledger", params={"user": "ann", "since": first["n"]}).json()["entries"]
    assert [entry["n"] for entry in later] == [second["n"]]


def test_responses_and_embeddings_are_noted(http):
    http.post(RESPONSES, json=put("noted", user="bob", stream=True))
    http.post(RESPONSES, json=put("noted", safety_identifier="bob"))
    http.post(f"{RESPONSES}/input_tokens", json=put("noted", user="bob"))
    http.post(EMBEDDINGS, json=put("noted", user="bob"))
    entries = http.get("/__ledger", params={"user": "bob"}).json()["entries"]
    paths = [RESPONSES, RESPONSES, f"{RESPONSES}/input_tokens", EMBEDDINGS]
    assert [(entry["path"], entry["stream"]) for entry in entries] == list(
        zip(paths, [True, False, False, False], strict=True)
    )
    assert {(entry["model"], entry["status"], entry["finished"]) for entry in entries} == {("noted", 200, True)}


def test_a_refused_call_is_noted_too(http):
    since = http.get("/__ledger").json()["last"]
    http.get("/nowhere")
    http.post(CHAT, content=b"{")
    entries = http.get("/__ledger", params={"since": since}).json()["entries"]
    assert [entry["status"] for entry in entries] == [404, 400]


@pytest.mark.parametrize("model", ["sim-latency-60000", "sim-rate-1+words-1000"])
async def test_a_client_that_goes_away_is_noticed(url, model):
    async with httpx.AsyncClient(base_url=url, headers=HEADERS) as client:
        body = asked(model, user=model, stream=True)
        call = asyncio.create_task(client.post(CHAT, json=body))

        async def count(what: str) -> bool:
            return (await client.get("/__ledger/count", params={"user": model})).json()[what] == 1

        assert await until(lambda: count("count"), within_s=60)
        call.cancel()
        assert await until(lambda: count("aborted"), within_s=60)
        assert not await count("finished")


def test_a_reset_forgets_calls_and_faults(http):
    body = asked("sim-500-once", user="reset")
    assert http.post(CHAT, json=body).status_code == 500
    http.post("/__reset")
    assert http.get("/__ledger/count").json() == {"count": 0, "finished": 0, "aborted": 0}
    assert http.post(CHAT, json=body).status_code == 500
