"""Thousands of events while the receiver falters, its secret is rotated, and workers and an API process are killed."""

import random
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPException

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from shared.webhook_events import OWNER
from tests.chaos.fleet import Fleet, Worker, percentile
from tests.chaos.jobs import body
from tests.contract.process import eventually
from tests.contract.wire import ask
from tests.receiver import Receiver

WORKERS, SLOTS = 3, 40
SUBMIT_AT_ONCE, KILL_EVERY_S, KILL_API_EVERY_S = 8, 3.0, 10.0
HANGS_S = 11.0  # a try ends after 10
IN_HAND_S = 2.0  # a worker has looked up the secret, and signs
ALL_TOLD_WITHIN_S = 900.0
PATH = "/anthropic/v1/messages"


@pytest.fixture
def fleet(tmp_path, server) -> Iterator[Fleet]:
    running = Fleet(tmp_path, server.url, slots=SLOTS)
    yield running
    running.close()


@dataclass
class Books:
    """A receiver that verifies each try as its owner would, with one secret at a time, and takes no other.

    Of the first tries of events one in 16 is answered 500, and one in 256 not in time.

    Attributes:
        taken: by event, when it was, in Unix seconds.
        refused: tries that could not be verified: when they were signed, in Unix seconds.
        twice: tries of what had been taken before.
        delays_s: from the end of a job to its event being taken; `created_at` is in whole seconds.
    """

    secret: str = ""
    receiver: Receiver | None = None
    tries: Counter[str] = field(default_factory=Counter)
    taken: dict[str, float] = field(default_factory=dict)
    answered: Counter[int] = field(default_factory=Counter)
    refused: list[int] = field(default_factory=list)
    twice: int = 0
    delays_s: list[float] = field(default_factory=list)

    def __call__(self, number: int) -> tuple[int, bytes]:
        assert self.receiver is not None
        got = self.receiver.received[number - 1]
        try:
            event = Webhook(self.secret).verify(got.body, got.headers)
        except WebhookVerificationError:
            self.refused.append(int(got.headers["webhook-timestamp"]))
            return 401, b""
        self.tries[got.id] += 1
        status = self._status(int(got.id[-2:], 16)) if self.tries[got.id] == 1 else 200
        self.answered[status] += 1
        if status == 504:
            time.sleep(HANGS_S)
        elif status == 200:
            self.twice += got.id in self.taken
            self.taken.setdefault(got.id, time.time())
            self.delays_s.append(time.time() - event["created_at"])
        return status, b""

    @staticmethod
    def _status(draw: int) -> int:
        return 504 if draw == 0 else 500 if draw % 16 == 1 else 200


@dataclass
class Hands:
    """Who kills workers, and API processes, of which one at least is left, while jobs are submitted through them."""

    fleet: Fleet
    draw: random.Random
    workers: list[Worker]
    apis: list[str]
    worker_kills: int = 0
    api_kills: int = 0
    next_worker: float = 0.0
    next_api: float = 0.0

    def strike(self) -> None:
        now = time.monotonic()
        if now > self.next_worker:
            place = self.draw.randrange(len(self.workers))
            if self.workers[place].id:
                self.next_worker = now + KILL_EVERY_S
                self.workers[place].process.kill()
                self.workers[place].process.wait()
                self.workers[place] = self.fleet.worker()
                self.worker_kills += 1
        if now > self.next_api:
            self.next_api = now + KILL_API_EVERY_S
            self.fleet.kill_api(self.apis.pop(0))
            self.apis.append(self.fleet.another_api(metrics_port=0))
            self.api_kills += 1


def submit(hands: Hands, number: int) -> str:
    """The id of the job; asked again under the same name while the API dies."""
    headers = {"x-bf-async": "true", "idempotency-key": f"event {number}"}
    found: list[str] = []

    def accepted() -> list[str]:
        try:
            answer = ask(hands.apis[number % len(hands.apis)], "POST", PATH, body(f"event {number}", 0), headers)
        except (OSError, HTTPException, IndexError):
            return found
        assert answer.status == 200, answer.body
        found.append(answer.headers["x-bf-job-id"])
        return found

    return eventually(accepted, 60, "no API takes it")[0]


def test_every_one_of_thousands_of_events_comes_whatever_falters(fleet, chaos_long):
    count = 10_000 if chaos_long else 400
    books = Books()
    with Receiver(answers=books) as books.receiver:
        made = ask(fleet.url, "POST", "/admin/webhooks", endpoint(books.receiver.url))
        assert made.status == 201, made.body
        books.secret = made.json["secret"]
        workers = [fleet.worker() for _ in range(WORKERS)]
        hands = Hands(fleet, random.Random(11), workers, [fleet.url, fleet.another_api(metrics_port=0)])
        with ThreadPoolExecutor(SUBMIT_AT_ONCE) as pool:
            asked = [pool.submit(submit, hands, number) for number in range(count)]
            eventually(lambda: hands.strike() or len(books.taken) > count // 3, ALL_TOLD_WITHIN_S, "too few are told")
            rotated = ask(hands.apis[-1], "POST", "/admin/webhooks/books/rotate-secret", b"")
            assert rotated.status == 200, rotated.body
            rotated_at = time.time()
            eventually(lambda: hands.strike() or len(books.taken) > count // 2, ALL_TOLD_WITHIN_S, "too few are told")
            books.secret = rotated.json["secret"]  # the receiver's owner has put it in
            wanted = {f"evt_{job.result().replace('-', '')}" for job in asked}
        eventually(lambda: hands.strike() or wanted <= books.taken.keys(), ALL_TOLD_WITHIN_S, "not every event came")
        eventually(lambda: not unsettled(fleet), ALL_TOLD_WITHIN_S, "not all is settled")
    report(books, hands)
    late = [signed for signed in books.refused if signed > rotated_at + IN_HAND_S]
    assert not late, "signed after the rotation without the new secret"
    assert books.taken.keys() == wanted
    states = Counter(record[b"state"] for record in deliveries(fleet))
    assert states == {b"succeeded": count}
    assert min(hands.worker_kills, hands.api_kills) > 0


def endpoint(url: str) -> dict[str, object]:
    return {"name": "books", "url": url, "events": ["async_job.completed"], "allow_private_network": True}


def unsettled(fleet: Fleet) -> int:
    return int(fleet.client.hlen("hermod:unfinished"))


def deliveries(fleet: Fleet) -> list[dict[bytes, bytes]]:
    """The records of those to the endpoint."""
    return [record for record in fleet.records().values() if record[b"owner"] == OWNER.encode() + b"books"]


def report(books: Books, hands: Hands) -> None:
    count, times = len(books.taken), sorted(books.taken.values())
    print(f"\n{count} events, {books.tries.total()} tries {dict(books.answered)}, {books.twice} more than once")
    print(f"{len(books.refused)} tries were on their way at the rotation and came again")
    p50, p90, most = (percentile(books.delays_s, share) for share in (0.5, 0.9, 1.0))
    print(f"told after p50 {p50:.1f} s, p90 {p90:.1f} s, at most {most:.1f} s")
    print(f"kills: {hands.worker_kills} workers, {hands.api_kills} API processes")
    print(f"{count / (times[-1] - times[0]):.0f} events/s from the first to the last, {times[-1] - times[0]:.0f} s")
