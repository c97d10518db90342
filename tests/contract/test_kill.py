"""Processes die with `kill -9` and clients leave; no request is lost and none runs on for nobody."""

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from typing import Any

from tests.contract.jobs import BOTH, PATHS, marked, polled, submit
from tests.contract.process import Gateway, eventually
from tests.contract.wire import Ledger, ask, connect

SEEN_WITHIN_S = 60.0
RESTARTED_WITHIN_S = 60.0  # the pause before a restart doubles with each death
RECOVERED_WITHIN_S = 120.0  # the lease of a dead worker, its restart, the call once more


def called(ledger: Ledger, user: str) -> dict[str, Any]:
    """The first call, once the provider has received it."""
    return eventually(lambda: ledger.calls(user), SEEN_WITHIN_S, "the provider was not called")[0]


def end_all(gateway: Gateway, word: str, number: int = signal.SIGKILL) -> None:
    """Ends every child that was started as that command, and waits until as many others run."""

    def found() -> set[int]:
        return {pid for pid, arguments in gateway.children().items() if word in arguments}

    before = eventually(found, SEEN_WITHIN_S, f"there is no {word} process")
    for pid in before:
        os.kill(pid, number)
    eventually(lambda: len(found() - before) == len(before), RESTARTED_WITHIN_S, f"the {word} processes are not back")


def healthy(gateway: Gateway) -> bool:
    try:
        return ask(gateway.url, "GET", "/health").status == 200
    except OSError:
        return False


def begin(gateway: Gateway, surface: str, body: Any) -> HTTPConnection:
    """A connection on which the request has been sent and nothing read."""
    connection = connect(gateway.url)
    connection.connect()
    connection.request("POST", PATHS[surface], json.dumps(body).encode(), {"content-type": "application/json"})
    return connection


@BOTH
def test_a_plain_request_survives_the_worker_that_ran_it(own_gateway: Gateway, ledger: Ledger, surface, user):
    body = marked(surface, user, model="sim-latency-4000")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ask, own_gateway.url, "POST", PATHS[surface], body, timeout_s=RECOVERED_WITHIN_S)
        called(ledger, user)
        end_all(own_gateway, "worker")
        answer = waiting.result(RECOVERED_WITHIN_S)
    assert answer.status == 200, answer.body
    first, second = ledger.calls(user)
    assert first["aborted"]
    assert second["finished"]


def test_a_job_survives_the_worker_that_ran_it(own_gateway: Gateway, ledger: Ledger, user):
    job = submit(own_gateway, "anthropic", marked("anthropic", user, model="sim-latency-4000")).json["id"]
    called(ledger, user)
    end_all(own_gateway, "worker")
    assert polled(own_gateway, "anthropic", job, RECOVERED_WITHIN_S).status == 200
    assert [call["finished"] for call in ledger.calls(user)] == [False, True]


def test_a_job_survives_the_api_process_that_accepted_it(own_gateway: Gateway, ledger: Ledger, user):
    job = submit(own_gateway, "anthropic", marked("anthropic", user, model="sim-latency-2000")).json["id"]
    end_all(own_gateway, "api")
    eventually(lambda: healthy(own_gateway), RECOVERED_WITHIN_S, "the API is not back")
    assert polled(own_gateway, "anthropic", job).status == 200
    assert [call["finished"] for call in ledger.calls(user)] == [True]


@BOTH
def test_a_client_that_leaves_cancels_its_plain_request(gateway: Gateway, ledger: Ledger, surface, user):
    connection = begin(gateway, surface, marked(surface, user, model="sim-latency-20000"))
    called(ledger, user)
    connection.close()
    eventually(lambda: ledger.calls(user)[0]["aborted"], SEEN_WITHIN_S, "the provider is still being waited for")
    assert len(ledger.calls(user)) == 1


@BOTH
def test_a_client_that_leaves_cancels_its_stream(gateway: Gateway, ledger: Ledger, surface, user):
    connection = begin(gateway, surface, marked(surface, user, model="sim-rate-10+words-500", stream=True))
    answer = connection.getresponse()
    assert answer.read(20)
    answer.close()
    connection.close()
    eventually(lambda: ledger.calls(user)[0]["aborted"], SEEN_WITHIN_S, "the provider is still streaming")
    assert len(ledger.calls(user)) == 1


def test_a_worker_told_to_stop_ends_what_it_runs(own_gateway: Gateway, ledger: Ledger, user):
    body = marked("anthropic", user, model="sim-latency-4000")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ask, own_gateway.url, "POST", PATHS["anthropic"], body)
        called(ledger, user)
        end_all(own_gateway, "worker", signal.SIGTERM)
        assert waiting.result(RECOVERED_WITHIN_S).status == 200
    assert [call["finished"] for call in ledger.calls(user)] == [True]
