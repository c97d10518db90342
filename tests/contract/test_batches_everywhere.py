"""Batches of either surface at every provider: the results are in the shape of who asked; and odd ones run through."""

import json
import uuid
from typing import Any

import anthropic
import openai
import pytest

from tests.contract.asking import GPT, message, turn
from tests.contract.process import Gateway, eventually
from tests.contract.wire import Answer, ask

PROVIDERS = ("anthropic", "openai", "azure", "gemini", "vertex", "ollama")
"""Those that the simulator plays without a credential; each has its own wire."""
EVERY = pytest.mark.parametrize("provider", PROVIDERS)
ENDPOINT = "/v1/chat/completions"
ENDS_WITHIN_S = 60.0
MB = 1_000_000


def claude_results(claude: anthropic.Anthropic, batch_id: str) -> dict[str, Any]:
    def look() -> Any:
        batch = claude.messages.batches.retrieve(batch_id)
        return batch if batch.processing_status == "ended" else None

    eventually(look, ENDS_WITHIN_S, "the batch has not ended")
    return {row.custom_id: row.result for row in claude.messages.batches.results(batch_id)}


def gpt_results(gpt: openai.OpenAI, batch_id: str) -> dict[str, Any]:
    def look() -> Any:
        batch = gpt.batches.retrieve(batch_id)
        return batch if batch.completed_at else None

    batch = eventually(look, ENDS_WITHIN_S, "the batch has not ended")
    files = [gpt.files.content(shown).text for shown in (batch.output_file_id, batch.error_file_id) if shown]
    rows = [json.loads(line) for text in files for line in text.splitlines()]
    return {row["custom_id"]: row["response"] for row in rows}


def lines(*bodies: dict[str, Any], ending: str = "\n") -> bytes:
    calls = [
        {"custom_id": f"r{number}", "method": "POST", "url": ENDPOINT, "body": body}
        for number, body in enumerate(bodies)
    ]
    return ending.join(json.dumps(call, ensure_ascii=False) for call in calls).encode()


def submitted(gpt: openai.OpenAI, content: bytes, **more: Any) -> str:
    file = gpt.files.create(file=("b.jsonl", content), purpose="batch")
    return gpt.batches.create(input_file_id=file.id, endpoint=ENDPOINT, completion_window="24h", **more).id


@EVERY
def test_anthropics_requests_run_at_every_provider_and_come_back_as_messages(claude: anthropic.Anthropic, provider):
    asked = [
        {"custom_id": f"r{number}", "params": message(model="m", messages=turn(f"{number} ä"))} for number in (0, 1)
    ]
    batch = claude.messages.batches.create(requests=asked, extra_headers={"x-model-provider": provider})
    results = claude_results(claude, batch.id)
    assert sorted(results) == ["r0", "r1"]
    for number in (0, 1):
        answer = results[f"r{number}"].message
        assert (answer.type, answer.role, answer.stop_reason) == ("message", "assistant", "end_turn")
        assert f"{number} ä" in answer.content[0].text
        assert answer.usage.output_tokens > 0


@EVERY
def test_openais_lines_run_at_every_provider_and_come_back_as_completions(gpt: openai.OpenAI, provider):
    bodies = [{"model": "m", "messages": turn(f"{number} ä")} for number in (0, 1)]
    results = gpt_results(gpt, submitted(gpt, lines(*bodies), extra_headers={"x-model-provider": provider}))
    assert sorted(results) == ["r0", "r1"]
    for number in (0, 1):
        answer = results[f"r{number}"]["body"]
        assert (results[f"r{number}"]["status_code"], answer["object"]) == (200, "chat.completion")
        assert f"{number} ä" in answer["choices"][0]["message"]["content"]
        assert answer["usage"]["completion_tokens"] > 0


def test_one_batch_may_go_to_every_provider(claude: anthropic.Anthropic, gpt: openai.OpenAI):
    models = [f"{provider}/m" for provider in PROVIDERS]
    asked = [{"custom_id": f"r{number}", "params": message(model=model)} for number, model in enumerate(models)]
    found = claude_results(claude, claude.messages.batches.create(requests=asked).id)
    assert [found[f"r{number}"].type for number in range(len(models))] == ["succeeded"] * len(models)
    bodies = [{"model": model, "messages": turn()} for model in models]
    results = gpt_results(gpt, submitted(gpt, lines(*bodies)))
    assert [results[f"r{number}"]["status_code"] for number in range(len(models))] == [200] * len(models)


# --- odd ones --------------------------------------------------------------------------------------------

BAD_PARAMS: list[Any] = [
    {},
    {"model": 5},
    {"model": GPT},
    {"model": GPT, "messages": "text"},
    {"model": "", "messages": []},
]


def test_a_bad_item_is_an_errored_result_and_spoils_no_other(claude: anthropic.Anthropic, gpt: openai.OpenAI):
    params = [*({"max_tokens": 10, **one} for one in BAD_PARAMS), message(max_tokens="x"), message(stream=True)]
    asked = [{"custom_id": f"r{number}", "params": one} for number, one in enumerate([*params, message()])]
    found = claude_results(claude, claude.messages.batches.create(requests=asked).id)
    last = f"r{len(params)}"
    assert {name: result.type for name, result in found.items()} == {
        f"r{number}": "errored" for number in range(len(params))
    } | {last: "succeeded"}
    for name in found.keys() - {last}:
        assert (found[name].error.type, found[name].error.error.type) == ("error", "invalid_request_error")
        assert found[name].error.error.message
    bodies = [*BAD_PARAMS, {"model": GPT, "messages": turn(), "stream": True}]
    results = gpt_results(gpt, submitted(gpt, lines(*bodies, {"model": GPT, "messages": turn()})))
    assert [results[f"r{number}"]["status_code"] for number in range(len(bodies) + 1)] == [400] * len(bodies) + [200]
    for number in range(len(bodies)):
        assert results[f"r{number}"]["body"]["error"]["message"]


def test_an_item_of_10_megabytes_runs_on_both_surfaces(claude: anthropic.Anthropic, gpt: openai.OpenAI):
    large = uuid.uuid4().hex + "y" * (10 * MB)
    asked = [
        {"custom_id": f"r{number}", "params": message(messages=turn(text))} for number, text in enumerate(("a", large))
    ]
    found = claude_results(claude, claude.messages.batches.create(requests=asked).id)
    assert [found[name].type for name in ("r0", "r1")] == ["succeeded", "succeeded"]
    bodies = [{"model": GPT, "messages": turn(text)} for text in ("a", large)]
    results = gpt_results(gpt, submitted(gpt, lines(*bodies, ending="\r\n")))
    assert [results[name]["status_code"] for name in ("r0", "r1")] == [200, 200]


def results_of(gateway: Gateway, batch_id: str) -> Answer:
    return ask(gateway.url, "GET", f"/anthropic/v1/messages/batches/{batch_id}/results")


def test_results_are_lines_for_whoever_cuts_them(gateway: Gateway, claude: anthropic.Anthropic):
    """Python's `str.splitlines` cuts at more than line feeds."""
    odd = "a\u2028b\u2029c\x85d"
    asked = [{"custom_id": f"r{number}", "params": message(messages=turn(odd))} for number in range(3)]
    batch = claude.messages.batches.create(requests=asked)
    assert len(claude_results(claude, batch.id)) == 3
    text = results_of(gateway, batch.id).body.decode()
    rows = [json.loads(line) for line in text.splitlines()]
    assert [row["custom_id"] for row in rows] == ["r0", "r1", "r2"]
    assert all(odd in row["result"]["message"]["content"][0]["text"] for row in rows)
