"""The commands that talk to a gateway: what they ask, what they print, what they do when it is away."""

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from api.batch_views import anthropic_batch
from deploy.cli import main
from deploy.client import pace
from deploy.client.requests_file import PROBLEMS_SHOWN
from shared.batches import BatchState, Counts
from tests.unit.client_peer import JOB, a_progress, batch, breaks_off, peer, refuses, says

CALL = b'{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{}}'
KEY = "sk-bf-a-key-that-must-not-be-seen"
MSGBATCH = "msgbatch_6f0d2c1e8f5b4e0a9d532f1f7f0b7a11"


RUNNING = batch(BatchState.IN_PROGRESS, counts=Counts(succeeded=5))
ENDED = batch(BatchState.COMPLETED, counts=Counts(succeeded=10), ended_ms=1_700_000_002_000)


def hermod(*arguments: str, url: str = "", **more: Any) -> Result:
    environ = {"HERMOD_URL": url, "HERMOD_KEY": KEY}
    return CliRunner().invoke(main, arguments, env=environ, catch_exceptions=False, **more)


FAST = pytest.mark.usefixtures("fast")


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asks again at once, and gives up soon."""
    monkeypatch.setattr(pace, "SOONEST_S", 0.001)
    monkeypatch.setattr(pace, "LATEST_S", 0.001)
    monkeypatch.setattr(pace, "OUTAGE_S", 0.2)


def test_where_no_gateway_is_it_says_what_to_start():
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    for command in (["jobs", "list"], ["batches", "watch", MSGBATCH], ["jobs", "tail", JOB]):
        result = hermod(*command, url=f"http://127.0.0.1:{port}")
        assert result.exit_code == 1
        assert result.output.startswith(f"Error: no gateway at http://127.0.0.1:{port} (")
        assert "start one with `hermod up`, or name another with --url." in result.output


@pytest.mark.parametrize(("status", "kind"), [(200, "text/html"), (404, "text/html"), (302, "text/html"), (502, "")])
def test_what_is_no_gateway_is_told_as_that(status, kind):
    with peer(says(status, b"<html>", kind)) as other:
        result = hermod("jobs", "list", url=other.url)
    assert result.exit_code == 1
    assert result.output == f"Error: {other.url} answers with status {status} and no JSON of a gateway: is it one?\n"


def test_the_gateways_own_words_are_passed_on():
    with peer(refuses(401, "A virtual key is required."), refuses(404, "No such job\x1b[2J.")) as gateway:
        assert hermod("jobs", "list", url=gateway.url).output == (
            "Error: A virtual key is required. Here: --key, or HERMOD_KEY in the environment.\n"
        )
        result = hermod("jobs", "show", "a/b", url=gateway.url)
    assert (result.exit_code, result.output) == (1, "Error: No such job[2J.\n")
    assert gateway.asked[-1] == ("GET", "/v1/jobs/a%2Fb")


def test_the_key_is_sent_and_never_shown():
    with peer(refuses(401, "unknown")) as gateway:
        shown = hermod("jobs", "list", url=gateway.url).output + hermod("jobs", "list", "--help").output
        wrong = hermod("jobs", "list", "--key", f"{KEY}\nx", url=gateway.url)
    assert gateway.headers[0]["x-bf-vk"] == KEY
    assert wrong.exit_code == 2
    assert KEY not in shown + wrong.output


def test_a_password_in_the_url_is_masked():
    result = hermod("jobs", "list", "--url", "http://me:a-password@127.0.0.1:1")
    assert "no gateway at http://***@127.0.0.1:1" in result.output


@pytest.mark.parametrize("url", ["ftp://a", "localhost:8080", "http://", "http://a:b", "http://[::1"])
def test_an_url_of_no_gateway_is_refused(url):
    result = hermod("jobs", "list", "--url", url)
    assert result.exit_code == 2
    assert "expected http://host:port" in result.output


@pytest.mark.parametrize("batch_id", ["x", JOB, "file-1", "batch_", "batch_1/../../jobs"])
def test_the_id_of_no_batch_is_refused_before_anything_is_sent(batch_id):
    with peer(ENDED) as gateway:
        result = hermod("batches", "show", batch_id, url=gateway.url)
    assert (result.exit_code, gateway.asked) == (2, [])
    assert "expected msgbatch_… or batch_…" in result.output


def test_a_bad_file_is_refused_before_anything_is_sent(tmp_path: Path):
    path = tmp_path / "requests.jsonl"
    path.write_bytes(b"\n".join([b"x"] * (PROBLEMS_SHOWN + 1)))
    with peer(ENDED) as gateway:
        result = hermod("submit", str(path), url=gateway.url)
    assert (result.exit_code, gateway.asked) == (2, [])
    first, *lines, more = result.output.splitlines()
    assert first == f"Error: {path}: nothing was sent, for the file is not all right"
    assert lines == [f"  line {number}: Not valid JSON: invalid character (byte 0)" for number in range(1, 21)]
    assert more == "  and 1 more"


def test_a_file_of_a_batch_that_is_refused_is_deleted_again(tmp_path: Path):
    path = tmp_path / "requests.jsonl"
    path.write_bytes(CALL)
    replies = [says(200, {"id": "file-1"}), refuses(400, "provider: no."), says(200, {"id": "file-1"})]
    with peer(*replies) as gateway:
        result = hermod("submit", str(path), "--provider", "x", "--mode", "direct", url=gateway.url)
    assert (result.exit_code, result.output) == (1, "Error: provider: no.\n")
    assert gateway.asked == [("POST", "/v1/files"), ("POST", "/v1/batches"), ("DELETE", "/v1/files/file-1")]
    assert gateway.headers[1]["x-model-provider"] == "x"
    assert gateway.headers[1]["x-bf-batch-mode"] == "direct"


@FAST
def test_what_was_sent_to_a_gateway_that_went_away_is_sent_again_and_done_once(tmp_path: Path):
    path = tmp_path / "requests.jsonl"
    path.write_bytes(CALL)
    down, made = refuses(503, "Redis is down."), says(200, {"id": "batch_1"})
    with peer(breaks_off(b"{"), down, says(200, {"id": "file-1"}), down, breaks_off(b"{"), made) as gateway:
        result = hermod("submit", str(path), url=gateway.url)
    assert (result.exit_code, result.stdout) == (0, "batch_1\n")
    assert result.stderr.startswith("trying again for 0.2 s: the connection to ")
    assert [path for _, path in gateway.asked] == ["/v1/files"] * 3 + ["/v1/batches"] * 3
    keys = [headers["idempotency-key"] for headers in gateway.headers]
    assert (len(set(keys[:3])), len(set(keys[3:])), len(set(keys))) == (1, 1, 2)
    assert gateway.taken > 3 * len(CALL)


@FAST
def test_a_retry_that_was_not_answered_is_asked_for_again_and_done_once():
    with peer(breaks_off(b"{"), says(200, {"id": "msgbatch_2"})) as gateway:
        result = hermod("batches", "retry", MSGBATCH, url=gateway.url)
    assert (result.exit_code, result.stdout) == (0, "msgbatch_2\n")
    assert len({headers["idempotency-key"] for headers in gateway.headers}) == 1


@FAST
def test_a_gateway_that_stays_away_while_it_is_sent_to_is_given_up(tmp_path: Path):
    path = tmp_path / "requests.jsonl"
    path.write_bytes(CALL)
    with peer(breaks_off(b"{")) as gateway:
        result = hermod("submit", str(path), url=gateway.url)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.endswith("What was sent may have been taken: look before it is sent again.\n")


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT is sent")
def test_ctrl_c_while_it_is_sent_says_that_a_batch_may_be_there(tmp_path: Path):
    path = tmp_path / "requests.jsonl"
    path.write_bytes(CALL)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environ = {**os.environ, "HERMOD_URL": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        command = [sys.executable, "-m", "deploy.cli", "submit", str(path)]
        with subprocess.Popen(
            command,
            env=environ,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509 - no other thread
        ) as sending:
            connection, _ = silent.accept()
            with connection:
                assert connection.recv(1)
                sending.send_signal(signal.SIGINT)
                _, said = sending.communicate(timeout=20)
    assert (sending.returncode, said) == (
        1,
        "\nstopped; a batch may have been made nevertheless: hermod batches list\n",
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="writes to a disk that is full")
@pytest.mark.parametrize("arguments", [["list", "--json"], ["results", MSGBATCH]])
def test_what_cannot_be_written_is_told_and_no_success(arguments):
    row = {"custom_id": "a", "result": {"type": "succeeded"}}
    replies = [listing(1, 1, more=False)] if arguments[0] == "list" else [ENDED, says(200, json.dumps(row).encode())]
    with peer(*replies) as gateway, Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-m", "deploy.cli", "batches", *arguments]
        environ = {**os.environ, "HERMOD_URL": gateway.url}
        done = subprocess.run(command, env=environ, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "Error: No space left on device; not all was written.\n"


_WITH_PEAK = """
from deploy.cli import main
main(standalone_mode=False)
status = open("/proc/self/status").read()
print(status.partition("VmHWM:")[2].split()[0])
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of its memory from /proc")
@pytest.mark.parametrize("body", ["params", "body"])
def test_a_large_file_is_sent_without_holding_it(tmp_path: Path, body):
    path = tmp_path / "requests.jsonl"
    with path.open("wb") as file:
        for number in range(1200):
            file.write(json.dumps({"custom_id": f"r{number}", body: {"text": "x" * 100_000}}).encode() + b"\n")
    endpoint = ["--endpoint", "/v1/responses"] if body == "body" else []
    with peer(says(200, {"id": "file-1"})) as gateway, path.open("rb") as stdin:
        command = [sys.executable, "-c", _WITH_PEAK, "submit", "-", *endpoint]
        environ = {**os.environ, "HERMOD_URL": gateway.url}
        done = subprocess.run(command, stdin=stdin, capture_output=True, env=environ, check=True)
    assert gateway.taken >= path.stat().st_size
    assert int(done.stdout.split()[-1]) < 100 * 1024


def listing(first: int, count: int, *, more: bool) -> Any:
    """A page of batches, the ids counted on from `first`."""
    shown = anthropic_batch(a_progress("anthropic", BatchState.COMPLETED, ended_ms=1), None)
    ids = [f"msgbatch_{number:032x}" for number in range(first, first + count)]
    data = [{**shown, "id": name} for name in ids]
    return says(
        200, {"data": data, "has_more": more, "first_id": ids[0] if ids else None, "last_id": ids[-1:] and ids[-1]}
    )


def test_a_listing_goes_on_page_by_page_as_far_as_is_asked():
    none = listing(0, 0, more=False)
    with peer(listing(0, 100, more=True), listing(100, 100, more=True), listing(200, 30, more=True), none) as gateway:
        result = hermod("batches", "list", "--limit", "230", url=gateway.url)
    assert result.exit_code == 0, result.output
    assert result.stdout.count("msgbatch_") == 230
    asked = [path.partition("?")[2] for _, path in gateway.asked]
    assert asked == [
        "limit=100",
        f"limit=100&after_id=msgbatch_{99:032x}",
        f"limit=30&after_id=msgbatch_{199:032x}",
        "limit=100",
    ]


def test_jobs_are_listed_beyond_a_page_in_the_state_that_is_asked_for():
    job = {
        "id": JOB,
        "status": "failed",
        "model": "m",
        "operation": "chat",
        "attempts": [],
        "created_at": "",
        "completed_at": "",
    }
    full = says(200, {"data": [job] * 100, "has_more": True, "next": "1_a"})
    with peer(full, says(200, {"data": [job], "has_more": False, "next": None})) as gateway:
        result = hermod("jobs", "list", "--limit", "150", "--status", "failed", url=gateway.url)
    assert result.stdout.count(JOB) == 101
    asked = [path.partition("?")[2] for _, path in gateway.asked]
    assert asked == ["limit=100&status=failed", "limit=50&status=failed&after=1_a"]


@pytest.mark.parametrize(("name", "path"), [(MSGBATCH, "/anthropic/v1/messages/batches"), ("batch_1", "/v1/batches")])
def test_a_batch_is_deleted_on_the_surface_that_its_id_tells(name, path):
    with peer(says(200, {"id": name})) as gateway:
        result = hermod("batches", "delete", name, url=gateway.url)
    assert (result.exit_code, result.stdout) == (0, f"{name} deleted\n")
    assert gateway.asked == [("DELETE", f"{path}/{name}")]


@FAST
def test_a_watcher_outlasts_a_gateway_that_is_away_for_a_while():
    down = refuses(503, "Redis is down.")
    with peer(RUNNING, down, breaks_off(b"{"), RUNNING, down, ENDED) as gateway:
        result = hermod("batches", "watch", MSGBATCH, url=gateway.url)
    assert result.exit_code == 0
    assert result.stdout == f"in_progress: 5/10, 5 succeeded\n{MSGBATCH} ended: 10 succeeded of 10\n"
    assert result.stderr == "trying again for 0.2 s: Redis is down.\n" * 2  # each time it goes away


@FAST
def test_a_watcher_gives_up_on_a_gateway_that_stays_away():
    with peer(RUNNING, refuses(503, "Redis is down.")) as gateway:
        result = hermod("batches", "watch", MSGBATCH, url=gateway.url)
    assert result.exit_code == 1
    assert result.stderr.endswith("Error: Redis is down.\n")


@FAST
def test_machines_get_the_batch_each_time_it_has_changed():
    with peer(RUNNING, RUNNING, RUNNING, ENDED) as gateway:
        result = hermod("batches", "watch", "--json", MSGBATCH, url=gateway.url)
    told = [json.loads(line) for line in result.stdout.splitlines()]
    assert [batch["request_counts"]["succeeded"] for batch in told] == [5, 10]
    assert result.exit_code == 0


def test_results_that_break_off_are_no_success():
    with peer(ENDED, breaks_off(b'{"custom_id":"a"}\n')) as gateway:
        result = hermod("batches", "results", MSGBATCH, url=gateway.url)
    assert result.exit_code == 1
    assert result.stdout == '{"custom_id":"a"}\n'
    assert result.stderr.endswith("Some results are missing: run this again.\n")


def test_results_of_a_batch_that_runs_are_refused():
    with peer(RUNNING) as gateway:
        result = hermod("batches", "results", MSGBATCH, url=gateway.url)
    assert (result.exit_code, result.output) == (1, "Error: the batch has not ended: 5 of 10 requests are done.\n")


def test_only_the_failed_are_written_however_the_lines_are_cut():
    lines = [
        json.dumps(
            {"custom_id": f"r{number}", "result": {"type": "errored" if number % 3 else "succeeded", "x": "y" * 40_000}}
        )
        for number in range(10)
    ]
    body = "".join(line + "\n" for line in lines).encode()
    with peer(ENDED, says(200, body, "application/x-jsonl")) as gateway:
        result = hermod("batches", "results", "--errors", MSGBATCH, url=gateway.url)
    assert result.stdout.splitlines() == [line for number, line in enumerate(lines) if number % 3]


def event(name: str, kind: str, data: Any) -> bytes:
    head = f"id: {name}\n" if name else ""
    return f"{head}event: {kind}\ndata: {json.dumps(data)}\n\n".encode()


ENDS = event("2-1-1", "succeeded", {"completed_at": "then", "error": None})


@FAST
def test_whoever_tails_a_job_sees_each_event_once_though_the_connection_breaks():
    first = event("1-0-0", "queued", {"at": "now"}) + event(
        "", "waiting", {"reason": "in_line", "position": 3, "until": None}
    )
    text = event("1-1-1", "content_block_delta", {"type": "content_block_delta", "delta": {"text": "Hel\x1blo"}})
    replies = [breaks_off(first), breaks_off(text), refuses(503, "down"), says(200, ENDS, "text/event-stream")]
    with peer(*replies) as gateway:
        result = hermod("jobs", "tail", JOB, url=gateway.url)
    assert result.exit_code == 0
    assert result.stdout == "queued at now\nwaiting in line, at place 3\nHello\nsucceeded at then\n"
    assert [headers.get("last-event-id") for headers in gateway.headers] == [None, "1-0-0", "1-1-1", "1-1-1"]


@FAST
def test_a_gateway_that_cannot_go_on_is_asked_again():
    broken = event("1-0-0", "queued", {"at": "now"}) + event("", "error", {"message": "Redis is down.", "code": None})
    with peer(says(200, broken, "text/event-stream"), says(200, ENDS, "text/event-stream")) as gateway:
        result = hermod("jobs", "tail", "--json", JOB, url=gateway.url)
    assert [json.loads(line)["event"] for line in result.stdout.splitlines()] == ["queued", "succeeded"]
    assert "Redis is down." in result.stderr


@pytest.mark.parametrize("kind", ["failed", "expired", "cancelled"])
def test_a_job_that_did_not_succeed_is_no_success(kind):
    end = event("1-0-0", kind, {"completed_at": "then", "error": {"message": "No\x07."}})
    with peer(says(200, end, "text/event-stream")) as gateway:
        result = hermod("jobs", "tail", JOB, url=gateway.url)
    assert result.exit_code == 1
    assert result.output == ("cancelled at then\n" if kind == "cancelled" else f"{kind}: No.\n")


def test_the_processes_of_a_gateway_load_no_http_client_for_these_commands():
    code = "import sys, deploy.cli; sys.exit('httpx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
