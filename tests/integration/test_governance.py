"""Virtual keys with real processes: permissions, windows, budgets, revocation, and books that agree with the ledger.

Every call has the same size and answer, so each costs the same: what was spent is a number of calls, exactly.
"""

import contextlib
import json
import random
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from shared.governance_meters import METER
from tests.integration.test_jobs_surface import WITHIN_S, answers, environment, hermod, until, written
from tests.ports import free_port

FINAL = {"succeeded", "failed", "cancelled", "expired"}
TOKEN = "an-admin-token-of-tests"
ADMIN = {"authorization": f"Bearer {TOKEN}"}
PRICE = {"input": 1000.0, "output": 1000.0}  # US dollars per million tokens: a call costs some cents
MODEL = "claude-x"
EMBEDDING = "text-embedding-3-small"
NANO = 1_000_000_000

BUDGET = [{"max_limit": 1000, "reset_duration": "1d"}]
CONFIGURED = [
    {"name": "free", "value": "sk-bf-free"},
    {
        "name": "picky",
        "value": "sk-bf-picky",
        "provider_configs": [
            {"provider": "anthropic", "allowed_models": [MODEL, "claude-y"], "blacklisted_models": ["claude-y"]}
        ],
    },
    {"name": "keyed", "value": "sk-bf-keyed", "provider_configs": [{"provider": "anthropic", "key_ids": ["second"]}]},
    {"name": "old", "value": "sk-bf-old", "expires_at": "2020-01-01T00:00:00Z"},
]


@dataclass
class Place:
    """The processes that run for all tests of this file, and how to start workers."""

    api: httpx.Client
    simulator: httpx.Client
    redis: redis.Redis
    folder: Path
    document: dict[str, Any]

    def worker(self, slots: int = 20) -> subprocess.Popen[bytes]:
        """Start one; it may not be ready yet."""
        leases = {"slots": slots, "lease_s": 5, "renew_s": 0.5, "grace_s": 1, "metrics_port": 0}
        config = self.folder / f"worker-{slots}.json"
        if not config.exists():  # another worker may be reading it
            written(config, {**self.document, "worker": leases})
        arguments = ("worker", "--config", str(config), "--data-dir", str(self.folder))
        return subprocess.Popen([sys.executable, "-P", "-m", "deploy.cli", *arguments], env=environment())

    @contextlib.contextmanager
    def workers(self, number: int = 1, slots: int = 20) -> Iterator[list[subprocess.Popen[bytes]]]:
        running = [self.worker(slots) for _ in range(number)]
        try:
            until(lambda: self.api.get("/health").json().get("workers") == number)
            yield running
        finally:
            for process in running:
                process.terminate()
            for process in running:
                try:
                    process.wait(WITHIN_S)
                finally:
                    process.kill()

    def admin(self, method: str, path: str, **body: Any) -> Any:
        answer = self.api.request(method, f"/admin/{path}", headers=ADMIN, json=body or None)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def key(self, **facts: Any) -> tuple[str, str]:
        """Id and value of a new key."""
        made = self.admin("POST", "virtual-keys", **{"name": str(uuid.uuid4()), **facts})
        return made["id"], made["value"]

    def budget(self, key_id: str) -> dict[str, Any]:
        return self.admin("GET", f"virtual-keys/{key_id}")["budgets"][0]

    def ask(self, key: str, model: str = MODEL, **more: Any) -> httpx.Response:
        return self.api.post("/anthropic/v1/messages", headers=headers(key, more), json=question(model, **more))

    def submit(self, key: str, model: str = MODEL, **more: Any) -> str:
        answer = self.ask(key, model, **more, async_=True)
        assert answer.status_code == 200, answer.text
        return answer.json()["id"]

    def job(self, key: str, job_id: str) -> dict[str, Any]:
        return self.api.get(f"/v1/jobs/{job_id}", headers={"x-bf-vk": key}).json()

    def ended(self, key: str, job_id: str) -> dict[str, Any]:
        return until(lambda: (job := self.job(key, job_id)).get("status") in FINAL and job)

    def calls(self) -> list[dict[str, Any]]:
        return [
            call
            for call in self.simulator.get("/__ledger", params={"limit": 100_000}).json()["entries"]
            if call["method"] == "POST"
        ]


def headers(key: str, more: dict[str, Any]) -> dict[str, str]:
    return {"x-bf-vk": key, **({"x-bf-async": "true"} if more.pop("async_", False) else {})}


def question(model: str = MODEL, **more: Any) -> dict[str, Any]:
    user = {"metadata": {"user_id": str(uuid.uuid4())}}
    return {"model": model, "max_tokens": 20, "messages": [{"role": "user", "content": "Hello!"}], **user, **more}


def cost(answer: dict[str, Any]) -> int:
    """Nano-dollars."""
    usage = answer["usage"]
    return round((usage["input_tokens"] + usage["output_tokens"]) * PRICE["input"] / 1e6 * NANO)


@pytest.fixture(scope="module")
def running(server, tmp_path_factory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("governance")
    simulator = f"http://127.0.0.1:{(port := free_port())}"
    with hermod("simulate", "--port", str(port)):
        until(lambda: answers(f"{simulator}/__health"))
        address = {"base_url": simulator, "retry_backoff_initial": 20}
        listing = {"name": "listing", "value": "k3", "models": ["claude-both", "claude-short"]}
        providers = {
            "anthropic": {
                "keys": [
                    {"name": "first", "value": "k1"},
                    {"name": "second", "value": "k2"},
                    {**listing, "aliases": {"claude-short": MODEL}},
                ],
                "network_config": address,
            },
            "openai": {
                "keys": [{"name": "only", "value": "k"}, listing],
                "network_config": {**address, "base_url": f"{simulator}/v1"},
            },
        }
        models = [
            MODEL,
            "claude-y",
            "sim-latency-150",
            "sim-latency-1000",
            "sim-500-once",
            "sim-500",
            "sim-latency-4000",
            "sim-words-500+rate-1000+cut-stream",
        ]
        document = {
            "governance": {"virtual_keys": CONFIGURED},
            "providers": providers,
            "prices": {**{f"anthropic/{model}": PRICE for model in models}, f"openai/{EMBEDDING}": PRICE},
            "cache": {"provider": "openai", "embedding_model": EMBEDDING},
            "admin": {"token": TOKEN},
            "redis": {"url": server.url},
        }
        address = ("--port", str(free_port()), "--data-dir", str(folder))
        url = f"http://127.0.0.1:{address[1]}"
        with hermod("api", "--config", written(folder / "api.json", document), *address):
            until(lambda: answers(f"{url}/health"))
            api, sim = httpx.Client(base_url=url, timeout=WITHIN_S), httpx.Client(base_url=simulator, timeout=WITHIN_S)
            place = Place(api, sim, redis.Redis.from_url(server.url), folder, document)
            yield place
            api.close()
            sim.close()
            place.redis.close()


@pytest.fixture
def place(running) -> Place:
    running.redis.flushall()
    running.simulator.post("/__reset")
    return running


def used(place: Place, key_id: str, kind: str = "cost", period: str = "1d") -> dict[str, int]:
    found = place.redis.hgetall(f"{METER}vk:{key_id}:{kind}:{period}")
    return {name.decode(): int(value) for name, value in found.items()}


def settled(place: Place, key_id: str) -> dict[str, int]:
    """The budget's meter once nothing of it is held."""
    return until(lambda: (book := used(place, key_id)) and book.get("held", 0) == 0 and book)


# --- who may do what --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "model", "status", "code"),
    [
        ("sk-bf-free", MODEL, 200, None),
        ("sk-bf-free", "openai/gpt-4o", 200, None),
        ("sk-bf-picky", MODEL, 200, None),
        ("sk-bf-picky", f"anthropic/{MODEL}", 200, None),
        ("sk-bf-picky", "claude-y", 403, "model_blocked"),
        ("sk-bf-picky", "claude-z", 403, "model_blocked"),
        ("sk-bf-picky", "openai/gpt-4o", 403, "provider_blocked"),
        ("sk-bf-old", MODEL, 403, "access_blocked"),
        ("sk-bf-nobody", MODEL, 401, "virtual_key_unknown"),
    ],
)
def test_a_key_may_do_what_it_says_on_every_surface(place, key, model, status, code):
    asked = question(model)
    with place.workers() if status == 200 else contextlib.nullcontext():
        answer = place.ask(key, model)
        assert answer.status_code == status, answer.text
        if code:
            assert answer.json()["error"]["details"]["error_code"] == code
        name = model if "/" in model else f"anthropic/{model}"
        chat = {**question(name), "max_tokens": 20}
        chat.pop("metadata")
        answer = place.api.post("/v1/chat/completions", headers={"x-bf-vk": key}, json=chat)
        assert answer.status_code == status, answer.text
        if code:
            assert answer.json()["error"]["code"] == code
            assert place.ask(key, model, async_=True).status_code == status
            fallback = place.ask(key, MODEL, fallbacks=[name])
            assert fallback.status_code == status, "a fallback is no way around"
            assert not place.calls()
    assert asked["model"] == model


def test_models_that_a_key_may_not_use_are_not_listed(place):
    def listed(key: str, path: str) -> set[str]:
        answer = place.api.get(path, headers={"x-bf-vk": key})
        assert answer.status_code == 200, answer.text
        assert "x-bf-models-missing" not in answer.headers
        return {model["id"] for model in answer.json()["data"]}

    configs = [{"provider": "openai"}, {"provider": "anthropic", "key_ids": ["third"]}]
    _, unkeyed = place.key(provider_configs=configs)
    with place.workers():
        every = listed("sk-bf-free", "/v1/models")
        assert {name.partition("/")[0] for name in every} == {"anthropic", "openai"}
        own = sorted(name for name in every if name.startswith("anthropic/"))
        config = {"provider": "anthropic", "blacklisted_models": [own[0].removeprefix("anthropic/")]}
        _, value = place.key(provider_configs=[config])
        assert listed(value, "/v1/models") == set(own[1:])
        assert listed(value, "/anthropic/v1/models?limit=1000") == {name.removeprefix("anthropic/") for name in own[1:]}
        assert listed("sk-bf-picky", "/v1/models") == set(), "of what it may use the provider lists nothing"
        assert {name.partition("/")[0] for name in listed(unkeyed, "/v1/models")} == {"openai"}
        head = {"x-bf-vk": value}
        assert place.api.get(f"/v1/models/{own[1]}", headers=head).status_code == 200
        assert place.api.get(f"/v1/models/{own[0]}", headers=head).status_code == 404


@pytest.mark.parametrize("path", ["/v1/models", "/openai/v1/models", "/anthropic/v1/models", "/v1/models/openai/a"])
def test_a_list_of_models_that_nobody_made_in_time_is_an_error_in_the_words_of_the_surface(place, path):
    def late() -> bool:
        jobs = list(place.redis.scan_iter("hermod:job:*"))
        return any(place.redis.hset(job, "deadline", 1) == 0 for job in jobs)

    with ThreadPoolExecutor() as pool:
        asked = pool.submit(place.api.get, path, headers={"x-bf-vk": "sk-bf-free"})
        until(late)
        with place.workers():
            answer = asked.result(WITHIN_S)
    assert answer.status_code == 504, answer.text
    assert "its deadline passed" in answer.json()["error"]["message"]


def test_each_line_of_a_batch_is_checked_when_it_runs(place):
    lines = [("ok", MODEL), ("not", "claude-z"), ("nor", "openai/gpt-4o")]
    requests = [{"custom_id": name, "params": question(model)} for name, model in lines]
    with place.workers():
        found = results(place, "sk-bf-picky", requests)
    assert found["ok"]["result"]["type"] == "succeeded"
    for name, code in (("not", "model_blocked"), ("nor", "provider_blocked")):
        assert found[name]["result"]["error"]["error"]["details"]["error_code"] == code
    assert {call["model"] for call in place.calls()} == {MODEL}


def test_a_limited_key_cannot_have_a_batch_run_where_nobody_checks_its_lines(place):
    body = {"requests": [{"custom_id": "a", "params": question()}]}
    for key, status in (("sk-bf-picky", 403), ("sk-bf-free", 200)):
        head = {"x-bf-vk": key, "x-bf-batch-mode": "native"}
        answer = place.api.post("/anthropic/v1/messages/batches", headers=head, json=body)
        assert answer.status_code == status, answer.text


def test_a_key_that_names_provider_keys_is_served_by_them_alone(place):
    with place.workers():
        for _ in range(8):
            assert place.ask("sk-bf-keyed").status_code == 200
        assert place.ask("sk-bf-free").status_code == 200
        keys = {call["key_hash"] for call in place.calls()[:8]}
    assert len(keys) == 1


def results(place: Place, key: str, requests: list[dict[str, Any]]) -> dict[str, Any]:
    """By custom_id, once the batch has ended."""
    head = {"x-bf-vk": key}
    path = "/anthropic/v1/messages/batches"
    made = place.api.post(path, headers=head, json={"requests": requests})
    assert made.status_code == 200, made.text
    place_of_it = f"{path}/{made.json()['id']}"
    until(lambda: place.api.get(place_of_it, headers=head).json()["processing_status"] == "ended")
    lines = place.api.get(f"{place_of_it}/results", headers=head).text.splitlines()
    return {line["custom_id"]: line for line in map(json.loads, lines)}


# --- keys that come and go --------------------------------------------------------------------------------


def test_a_key_is_shown_once_and_kept_as_a_hash(place):
    key_id, value = place.key()
    with place.workers():
        assert place.ask(value).status_code == 200
    everything = json.dumps(place.admin("GET", "virtual-keys"))
    assert key_id in everything
    assert value not in everything
    kept = place.redis.hgetall("hermod:governance:keys")
    assert kept
    assert value.encode() not in b"".join((*kept, *kept.values()))


def test_a_revoked_key_is_refused_within_a_second_and_so_are_its_queued_jobs(place):
    key_id, value = place.key()
    waiting = place.submit(value)
    with place.workers():
        place.ended(value, place.submit(value))
    later = [place.submit(value) for _ in range(3)]
    place.admin("POST", f"virtual-keys/{key_id}/revoke")
    assert place.ask(value).status_code == 403
    with place.workers():
        states = until(lambda: ends(place, [waiting, *later]))
    assert states == ["succeeded", "failed", "failed", "failed"]
    codes = {json.loads(outcome(place, job))["error"]["details"]["error_code"] for job in later}
    assert codes == {"access_blocked"}
    assert len(place.calls()) == 2


def ends(place: Place, jobs: list[str]) -> list[str] | None:
    states = [place.redis.hget(f"hermod:job:{job}", "state").decode() for job in jobs]
    return states if set(states) <= FINAL else None


def outcome(place: Place, job: str) -> bytes:
    packed = place.redis.hget(f"hermod:job:{job}", "outcome")
    return packed[packed.index(b'{"') : packed.rindex(b"}") + 1]


def test_a_key_that_is_revoked_in_the_middle_of_a_batch_runs_no_more_of_it(place):
    key_id, value = place.key()
    requests = [{"custom_id": f"i{n}", "params": question("sim-latency-1000")} for n in range(900)]
    path, head = "/anthropic/v1/messages/batches", {"x-bf-vk": value, "x-bf-batch-mode": "direct"}
    with place.workers():
        made = place.api.post(path, headers=head, json={"requests": requests})
        assert made.status_code == 200, made.text
        until(lambda: len(place.calls()) >= 40)
        place.admin("POST", f"virtual-keys/{key_id}/revoke")
        [record] = until(lambda: place.redis.keys("hermod:batch:*"))
        until(lambda: place.redis.hget(record, "state") == b"completed")
    counts = {name: int(place.redis.hget(record, name) or 0) for name in ("succeeded", "errored")}
    print(f"\nrevoked mid-batch: {counts}")
    assert sum(counts.values()) == 900
    assert counts["succeeded"] == len(place.calls())
    assert counts["errored"] > 300, "unheard of there would be none"


def test_a_deleted_key_leaves_the_door_closed(place):
    key_id, value = place.key()
    place.admin("DELETE", f"virtual-keys/{key_id}")
    assert place.ask(value).status_code == 401
    assert place.admin("GET", "virtual-keys")["data"] != []


# --- budgets and windows ----------------------------------------------------------------------------------


def test_what_was_spent_is_what_the_answers_cost_plain_streamed_batched_and_retried(place):
    key_id, value = place.key(budgets=BUDGET)
    with place.workers():
        price = cost(place.ask(value).json())
        assert place.ask(value, stream=True).status_code == 200
        place.ended(value, place.submit(value, "sim-500-once"))
        place.ended(value, place.submit(value, "sim-500", fallbacks=[f"anthropic/{MODEL}"]))
        requests = [{"custom_id": f"i{n}", "params": question()} for n in range(10)]
        found = results(place, value, requests)
        assert {line["result"]["type"] for line in found.values()} == {"succeeded"}
        book = settled(place, key_id)
    paid = [call for call in place.calls() if call["status"] == 200]
    print(f"\n{len(place.calls())} calls, {len(paid)} paid, {book['used'] / price:g} charged of {price / NANO} $ each")
    assert len(paid) == 14
    assert book["used"] == len(paid) * price
    assert place.budget(key_id)["current_usage"] == book["used"] / NANO
    assert book["uncertain"] == 0


def test_a_spent_budget_is_a_402_and_a_queued_job_fails_with_it(place):
    key_id, value = place.key(budgets=[{"max_limit": 0.000001, "reset_duration": "1M", "calendar_aligned": True}])
    waiting = [place.submit(value) for _ in range(3)]
    with place.workers(slots=1):
        refused = until(lambda: (answer := place.ask(value)).status_code == 402 and answer)
        assert refused.json()["error"]["details"]["error_code"] == "budget_exceeded"
        assert refused.headers["x-should-retry"] == "false"
        assert "begins anew in" in refused.json()["error"]["message"]
        for head in ({"x-bf-async": "true"}, {}):
            chat = {"model": f"anthropic/{MODEL}", "messages": [{"role": "user", "content": "x"}]}
            answer = place.api.post("/v1/chat/completions", headers={"x-bf-vk": value, **head}, json=chat)
            assert (answer.status_code, answer.json()["error"]["type"]) == (402, "insufficient_quota")
        jobs = [place.ended(value, job) for job in waiting]
        assert [job["status"] for job in jobs] == ["succeeded", "failed", "failed"]
        assert jobs[1]["error"]["type"] == "billing_error"
        assert len(place.calls()) == 1
    assert place.budget(key_id)["resets_at"].endswith("-01T00:00:00.000Z")


@pytest.mark.parametrize("level", ["provider config", "key", "team", "customer", "the team's customer"])
def test_every_budget_of_the_chain_must_have_room(place, level):
    tight = [{"max_limit": 0.000001, "reset_duration": "1d"}]
    facts: dict[str, Any] = {"budgets": BUDGET}
    if level == "provider config":
        facts["provider_configs"] = [{"provider": "anthropic", "budgets": tight}, {"provider": "openai"}]
    elif level == "key":
        facts["budgets"] = tight
    elif level == "customer":
        facts["customer_id"] = place.admin("POST", "customers", name="c", budgets=tight)["id"]
    else:
        budgets = tight if level == "the team's customer" else BUDGET
        customer = place.admin("POST", "customers", name="c", budgets=budgets)["id"]
        budgets = tight if level == "team" else BUDGET
        facts["team_id"] = place.admin("POST", "teams", name="t", customer_id=customer, budgets=budgets)["id"]
    _, value = place.key(**facts)
    with place.workers():
        assert place.ask(value).status_code == 200
        until(lambda: place.ask(value).status_code == 402)
        if level == "provider config":
            assert place.ask(value, "openai/gpt-4o").status_code == 200, "another provider has room"


@pytest.mark.parametrize("kind", ["request", "token"])
def test_a_full_window_is_a_429_for_who_waits_and_a_later_start_for_a_job(place, kind):
    code = f"{kind}_limited"
    _, value = place.key(rate_limit={f"{kind}_max_limit": 1, f"{kind}_reset_duration": "8s"})
    with place.workers():
        assert place.ask(value).status_code == 200
        refused = until(lambda: (answer := place.ask(value)).status_code == 429 and answer)
        assert refused.json()["error"]["details"]["error_code"] == code
        assert 1 <= int(refused.headers["retry-after"]) <= 8
        job = place.submit(value)
        seen = until(lambda: (now := place.job(value, job))["waiting"] and now["waiting"]["until"] and now)
        assert seen["waiting"]["reason"] == code
        assert place.ended(value, job)["status"] == "succeeded"
        calls = [call["at"] for call in place.calls()]
    assert len(calls) == 2
    assert calls[1] - calls[0] > 1, "it ran in another window"


def test_a_request_is_counted_once_however_often_it_is_tried_and_whoever_dies_of_it(place):
    key_id, value = place.key(rate_limit={"request_max_limit": 3, "request_reset_duration": "1d"})
    with place.workers(2) as workers:
        assert place.ask(value, "sim-500-once").status_code == 200, "its own retry finds its window open"
        job = place.submit(value, "sim-latency-4000")
        until(lambda: len(place.calls()) == 3)
        for victim in workers:
            victim.send_signal(signal.SIGKILL)
            victim.wait()
    with place.workers():
        assert place.ended(value, job)["status"] == "succeeded"
        results(place, value, [{"custom_id": "one", "params": question("sim-500-once")}])
        assert place.ask(value).status_code == 429
    assert used(place, key_id, "requests")["used"] == 3
    assert len(place.calls()) == 6


def test_a_request_counts_at_the_provider_that_served_it_and_not_where_it_was_expected_to(place):
    window = {"request_max_limit": 300, "request_reset_duration": "1d"}
    configs = [{"provider": name, "key_ids": ["listing"], "rate_limit": window} for name in ("anthropic", "openai")]
    key_id, value = place.key(provider_configs=configs)
    with place.workers():
        served = Counter[str]()
        for _ in range(200):  # the slower one has no less than a fifth: that none of them is its, is 4e-20
            served[place.ask(value, "claude-both").headers["x-bf-provider"]] += 1
            if sum(served.values()) >= 16 and len(served) == 2:
                break
        assert set(served) == {"anthropic", "openai"}, "two providers list the model"
        counted = {name: used(place, f"{key_id}:{name}", "requests")["used"] for name in served}
    assert counted == served


def test_a_model_that_is_priced_by_its_name_at_the_provider_costs_what_it_does_by_its_own(place):
    key_id, value = place.key(budgets=BUDGET, provider_configs=[{"provider": "anthropic", "key_ids": ["listing"]}])
    with place.workers():
        price = cost(place.ask(value, "claude-short").json())
        place.ask(value, "claude-short", stream=True)
        book = settled(place, key_id)
    assert {call["model"] for call in place.calls()} == {MODEL}
    assert (book["used"], book["uncertain"], book["unpriced"]) == (2 * price, 0, 0)


def test_finding_a_request_by_its_meaning_is_charged_to_who_asked_and_is_no_request_of_its_own(place):
    rate_limit = {"request_max_limit": 100, "request_reset_duration": "1d"}
    only = [{"provider": "anthropic"}]  # it may not use the provider that embeds
    key_id, value = place.key(budgets=BUDGET, rate_limit=rate_limit, provider_configs=only)
    texts = ["What is the capital city of France", "what is the capital city of france please"]
    tokens = {}

    def asked(text: str) -> httpx.Response:
        body = question(messages=[{"role": "user", "content": text}])
        answer = place.api.post("/anthropic/v1/messages", headers={"x-bf-vk": value, "x-bf-cache-key": "a"}, json=body)
        assert answer.status_code == 200, answer.text
        return answer

    with place.workers():
        for text in texts:
            body = {"model": f"openai/{EMBEDDING}", "input": f"user: {text}"}
            made = place.api.post("/v1/embeddings", headers={"x-bf-vk": "sk-bf-free"}, json=body)
            tokens[text] = made.json()["usage"]["prompt_tokens"]
        price = cost(asked(texts[0]).json())
        until(lambda: list(place.redis.scan_iter("hermod:meanings:*")))
        assert asked(texts[1]).headers["x-bf-cache-hit"] == "semantic"
        book = settled(place, key_id)
    embedded = sum(cost({"usage": {"input_tokens": each, "output_tokens": 0}}) for each in tokens.values())
    assert embedded > 0
    assert (book["used"], book["uncertain"]) == (price + embedded, 0)
    assert used(place, key_id, "requests")["used"] == 2


def test_a_call_that_was_broken_off_is_charged_by_its_estimate_and_told(place):
    key_id, value = place.key(budgets=BUDGET)
    with place.workers():
        job = place.submit(value, "sim-latency-4000")
        until(place.calls)
        place.api.post(f"/v1/jobs/{job}/cancel", headers={"x-bf-vk": value, "content-type": "application/json"})
        book = settled(place, key_id)
    assert book["used"] == book["uncertain"] > 0
    assert place.budget(key_id)["of_that_estimated"] == book["uncertain"] / NANO


@pytest.mark.parametrize("surface", ["the same wire", "translated"])
def test_a_stream_that_breaks_off_is_charged_what_the_provider_had_told_by_then(place, surface):
    key_id, value = place.key(budgets=BUDGET)
    model = "sim-words-500+rate-1000+cut-stream"
    chat = {"model": f"anthropic/{model}", "messages": [{"role": "user", "content": "Hello!"}], "stream": True}
    with place.workers():
        if surface == "the same wire":
            text = place.ask(value, model, stream=True).text
        else:
            text = place.api.post("/v1/chat/completions", headers={"x-bf-vk": value}, json=chat).text
        assert '"error"' in text, text
        book = settled(place, key_id)
        whole = cost(place.ask(value).json())
    assert book["uncertain"] == 0
    assert 0 < book["used"] < whole
    if surface == "the same wire":
        start = next(json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: "))
        assert book["used"] == cost(start["message"])


def test_a_provider_whose_budget_is_spent_is_passed_over_for_a_fallback(place):
    tight = [{"max_limit": 0.000001, "reset_duration": "1d"}]
    configs = [{"provider": "anthropic", "budgets": tight}, {"provider": "openai", "budgets": tight}]
    _, value = place.key(provider_configs=configs)
    fallbacks = {"fallbacks": ["openai/gpt-4o"]}
    with place.workers():
        assert place.ask(value, **fallbacks).headers["x-bf-provider"] == "anthropic"
        until(lambda: place.ask(value).status_code == 402)
        job = place.ended(value, place.submit(value, **fallbacks))
        assert [attempt["decision"] for attempt in job["attempts"]] == ["fallback", None]
        assert job["attempts"][0]["reason"]["kind"] == "BudgetExceeded"
        assert job["attempts"][1]["target"] == "openai/gpt-4o"
        refused = until(lambda: (answer := place.ask(value, **fallbacks)).status_code == 402 and answer)
    assert refused.json()["error"]["details"]["error_code"] == "budget_exceeded"


def test_a_budget_that_all_providers_share_is_not_escaped_by_a_fallback(place):
    _, value = place.key(budgets=[{"max_limit": 0.000001, "reset_duration": "1d"}])
    with place.workers():
        assert place.ask(value).status_code == 200
        until(lambda: place.ask(value).status_code == 402)
        assert place.ask(value, fallbacks=["openai/gpt-4o"]).status_code == 402
        assert len(place.calls()) == 1


def test_books_balance_and_overshoot_is_bounded_while_workers_are_killed(place):
    """Four workers, each with four slots, struck down again and again, while a budget runs out."""
    # A lost hold is charged by its estimate, some three calls: what all strikes together may lose leaves enough of the
    # budget for the calls that the last of them waits for.
    slots, kills, jobs = 4, 6, 240
    rng = random.Random(7)
    limit_calls = 180
    with place.workers(1):
        price = cost(place.ask("sk-bf-free", "sim-latency-150").json())
    place.simulator.post("/__reset")
    limit = limit_calls * price
    key_id, value = place.key(budgets=[{"max_limit": limit / NANO, "reset_duration": "1d"}])
    ids = [place.submit(value, "sim-latency-150") for _ in range(jobs)]
    with place.workers(4, slots) as workers:
        for strike in range(kills):
            until_calls(place, 12 * (strike + 1))
            victim = workers.pop(rng.randrange(len(workers)))
            victim.send_signal(signal.SIGKILL)
            victim.wait()
            workers.append(place.worker(slots))
        states = Counter(until(lambda: ends(place, ids)))
        until(lambda: place.redis.zcard("hermod:workers") >= 4)
        lost = until_lost_is_known(place)
        book = settled(place, key_id)
    calls, finished = place.calls(), [call for call in place.calls() if call["finished"]]
    known, lost_holds = book["used"] - book["uncertain"], sum(len(holds) for holds in lost.values())
    print(
        f"\n{kills} kills: {dict(states)}; {len(calls)} calls, {len(finished)} finished at the provider;"
        f" charged {known / price:g} known + {book['uncertain'] / price:.2f} estimated of {lost_holds} lost;"
        f" budget {limit_calls}, overshoot {(book['used'] - limit) / price:.2f} calls"
    )
    assert known % price == 0, "to the nano-dollar a number of calls"
    assert states["succeeded"] <= known // price <= len(finished), "each answer that was had is charged once"
    assert len(calls) - known // price <= lost_holds, "what is not charged exactly was lost with its worker"
    assert lost_holds <= kills * slots
    assert book["used"] - limit <= 4 * slots * price
    assert states["failed"] > 0
    assert states["succeeded"] + states["failed"] == jobs


def until_calls(place: Place, number: int) -> None:
    """Nothing is waited for that does not come nearer: a slow machine may take its time, a standstill may not."""
    seen = 0
    while seen < number:
        seen = until(lambda seen=seen: (now := len(place.calls())) > seen and now)


def until_lost_is_known(place: Place) -> dict[str, list[bytes]]:
    """Holds of dead workers, once the sweep, or the next call that needs room, has charged them."""

    def charged() -> bool:
        now = time.time() * 1000
        alive = {
            name for name, until_ms in place.redis.zrange("hermod:workers", 0, -1, withscores=True) if until_ms > now
        }
        return not (place.redis.smembers("hermod:holders") - alive)

    deadline = time.monotonic() + 90
    while not charged():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return {key.decode(): place.redis.hkeys(key) for key in place.redis.keys("hermod:lost:*")}


# --- the administration -----------------------------------------------------------------------------------


def test_nothing_of_the_administration_is_open_without_its_token(place):
    key_id, _ = place.key()
    for method, path in (
        ("GET", "virtual-keys"),
        ("POST", "virtual-keys"),
        ("GET", f"virtual-keys/{key_id}"),
        ("PATCH", f"virtual-keys/{key_id}"),
        ("POST", f"virtual-keys/{key_id}/revoke"),
        ("DELETE", f"virtual-keys/{key_id}"),
        ("GET", "teams"),
        ("POST", "customers"),
    ):
        for head in ({}, {"authorization": "Bearer wrong"}, {"x-bf-vk": "sk-bf-free"}):
            answer = place.api.request(method, f"/admin/{path}", headers=head)
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "admin_token_required"), (method, path)


def test_what_is_wrong_with_a_key_is_a_400_naming_the_field(place):
    for body, param in (
        ({"name": "a", "budgets": [{"max_limit": "x"}]}, "budgets[0].max_limit"),
        ({"name": "a", "budgets": [{"max_limit": 1, "reset_duration": "soon"}]}, "budgets[0].reset_duration"),
        ({"name": "a", "team_id": "nobody"}, "team_id"),
        ({"name": "a", "provider_configs": [{"provider": "antropic"}]}, "provider_configs"),
        ({"name": "a", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"name": "a", "wieght": 1}, None),
        ({}, "name"),
    ):
        answer = place.api.post("/admin/virtual-keys", headers=ADMIN, json=body)
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"]["param"] == param, answer.text
    answer = place.api.post("/admin/virtual-keys", headers={**ADMIN, "content-type": "text/plain"}, content=b"{}")
    assert answer.json()["error"]["param"] == "content-type"
    assert place.api.post("/admin/virtual-keys", headers=ADMIN, json={"name": "free"}).status_code == 409


@pytest.mark.parametrize("path", ["/admin/webhooks", "/api/webhooks"])
def test_no_webhook_endpoint_takes_the_name_under_which_all_deliveries_are_found(place, path):
    facts = {"name": "deliveries", "url": "https://hooks.example/x", "events": ["batch.completed"]}
    answer = place.api.post(path, headers=ADMIN, json=facts)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "name"), answer.text
    assert "deliveries" in answer.json()["error"]["message"]
    name = f"deliveries-{uuid.uuid4().hex}"
    assert place.api.post(path, headers=ADMIN, json={**facts, "name": name}).is_success
    renamed = place.api.patch(f"{path}/{name}", headers=ADMIN, json={"name": "deliveries"})
    assert renamed.status_code == 400, renamed.text
    names = {each["name"] for each in place.api.get(path, headers=ADMIN).json()["data"]}
    assert name in names
    assert "deliveries" not in names


def test_what_config_json_sets_can_be_shown_and_not_changed_here(place):
    shown = place.admin("GET", "virtual-keys/picky")
    assert (shown["source"], shown["provider_configs"][0]["allowed_models"]) == ("config", [MODEL, "claude-y"])
    answer = place.api.post("/admin/virtual-keys/picky/revoke", headers=ADMIN)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "set_in_configuration")


def test_a_change_of_a_key_holds_from_the_next_request_and_keeps_what_was_spent(place):
    key_id, value = place.key(budgets=BUDGET)
    with place.workers():
        price = cost(place.ask(value).json())
        settled(place, key_id)
        place.admin("PATCH", f"virtual-keys/{key_id}", budgets=[{"max_limit": price / NANO, "reset_duration": "1d"}])
        assert place.ask(value).status_code == 402
        place.admin("PATCH", f"virtual-keys/{key_id}", budgets=BUDGET, provider_configs=[])
        assert place.ask(value).status_code == 403
        place.admin("PATCH", f"virtual-keys/{key_id}", allow_all_providers=True)
        assert place.ask(value).status_code == 200


def test_changes_of_a_key_at_once_all_hold_so_that_none_undoes_a_revocation(place):
    for _ in range(10):
        key_id, _ = place.key()
        changes = [{"description": "a"}, {"is_active": False}, {"max_jobs": 7}, {"weight": 2}]
        with ThreadPoolExecutor(len(changes)) as pool:
            list(pool.map(lambda facts: place.admin("PATCH", f"virtual-keys/{key_id}", **facts), changes))  # noqa: B023 - done in here
        shown = place.admin("GET", f"virtual-keys/{key_id}")
        assert {name: shown[name] for facts in changes for name in facts} == {
            k: v for each in changes for k, v in each.items()
        }


@pytest.mark.parametrize("period", ["9999Y", "9999M"])
def test_a_window_that_ends_after_all_calendars_can_be_shown(place, period):
    key_id, value = place.key(
        budgets=[{"max_limit": 1, "reset_duration": period}], expires_at="9999-12-31T23:59:59-23:00"
    )
    with place.workers():
        assert place.ask(value).status_code == 200
        until(lambda: place.budget(key_id)["current_usage"])
    shown = place.admin("GET", f"virtual-keys/{key_id}")
    assert shown["expires_at"] == "9999-12-31T23:59:59.999Z"
    assert shown["budgets"][0]["resets_at"] > "2800"
    assert place.api.get("/admin/virtual-keys", headers=ADMIN).status_code == 200


def test_a_budget_that_others_share_cannot_be_deleted_from_under_them(place):
    customer = place.admin("POST", "customers", budgets=[{"max_limit": 0}])["id"]
    team = place.admin("POST", "teams", customer_id=customer)["id"]
    key_id, value = place.key(team_id=team)
    for kind, name in (("teams", team), ("customers", customer)):
        answer = place.api.delete(f"/admin/{kind}/{name}", headers=ADMIN)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, f"{kind.removesuffix('s')}_in_use")
    with place.workers():
        assert place.ask(value).status_code == 402
        place.admin("PATCH", f"virtual-keys/{key_id}", team_id="")
        assert place.ask(value).status_code == 200
    place.admin("DELETE", f"teams/{team}")
    place.admin("DELETE", f"customers/{customer}")


def test_what_names_a_team_or_customer_that_is_gone_can_still_be_changed(place):
    customer = place.admin("POST", "customers", name="gone")["id"]
    team = place.admin("POST", "teams", customer_id=customer)["id"]
    key_id, _ = place.key(customer_id=customer)
    place.redis.hdel("hermod:governance:customers", customer)
    place.redis.publish("hermod:governance", f"customers {customer}")
    until(lambda: place.api.get(f"/admin/customers/{customer}", headers=ADMIN).status_code == 404)
    assert place.admin("PATCH", f"virtual-keys/{key_id}", is_active=False)["is_active"] is False
    assert place.admin("PATCH", f"teams/{team}", name="new")["name"] == "new"
    answer = place.api.patch(f"/admin/teams/{team}", json={"customer_id": "another"}, headers=ADMIN)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "customer_id")


def test_the_command_line_creates_lists_shows_and_revokes(place):
    def run(*arguments: str, token: str = TOKEN) -> subprocess.CompletedProcess[str]:
        environ = {**environment(), "HERMOD_URL": str(place.api.base_url), "HERMOD_ADMIN_TOKEN": token}
        command = [sys.executable, "-P", "-m", "deploy.cli", "keys", *arguments]
        return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)

    made = run("create", "team-a", "--allow", f"anthropic/{MODEL}", "--budget", "10/1d", "--requests", "60/1m")
    assert made.returncode == 0, made.stderr
    value = made.stdout.strip()
    assert value.startswith("sk-bf-")
    assert place.ask(value, "claude-z").status_code == 403
    listed = run("list")
    assert "team-a" in listed.stdout
    assert "$0 of $10/1d" in listed.stdout
    key_id = next(line.split()[0] for line in listed.stdout.splitlines() if "team-a" in line)
    shown = run("show", key_id)
    assert f"anthropic: {MODEL}" in shown.stdout
    assert json.loads(run("show", key_id, "--json").stdout)["rate_limit"]["request_max_limit"] == 60
    assert run("show", "team-a").stdout == shown.stdout, "by its name too"
    assert run("revoke", "team-a").stdout.strip() == f"{key_id} (team-a) is revoked"
    assert place.ask(value).status_code == 403
    wrong = run("list", token="another-token-entirely")
    assert wrong.returncode == 1
    assert "--token, or HERMOD_ADMIN_TOKEN" in wrong.stderr
    assert value not in listed.stdout + shown.stdout
