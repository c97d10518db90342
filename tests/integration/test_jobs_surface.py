"""`/v1/jobs` and the shares of virtual keys: the real API, workers and provider simulator as processes."""

import contextlib
import json
import os
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from tests.contract.process import pause
from tests.ports import free_port

WITHIN_S = 120.0
"""Only a standstill exceeds it."""
FINAL = {"succeeded", "failed", "cancelled", "expired"}
KEYS = [
    {"name": "a", "value": "sk-bf-a"},
    {"name": "b", "value": "any-text-will-do"},
    {"name": "heavy", "value": "sk-bf-heavy", "weight": 3},
    {"name": "light", "value": "sk-bf-light"},
    {"name": "small", "value": "sk-bf-small", "max_jobs": 2},
    {"name": "narrow", "value": "sk-bf-narrow", "max_running_jobs": 2},
    {"name": "off", "value": "sk-bf-off", "is_active": False},
]


_started: list[subprocess.Popen[bytes]] = []


def until(look: Callable[[], Any]) -> Any:
    """What `look` finds. Nothing more is waited for once a process of ours has given up."""
    began = time.monotonic()
    while not (found := look()):
        gave_up = [process.args for process in _started if (process.poll() or 0) > 0]
        assert not gave_up, f"ended by themselves: {gave_up}"
        waited = time.monotonic() - began
        assert waited < WITHIN_S, f"not within {WITHIN_S:g} s"
        time.sleep(pause(waited))
    return found


@contextlib.contextmanager
def hermod(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-P", "-m", "deploy.cli", *arguments], env=environment())
    _started.append(process)
    try:
        yield process
    finally:
        _started.remove(process)
        process.terminate()
        try:
            process.wait(WITHIN_S)
        finally:
            process.kill()
            process.wait()


def environment() -> dict[str, str]:
    unwanted = re.compile(r"HERMOD_|OLLAMA_HOST|[A-Z_]+_(API_KEY|BASE_URL)$")
    return {name: value for name, value in os.environ.items() if not unwanted.match(name)}


@dataclass
class Caller:
    """A client with one virtual key, or none."""

    http: httpx.Client
    key: str | None

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"x-bf-vk": self.key} if self.key else {}
        return self.http.request(method, path, headers={**headers, **more.pop("headers", {})}, **more)

    def submit(self, model: str = "claude", **headers: str) -> httpx.Response:
        question = {
            "model": model,
            "max_tokens": 20,
            "messages": [{"role": "user", "content": str(uuid.uuid4())}],
            "metadata": {"user_id": self.key or "anonymous"},
        }
        return self.ask("POST", "/anthropic/v1/messages", json=question, headers={"x-bf-async": "true", **headers})

    def submitted(self, model: str = "claude") -> str:
        answer = self.submit(model)
        assert answer.status_code == 200, answer.text
        return answer.json()["id"]

    def job(self, job_id: str) -> dict[str, Any]:
        answer = self.ask("GET", f"/v1/jobs/{job_id}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def ended(self, job_id: str) -> dict[str, Any]:
        return until(lambda: (job := self.job(job_id))["status"] in FINAL and job)

    def cancel(self, job_id: str) -> dict[str, Any]:
        answer = self.ask("POST", f"/v1/jobs/{job_id}/cancel", headers={"content-type": "application/json"})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def listed(self, **query: Any) -> dict[str, Any]:
        answer = self.ask("GET", "/v1/jobs", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()


@dataclass
class Place:
    """The processes that run for all tests of this file, and how to start workers."""

    url: str
    simulator: httpx.Client
    redis: redis.Redis
    folder: Path
    document: dict[str, Any]

    def caller(self, key: str | None) -> Caller:
        return Caller(self._http, key)

    def __post_init__(self) -> None:
        self._http = httpx.Client(base_url=self.url, timeout=WITHIN_S)

    def close(self) -> None:
        self._http.close()
        self.simulator.close()
        self.redis.close()

    @contextlib.contextmanager
    def workers(self, number: int = 1, slots: int = 20) -> Iterator[None]:
        document = {**self.document, "worker": {"slots": slots, "grace_s": 0}}
        config = written(self.folder / f"worker-{slots}.json", document)
        with contextlib.ExitStack() as stack:
            for _ in range(number):
                stack.enter_context(hermod("worker", "--config", config, "--data-dir", str(self.folder)))
            until(lambda: self._http.get("/health").json().get("workers") == number)
            yield

    def calls(self, user: str) -> list[dict[str, Any]]:
        return self.simulator.get("/__ledger", params={"user": user}).json()["entries"]


def written(path: Path, document: dict[str, Any]) -> str:
    path.write_text(json.dumps(document))
    return str(path)


def answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def running(server, tmp_path_factory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("jobs")
    simulator = f"http://127.0.0.1:{(port := free_port())}"
    with hermod("simulate", "--port", str(port)):
        until(lambda: answers(f"{simulator}/__health"))
        slow = {"retry_backoff_initial": 60_000, "retry_backoff_max": 60_000}
        providers = {
            "anthropic": {
                "keys": [{"name": "main", "value": "k"}],
                "network_config": {"base_url": simulator, "retry_backoff_initial": 50},
            },
            "openai": {"keys": [{"value": "k"}], "network_config": {"base_url": f"{simulator}/v1", **slow}},
        }
        document = {
            "governance": {"virtual_keys": KEYS},
            "providers": providers,
            "redis": {"url": server.url},
        }
        address = ("--port", str(free_port()), "--data-dir", str(folder))
        url = f"http://127.0.0.1:{address[1]}"
        with hermod("api", "--config", written(folder / "api.json", document), *address):
            until(lambda: answers(f"{url}/health"))
            place = Place(
                url,
                httpx.Client(base_url=simulator, timeout=WITHIN_S),
                redis.Redis.from_url(server.url),
                folder,
                document,
            )
            yield place
            place.close()


@pytest.fixture
def place(running) -> Place:
    running.redis.flushall()
    running.simulator.post("/__reset")
    return running


def test_each_attempt_is_shown_with_its_reason_and_what_was_decided(place):
    caller = place.caller("sk-bf-a")
    job_id = caller.submitted("sim-500-once")
    with place.workers():
        job = caller.ended(job_id)
    assert (job["status"], job["lane"], job["operation"]) == ("succeeded", "async", "chat")
    assert (job["dialect"], job["model"]) == ("anthropic", "sim-500-once")
    assert [(try_["number"], try_["decision"]) for try_ in job["attempts"]] == [(1, "retry"), (2, None)]
    assert {(try_["target"], try_["key"]) for try_ in job["attempts"]} == {("anthropic/sim-500-once", "main")}
    first, second = job["attempts"]
    assert (first["reason"]["upstream_status"], second["reason"]) == (500, None)
    assert first["reason"]["kind"]
    assert first["reason"]["message"]
    times = [job["created_at"], job["started_at"], first["started_at"], first["ended_at"]]
    times += [second["started_at"], second["ended_at"], job["completed_at"], job["expires_at"]]
    assert times == sorted(times)
    assert place.caller("sk-bf-a").ask("GET", f"/v1/jobs/{job_id}").headers["x-bf-job-id"] == job_id


def test_a_job_tells_what_it_cost_where_that_is_known_and_while_it_runs_nothing(place):
    caller = place.caller("sk-bf-a")
    known, unknown = caller.submitted("claude-haiku-4-5-20251001"), caller.submitted("claude-of-tomorrow")
    assert caller.job(known)["cost_usd"] is None
    with place.workers():
        job, other = caller.ended(known), caller.ended(unknown)
    usage = caller.ask("POST", "/anthropic/v1/messages", headers={"x-bf-async-id": known}, json={}).json()["usage"]
    assert job["cost_usd"] == pytest.approx((usage["input_tokens"] * 1 + usage["output_tokens"] * 5) / 1e6)
    assert job["error"] is None
    assert (other["status"], other["cost_usd"]) == ("succeeded", None)


def test_a_job_that_failed_for_good_says_why(place):
    caller = place.caller("sk-bf-a")
    job_id = caller.submitted("sim-400")
    with place.workers():
        job = caller.ended(job_id)
    assert job["status"] == "failed"
    assert job["attempts"][0]["decision"] == "fail"
    assert job["error"]["type"] == "invalid_request_error"


def test_a_job_that_was_put_off_says_until_when_and_can_be_cancelled(place):
    caller = place.caller("sk-bf-a")
    job_id = caller.submitted("openai/sim-500")
    with place.workers():
        job = until(lambda: (seen := caller.job(job_id))["attempts"] and seen["status"] == "queued" and seen)
        assert (job["waiting"]["reason"], job["waiting"]["target"]) == ("retry", "openai/sim-500")
        assert job["waiting"]["position"] is None
        assert job["waiting"]["until"] > job["attempts"][0]["ended_at"]
        assert caller.cancel(job_id)["status"] == "cancelled"
    assert len(place.calls("sk-bf-a")) == 1


def test_a_job_in_line_says_its_position(place):
    caller, other = place.caller("sk-bf-a"), place.caller(None)
    other.submitted()
    ids = [caller.submitted() for _ in range(3)]
    waiting = [caller.job(job_id)["waiting"] for job_id in ids]
    assert [(one["reason"], one["position"]) for one in waiting] == [("in_line", place_) for place_ in (1, 2, 3)]


def test_cancelling_a_queued_job_ends_it_at_once_and_again_changes_nothing(place):
    caller = place.caller("sk-bf-a")
    job_id, other_id = caller.submitted(), caller.submitted()
    job = caller.cancel(job_id)
    assert job["status"] == "cancelled"
    assert job["completed_at"]
    assert job["waiting"] is None
    assert caller.cancel(job_id) == job
    with place.workers():
        done = caller.ended(other_id)
    assert caller.cancel(other_id) == done
    assert done["status"] == "succeeded"
    assert len(place.calls("sk-bf-a")) == 1


def test_cancelling_a_running_job_aborts_the_call_of_the_provider(place):
    caller = place.caller("sk-bf-a")
    job_id = caller.submitted("sim-latency-60000")
    with place.workers():
        until(lambda: place.calls("sk-bf-a"))
        assert caller.job(job_id)["status"] == "running"
        caller.cancel(job_id)
        job = caller.ended(job_id)
        assert job["status"] == "cancelled"
        until(lambda: [call["aborted"] for call in place.calls("sk-bf-a")] == [True])
        assert caller.cancel(job_id) == job


def test_the_listing_is_paged_newest_first_and_filtered_by_status(place):
    caller = place.caller("sk-bf-a")
    ids = [caller.submitted() for _ in range(5)]
    caller.cancel(ids[1])
    shown, after = [], {}
    while True:
        page = caller.listed(limit=2, **after)
        assert len(page["data"]) <= 2
        shown += [job["id"] for job in page["data"]]
        if not page["has_more"]:
            break
        after = {"after": page["next"]}
    times = [caller.job(job_id)["created_at"] for job_id in shown]
    assert sorted(shown) == sorted(ids)
    assert times == sorted(times, reverse=True)
    assert [job["id"] for job in caller.listed(status="cancelled")["data"]] == [ids[1]]
    assert {job["id"] for job in caller.listed(status="queued")["data"]} == {*ids} - {ids[1]}
    assert caller.listed(status="running") == {"object": "list", "data": [], "has_more": False, "next": None}
    refused = caller.ask("GET", "/v1/jobs", params={"limit": 1000})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "limit")


def test_a_page_can_be_continued_when_its_last_job_has_expired(place):
    caller = place.caller("sk-bf-a")
    ids = [caller.submitted() for _ in range(4)]
    page = caller.listed(limit=2)
    for job in page["data"]:
        place.redis.delete(f"hermod:job:{job['id']}")
    rest = caller.listed(limit=2, after=page["next"])
    assert {job["id"] for job in page["data"] + rest["data"]} == {*ids}
    assert len(caller.listed()["data"]) == 2
    [owned] = place.redis.keys("hermod:owned:*")
    assert place.redis.zcard(owned) == 2, "what has expired is taken off"
    assert place.redis.ttl(owned) > 0


def test_a_rare_status_is_found_however_many_other_jobs_are_newer(place):
    caller = place.caller("sk-bf-a")
    oldest = caller.submitted()
    caller.cancel(oldest)
    for _ in range(230):
        caller.submitted()
    assert [job["id"] for job in caller.listed(status="cancelled")["data"]] == [oldest]
    assert caller.listed(limit=100)["has_more"]


def test_a_plain_request_can_be_shown_but_is_not_listed(place):
    caller = place.caller("sk-bf-a")
    with place.workers():
        answer = caller.submit(**{"x-bf-async": "false"})
    assert caller.job(answer.headers["x-bf-job-id"])["status"] == "succeeded"
    assert caller.job(answer.headers["x-bf-job-id"])["lane"] == "interactive"
    assert caller.listed()["data"] == []


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/jobs/{}"), ("POST", "/v1/jobs/{}/cancel")])
def test_anothers_job_is_not_found_in_the_words_of_an_unknown_one(place, method, path):
    job_id = place.caller("sk-bf-a").submitted()
    unknown = place.caller("sk-bf-a").ask(method, path.format(uuid.uuid4()))
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "job_not_found")
    for key in ("any-text-will-do", None):
        stranger = place.caller(key)
        foreign = stranger.ask(method, path.format(job_id))
        assert (foreign.status_code, foreign.json()) == (404, unknown.json())
        assert stranger.listed()["data"] == []
    assert place.caller("sk-bf-a").job(job_id)["status"] == "queued"


def test_a_caller_whose_queue_is_full_is_told_to_come_back(place):
    caller = place.caller("sk-bf-small")
    first, _ = caller.submitted(), caller.submitted()
    full = caller.submit()
    assert full.status_code == 429
    assert full.json()["error"]["type"] == "rate_limit_error"
    assert int(full.headers["retry-after"]) > 0
    assert place.caller("sk-bf-a").submit().status_code == 200
    caller.cancel(first)
    assert caller.submit().status_code == 200


@pytest.mark.parametrize(("key", "status"), [("sk-bf-off", 403), ("sk-bf-of-nobody", 401)])
def test_a_key_that_is_not_active_or_unknown_is_refused_everywhere(place, key, status):
    caller = place.caller(key)
    assert caller.submit().status_code == status
    assert caller.ask("GET", "/v1/jobs").status_code == status
    assert caller.ask("POST", f"/v1/jobs/{uuid.uuid4()}/cancel").status_code == status


def test_a_heavier_key_gets_more_turns_in_line(place):
    heavy, light = place.caller("sk-bf-heavy"), place.caller("sk-bf-light")
    ids = [(caller, caller.submitted()) for caller in (light, heavy) for _ in range(12)]
    with place.workers(slots=1):
        for caller, job_id in ids:
            assert caller.ended(job_id)["status"] == "succeeded"
    calls = sorted(place.calls("sk-bf-heavy") + place.calls("sk-bf-light"), key=lambda call: call["n"])
    while_both_waited = [call["user"] for call in calls[:12]]
    assert 8 <= while_both_waited.count("sk-bf-heavy") <= 10, "three turns for one"


def test_a_running_cap_holds_over_all_workers_and_the_rest_follows(place):
    caller = place.caller("sk-bf-narrow")
    with place.workers(number=2):
        ids = [caller.submitted("sim-latency-1500") for _ in range(7)]
        until(lambda: len(place.calls("sk-bf-narrow")) == 2)
        waiting = [job["waiting"] for job in map(caller.job, ids) if job["waiting"]]
        assert {one["reason"] for one in waiting} == {"running_cap"}
        assert min(one["position"] for one in waiting) == 1
        assert place.caller("sk-bf-a").ended(place.caller("sk-bf-a").submitted())["status"] == "succeeded"
        jobs = [caller.ended(job_id) for job_id in ids]
    assert {job["status"] for job in jobs} == {"succeeded"}
    tries = [try_ for job in jobs for try_ in job["attempts"]]
    for one in tries:
        at_once = [two for two in tries if two["started_at"] <= one["started_at"] < two["ended_at"]]
        assert len(at_once) <= 2
