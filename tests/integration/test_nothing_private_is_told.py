"""Prompts, answers, keys and headers are in no log line, metric or trace, whatever goes wrong and however much is said.

All processes run at debug level. The second provider quotes everything it is sent in its errors.
"""

import json
import re
from pathlib import Path

import pytest

from tests.chaos.fleet import Fleet
from tests.contract.process import eventually
from tests.contract.wire import Answer, ask
from tests.integration.complainer import Complainer
from tests.integration.otlp import Collector

MESSAGES = "/anthropic/v1/messages"
CHAT = "/openai/v1/chat/completions"
BATCHES = MESSAGES + "/batches"
SOON_S = 60.0

PROMPT = "the-private-prompt-of-a-client"
HEADER = "the-private-header-of-a-client"
CLIENT_KEY = "the-private-key-of-a-client"
VIRTUAL_KEY = "sk-bf-the-private-virtual-key"
PROVIDER_KEYS = ("the-private-key-of-the-operator", "another-private-key-of-the-operator")
TRACEPARENT = "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"
HEADERS = {
    "x-api-key": CLIENT_KEY,
    "x-bf-vk": VIRTUAL_KEY,
    "x-bf-eh-x-note": HEADER,
    "cookie": HEADER,
    "traceparent": TRACEPARENT,
}


class Run:
    """A gateway, all that its processes said, and all that its clients heard."""

    def __init__(self, folder: Path, redis_url: str) -> None:
        self.folder = folder
        self.complainer, self.collector = Complainer(), Collector()
        anthropic = {"keys": [{"value": PROVIDER_KEYS[0]}]}
        openai = {"keys": [{"value": PROVIDER_KEYS[1]}], "network_config": {"base_url": self.complainer.url}}
        self.fleet = Fleet(
            folder,
            redis_url,
            providers={"anthropic": anthropic, "openai": openai},
            environment={
                "HERMOD_LOG_LEVEL": "debug",
                "HERMOD_LOG_FORMAT": "json",
                "OTEL_EXPORTER_OTLP_ENDPOINT": self.collector.url,
                "OTEL_BSP_SCHEDULE_DELAY": "100",
                "PYTHONASYNCIODEBUG": "1",
            },
        )
        self.heard: list[bytes] = []
        self.metrics = b""

    def ask(self, path: str, body: object, **headers: str) -> Answer:
        answer = ask(self.fleet.url, "POST", path, body, {**HEADERS, **headers})
        self.heard.append(answer.body)
        return answer

    def logs(self) -> str:
        said = (path.read_text() for path in self.folder.glob("*.log") if not path.name.startswith("simulator"))
        return "".join(said)

    def close(self) -> None:
        self.fleet.close()
        self.complainer.close()
        self.collector.close()


def body(model="claude", **more):
    return {"model": model, "max_tokens": 50, "messages": [{"role": "user", "content": PROMPT}], **more}


def everything(run: Run) -> None:
    """What clients do, and what can go wrong with it."""
    doomed = run.fleet.worker("answered=kill")
    job = run.ask(MESSAGES, body(), **{"x-bf-async": "true"}).headers["x-bf-job-id"]
    doomed.process.wait(SOON_S)
    worker = run.fleet.worker().until_ready()
    poll = {"x-bf-async-id": job, "x-bf-async-wait": "30"}
    assert run.ask(MESSAGES, b"", **poll).json["content"], "taken over"
    assert run.ask(MESSAGES, body()).status == 200
    assert b"message_stop" in run.ask(MESSAGES, body(stream=True)).body
    assert run.ask(CHAT, {"model": "anthropic/claude", "messages": [{"role": "user", "content": PROMPT}]}).status == 200
    assert run.ask(CHAT, body("gpt-4o")).status == 400, "quoted by the provider"
    assert run.ask(CHAT, body("gpt-4o", stream=True)).status == 400, "the same"
    assert run.ask(MESSAGES, body("openai/gpt-4o")).status == 400, "the same, translated"
    for model in ("sim-401", "sim-garbage", "sim-cut", "sim-stream-error", "sim-529-once"):
        run.ask(MESSAGES, body(model, stream=model == "sim-stream-error"))
    assert run.ask(MESSAGES, f'{{"model": "{PROMPT}'.encode()).status == 400, "not JSON"
    assert run.ask(MESSAGES, {"model": "claude", "messages": PROMPT}).status == 400, "not a request"
    assert run.ask(f"/{PROMPT}?key={CLIENT_KEY}", {}).status == 404
    assert run.ask(MESSAGES, body(), **{"x-bf-async": PROMPT}).status == 400
    batch = run.ask(BATCHES, {"requests": [{"custom_id": PROMPT, "params": body()}]}).json["id"]

    def ended() -> bool:
        return ask(run.fleet.url, "GET", f"{BATCHES}/{batch}", headers=HEADERS).json["processing_status"] == "ended"

    eventually(ended, SOON_S, "the batch does not end")
    run.metrics = ask(run.fleet.url, "GET", "/metrics").body
    # Its last spans are sent, its last lines written, when it has ended.
    assert worker.stop() == 0


@pytest.fixture(scope="module")
def run(tmp_path_factory, server):
    running = Run(tmp_path_factory.mktemp("run"), server.url)
    try:
        everything(running)
        yield running
    finally:
        running.close()


def answers(run: Run) -> set[str]:
    """The words of answers, as clients heard them."""
    messages = [json.loads(heard) for heard in run.heard if heard.startswith(b'{"')]
    texts = [message["content"][0]["text"] for message in messages if message.get("content")]
    assert texts, "the witness: somebody was answered"
    return set(texts)


def test_nothing_private_is_in_a_log_line_a_metric_or_a_trace(run):
    metrics = run.metrics.decode() + str(run.collector.metrics["hermod-worker"])
    said = {"logs": run.logs(), "metrics": metrics, "traces": run.collector.raw.decode("latin-1")}
    assert run.collector.spans
    received = "".join(f"{one.headers}{one.body!r}" for one in run.complainer.received)
    assert PROMPT in received, "the witness: the provider was told, and quotes it"
    assert PROVIDER_KEYS[1] in received, "the same"
    owners = {fields[b"owner"].decode() for fields in run.fleet.records().values() if b"owner" in fields} - {
        "anonymous"
    }
    assert owners, "the witness: there were callers"
    private = {PROMPT, HEADER, CLIENT_KEY, VIRTUAL_KEY, *PROVIDER_KEYS, *answers(run)}
    for where, text in said.items():
        for secret in private | (owners if where == "metrics" else set()):
            assert secret not in text, f"{secret} in {where}"


def test_no_client_hears_a_key_and_no_record_keeps_one(run):
    kept = b"".join(value for fields in run.fleet.records().values() for value in fields.values())
    for key in (*PROVIDER_KEYS, CLIENT_KEY, VIRTUAL_KEY):
        assert key.encode() not in b"".join(run.heard)
        assert key.encode() not in kept


def test_every_line_about_a_job_says_which_and_of_which_trace(run):
    lines = [json.loads(line) for line in run.logs().splitlines()]
    about_jobs = [line for line in lines if re.match(r"claimed:|ended:|job failed|anthropic |openai ", line["message"])]
    assert len(about_jobs) > 20
    for line in about_jobs:
        assert re.fullmatch(r"[0-9a-f-]{36}", line["job_id"]), line
    traced = [line for line in about_jobs if "trace_id" in line]
    assert {line["trace_id"] for line in traced} == {"ab" * 16}
    assert len(traced) > 15
    assert {line["level"] for line in lines} >= {"debug", "info"}
