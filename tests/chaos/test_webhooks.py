"""Workers die between an end and its being told, and while it is told: every event comes, each under one id."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from standardwebhooks import Webhook

from shared.lanes import WAKE, Lane
from tests.chaos.fleet import Fleet
from tests.chaos.jobs import body, submit
from tests.contract.process import clean_environment, eventually
from tests.contract.wire import ask
from tests.ports import free_port
from tests.receiver import Receiver

JOBS, KILLS = 100, 15
TOLD_WITHIN_S = 120.0
EVENTS = ["async_job.completed", "async_job.failed"]


@pytest.fixture
def fleet(tmp_path, server) -> Iterator[Fleet]:
    running = Fleet(tmp_path, server.url)
    yield running
    running.close()


@pytest.fixture(scope="module")
def unstruck(tmp_path_factory, server) -> Iterator[Fleet]:
    """One for all tests that only ask."""
    running = Fleet(tmp_path_factory.mktemp("unstruck"), server.url)
    yield running
    running.close()


def created(fleet: Fleet, url: str, **facts: Any) -> dict[str, Any]:
    """An endpoint that the API was told of while it ran."""
    asked = {"name": "books", "url": url, "events": EVENTS, "allow_private_network": True, **facts}
    answer = ask(fleet.url, "POST", "/admin/webhooks", asked)
    assert answer.status == 201, answer.body
    return answer.json


def event_id(job_id: str) -> str:
    return f"evt_{job_id.replace('-', '')}"


def hermod(fleet: Fleet, *arguments: str) -> str:
    command = [sys.executable, "-P", "-m", "deploy.cli", "webhooks", *arguments, "--url", fleet.url]
    done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def deliveries(fleet: Fleet) -> list[dict[str, Any]]:
    return ask(fleet.url, "GET", "/admin/webhooks/books/deliveries?limit=100").json["data"]


def test_no_event_of_100_jobs_is_missing_when_workers_are_killed_at_any_instant(fleet):
    draw = random.Random(6)

    def slow(_: int) -> tuple[int, bytes]:
        time.sleep(draw.uniform(0, 0.4))  # a receiver's own work, so that kills find tries on their way
        return 200, b""

    with Receiver(answers=slow) as receiver:
        secret = created(fleet, receiver.url)["secret"]
        jobs = submit(fleet, [draw.randint(0, 300) for _ in range(JOBS)])
        wanted = {event_id(job.id) for job in jobs}
        workers = [fleet.worker(f"{point}=kill") for point in ("delivering", "delivered", "answered")]
        kills = 0
        while kills < KILLS and not wanted <= set(receiver.tries):
            for place, worker in enumerate(workers):
                if worker.process.poll() is None and worker.id and draw.random() < 0.3 and fleet.held(worker):
                    worker.process.kill()
                    worker.process.wait()
                if worker.process.poll() is not None:
                    kills += 1
                    workers[place] = fleet.worker()
            time.sleep(0.05)  # between two looks
        eventually(lambda: wanted <= set(receiver.tries), TOLD_WITHIN_S, "not every event came")
        eventually(
            lambda: all(one["status"] == "delivered" for one in deliveries(fleet)), TOLD_WITHIN_S, "not all is settled"
        )
        assert set(receiver.tries) == wanted
        assert len(deliveries(fleet)) == JOBS
        for received in receiver.received:
            event = Webhook(secret).verify(received.body, received.headers)
            assert event_id(event["data"]["job_id"]) == received.id
        tries = receiver.tries.values()
        print(f"\n{JOBS} events, {kills} kills, {sum(tries)} tries, the most of one {max(tries)}")
    assert kills > KILLS // 2


@pytest.mark.parametrize(("point", "tries"), [("delivering", 1), ("delivered", 2)])
def test_a_worker_killed_around_its_try_leaves_it_to_another(fleet, point, tries):
    with Receiver() as receiver:
        created(fleet, receiver.url)
        first = fleet.worker(f"{point}=kill")
        [job] = submit(fleet, [0])
        assert first.process.wait(60) == -signal.SIGKILL
        assert len(receiver.received) == tries - 1
        fleet.worker()
        eventually(lambda: len(receiver.received) == tries, TOLD_WITHIN_S, "it is not told")
        eventually(lambda: deliveries(fleet)[0]["status"] == "delivered", TOLD_WITHIN_S, "it is not settled")
    assert set(receiver.tries) == {event_id(job.id)}


def test_a_job_that_ended_before_any_worker_lived_is_told_of_by_the_first(fleet):
    with Receiver() as receiver:
        created(fleet, receiver.url)
        [job] = submit(fleet, [0])
        assert ask(fleet.url, "POST", f"/v1/jobs/{job.id}/cancel", b"").status == 200
        fleet.worker()
        eventually(lambda: receiver.received, TOLD_WITHIN_S, "it is not told")
    assert receiver.received[0].json["data"]["status_code"] == 499


def test_a_receiver_that_is_down_for_a_while_misses_nothing(fleet):
    port = free_port()
    created(fleet, f"http://127.0.0.1:{port}/hook")
    jobs = submit(fleet, [0] * 20)
    fleet.worker()

    def all_tried() -> bool:
        found = deliveries(fleet)
        return len(found) == 20 and all(one["attempts"] and one["next_attempt_at"] for one in found)

    eventually(all_tried, TOLD_WITHIN_S, "not all was tried")
    assert {one["attempts"][0]["error"] for one in deliveries(fleet)} == {"its host cannot be reached"}
    with Receiver(port=port) as receiver:
        for member in fleet.client.zrange("hermod:later", 0, -1):
            fleet.client.zadd("hermod:later", {member: 1}, xx=True)
        fleet.client.lpush(WAKE + Lane.INTERACTIVE, "1")
        eventually(lambda: len(receiver.tries) == 20, TOLD_WITHIN_S, "not every event came")
    assert set(receiver.tries) == {event_id(job.id) for job in jobs}


def test_endpoints_are_managed_tried_out_and_rotated_while_the_gateway_runs(fleet):
    fleet.worker()

    def api(method: str, path: str, asked: Any = None) -> Any:
        answer = ask(fleet.url, method, path, asked)
        assert answer.status < 300, answer.body
        return answer.json

    with Receiver() as receiver:
        made = created(fleet, receiver.url, events=[], headers={"authorization": "Bearer t"})
        assert ask(fleet.url, "POST", "/admin/webhooks", {"name": "books", "url": receiver.url}).status >= 400
        shown = api("GET", "/api/webhooks/books")
        assert "secret" not in shown
        assert shown["headers"] == {"authorization": "***"}
        assert [one["name"] for one in api("GET", "/admin/webhooks")["data"]] == ["books"]

        tested = api("POST", "/admin/webhooks/books/test")
        eventually(lambda: receiver.received, TOLD_WITHIN_S, "it is not told")
        assert receiver.received[0].json["type"] == "webhook.test"
        assert receiver.received[0].headers["authorization"] == "Bearer t"
        Webhook(made["secret"]).verify(receiver.received[0].body, receiver.received[0].headers)

        rotated = api("POST", "/admin/webhooks/books/rotate-secret")["secret"]
        again = api("POST", f"/api/webhooks/deliveries/{tested['id']}/redeliver")
        assert again["event_id"] == tested["event_id"]
        eventually(lambda: len(receiver.received) == 2, TOLD_WITHIN_S, "it is not told again")
        for secret in (made["secret"], rotated):
            Webhook(secret).verify(receiver.received[1].body, receiver.received[1].headers)
        assert api("PATCH", "/admin/webhooks/books", {"previous_secret": None})["has_previous_secret"] is False

        asked = {"x-bf-async": "true", "x-bf-async-webhook": "books"}
        assert ask(fleet.url, "POST", "/anthropic/v1/messages", body("named", 0), asked).status == 200
        eventually(lambda: len(receiver.received) == 3, TOLD_WITHIN_S, "it is not told of a job that named it")
        page = api("GET", "/admin/webhooks/books/deliveries?limit=2")
        assert page["has_more"]
        rest = api("GET", f"/admin/webhooks/books/deliveries?after={page['next']}")
        assert len({one["id"] for one in page["data"] + rest["data"]}) == 3

        listed = hermod(fleet, "list")
        assert "books" in listed
        eventually(
            lambda: hermod(fleet, "deliveries", "books").count("delivered") == 3, TOLD_WITHIN_S, "not all is settled"
        )
        assert "webhook.test" in hermod(fleet, "test", "books")
        assert tested["event_id"] in hermod(fleet, "redeliver", tested["id"])
        eventually(lambda: len(receiver.received) == 5, TOLD_WITHIN_S, "what the command asked for is not told")

        unknown = ask(fleet.url, "POST", "/anthropic/v1/messages", body("x", 0), {"x-bf-async-webhook": "nobody"})
        assert (unknown.status, b"x-bf-async-webhook" in unknown.body) == (400, True)
        assert api("DELETE", "/admin/webhooks/books")["deleted"]
        assert ask(fleet.url, "GET", "/admin/webhooks/books").status == 404
        after = ask(fleet.url, "POST", "/anthropic/v1/messages", body("x", 0), asked)
        assert after.status == 400


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("url", "http://example.com/hook"),
        ("url", "https://user:pass@example.com/"),
        ("url", "https://example.com:8443/"),
        ("url", "ftp://example.com/"),
        ("events", ["job.done"]),
        ("secret", "whsec_short"),
        ("secret", "not a secret"),
        ("headers", {"webhook-id": "mine"}),
        ("headers", {"x": "a\r\nb: c"}),
        ("name", "with spaces"),
        ("colour", "red"),
    ],
)
def test_an_endpoint_that_cannot_work_is_refused_with_the_name_of_the_field(unstruck, field, value):
    asked = {"name": "n", "url": "https://example.com/hook", field: value}
    answer = ask(unstruck.url, "POST", "/admin/webhooks", asked)
    assert (answer.status, field in answer.json["error"]["message"]) == (400, True), answer.body
