"""`hermod webhooks`: an endpoint is created, tried out, given another secret, and told again, by real processes."""

import json
import subprocess
import sys
import uuid
from collections.abc import Callable

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tests.integration.test_jobs_surface import environment, until
from tests.receiver import Received, Receiver
from tests.security.place import TOKEN, running

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def place(server, tmp_path_factory):
    with running(server.url, tmp_path_factory.mktemp("webhooks")) as place:
        yield place


@pytest.fixture
def hermod(place) -> Run:
    environ = {**environment(), "HERMOD_URL": str(place.api.base_url), "HERMOD_ADMIN_TOKEN": TOKEN}

    def run(*arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-P", "-m", "deploy.cli", "webhooks", *arguments]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stderr
        return done

    return run


def verifies(secret: str, received: Received) -> bool:
    try:
        Webhook(secret).verify(received.body, received.headers)
    except WebhookVerificationError:
        return False
    return True


def test_an_endpoint_lives_through_all_commands(hermod: Run):
    name = f"hook-{uuid.uuid4().hex}"
    with Receiver(answers=lambda _: (202, b"ok")) as receiver:
        made = hermod("create", name, receiver.url, "--allow-private-network", "--event", "batch.completed")
        first = made.stdout.strip()
        assert name in made.stderr
        listed = hermod("list").stdout
        assert name in listed
        assert "batch.completed" in listed
        assert first not in listed, "a secret is shown once"
        delivery = json.loads(hermod("test", name, "--json").stdout)["id"]
        until(lambda: receiver.received)
        second = hermod("rotate", name).stdout.strip()
        assert second.startswith("whsec_")
        until(lambda: "delivered" in hermod("deliveries", name).stdout)
        listed = json.loads(hermod("deliveries", name, "--json").stdout)
        assert [attempt["status_code"] for attempt in listed["attempts"]][-1] == 202
        hermod("redeliver", delivery)
        until(lambda: verifies(second, receiver.received[-1]))
        assert hermod("delete", name).stdout == f"{name} deleted\n"
        assert name not in hermod("list").stdout
    before, after = receiver.received[0], receiver.received[-1]  # it may have come more than once each time
    assert (verifies(first, before), verifies(second, before)) == (True, False)
    assert (verifies(first, after), verifies(second, after)) == (True, True), "while one is replaced both sign"
    assert before.id == after.id, "it is the same event"


def test_what_cannot_be_created_says_why(hermod: Run):
    refused = hermod("create", "inside", "http://127.0.0.1:9/x", status=1)
    assert refused.stderr == "Error: url: expected https at port 443; allow_private_network allows others.\n"
    assert "events: expected some of" in hermod("create", "a", "https://a.example", "--event", "x", status=1).stderr
    for unknown in ("no-id", str(uuid.uuid4())):
        told = "Error: There is no such delivery: unknown, or no longer remembered.\n"
        assert hermod("redeliver", unknown, status=1).stderr == told
    assert hermod("rotate", "nobody", status=1).stderr == "Error: There is no such webhook endpoint.\n"
