"""Numbered jobs whose right answers are known, and witnesses of what became of them."""

import random
import re
import threading
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Self

import redis

from deploy.simulator.answers import Ask, compose
from tests.chaos.fleet import Witness
from tests.contract.process import eventually
from tests.contract.wire import Answer, ask

PATH = "/anthropic/v1/messages"
AT_ONCE = 8
UNFINISHED = {"queued", "running"}
_ENDED = re.compile(r"^HSET hermod:job:(\S+) state (succeeded|failed|cancelled|expired) outcome ")


@dataclass(frozen=True)
class Asked:
    """One accepted job. `question` occurs in no other and is its mark in the ledger."""

    id: str
    question: str

    @property
    def right(self) -> str:
        return compose(Ask(user_text=self.question)).text


def body(question: str, latency_ms: int) -> dict[str, Any]:
    return {
        "model": f"sim-latency-{latency_ms}",
        "max_tokens": 100,
        "metadata": {"user_id": question.replace(" ", "-")},
        "messages": [{"role": "user", "content": question}],
    }


def submit(fleet: Witness, latencies_ms: list[int], first: int = 0, padding: str = "") -> list[Asked]:
    """One job for each latency, numbered from `first`, all accepted; `padding` makes the questions longer."""

    def one(number: int) -> Asked:
        question = f"job {first + number}{padding}"
        answer = ask(fleet.url, "POST", PATH, body(question, latencies_ms[number]), {"x-bf-async": "true"})
        assert answer.status == 200, answer.body
        return Asked(answer.headers["x-bf-job-id"], question)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(one, range(len(latencies_ms))))


def poll(fleet: Witness, job: Asked) -> Answer:
    return ask(fleet.url, "POST", PATH, b"", {"x-bf-async-id": job.id})


def poll_all(fleet: Witness, jobs: list[Asked]) -> dict[str, Answer]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip((job.id for job in jobs), pool.map(lambda job: poll(fleet, job), jobs), strict=True))


def until_final(fleet: Witness, jobs: list[Asked], within_s: float) -> None:
    def final() -> bool:
        pipe = fleet.client.pipeline(transaction=False)
        for job in jobs:
            pipe.hget("hermod:job:" + job.id, "state")
        return not any((state or b"").decode() in UNFINISHED for state in pipe.execute())

    eventually(final, within_s, "not all jobs are final")


def calls_by_job(fleet: Witness, jobs: list[Asked]) -> dict[str, list[dict[str, Any]]]:
    """The ledger's entries of each of the jobs."""
    ids = {job.question.replace(" ", "-"): job.id for job in jobs}
    found = defaultdict(list)
    for call in fleet.calls():
        if job := ids.get(call["user"]):
            found[job].append(call)
    return found


def latencies(draw: random.Random, count: int) -> list[int]:
    """Most are short; one in twelve outlasts the grace of a worker that is told to stop."""
    return [1600 if draw.random() < 1 / 12 else draw.randint(0, 700) for _ in range(count)]


class Publications:
    """Counts, by job, the outcomes that were ever written: the server itself reports every write."""

    _END = "end of the publications"

    def __init__(self, url: str) -> None:
        self.written: Counter[str] = Counter()
        self._client = redis.Redis.from_url(url)
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._count)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._listening.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        """Returns when everything written so far was counted."""
        self._client.echo(self._END)
        self._thread.join()
        self._client.close()

    def _count(self) -> None:
        with self._client.monitor() as monitor:
            self._listening.set()
            for entry in monitor.listen():
                if ended := _ENDED.match(entry["command"]):
                    self.written[ended[1]] += 1
                elif self._END in entry["command"]:
                    return
