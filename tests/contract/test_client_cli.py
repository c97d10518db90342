"""The commands for batches and jobs, as people and scripts run them against a gateway."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.contract.asking import completion, message
from tests.contract.process import Gateway, clean_environment
from tests.contract.wire import ask

pty = pytest.importorskip("pty", reason="a terminal is only made on POSIX systems")

HERMOD = str(Path(sys.executable).with_name("hermod"))
WITHIN_S = 60.0
CHAT = "/v1/chat/completions"
MODELS = {"ok": "sim-words-5", "bad": "sim-400", "slow": "sim-latency-800"}
FULL = 600
"""More requests than two workers run at once, which is 2 x 4 parts x 32."""
BOTH = pytest.mark.parametrize("form", ["params", "body"])

Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file of requests in a form, one for each model named; its path."""

    def written(form: str, *models: str) -> str:
        path = tmp_path / f"{form}.jsonl"
        ask_for = message if form == "params" else completion
        lines = [
            json.dumps({"custom_id": f"r{number}", form: ask_for(model=MODELS[model])})
            for number, model in enumerate(models)
        ]
        path.write_text("".join(f"{line}\n" for line in lines))
        return str(path)

    return written


def environment(gateway: Gateway, key: str = "") -> dict[str, str]:
    return {**clean_environment(), "HERMOD_URL": gateway.url, "HERMOD_KEY": key}


def hermod(gateway: Gateway, *words: str, key: str = "", **more: Any) -> subprocess.CompletedProcess[str]:
    environ = environment(gateway, key)
    return subprocess.run(
        [HERMOD, *words], env=environ, capture_output=True, text=True, timeout=WITHIN_S, check=False, **more
    )


def well(gateway: Gateway, *words: str, **more: Any) -> str:
    """What the command printed, which went well."""
    done = hermod(gateway, *words, **more)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout


def submitted(gateway: Gateway, path: str, *words: str, **more: Any) -> str:
    """The id of the batch."""
    endpoint = ["--endpoint", CHAT] if path.endswith("body.jsonl") else []
    return well(gateway, "submit", path, *endpoint, *words, **more).splitlines()[0]


def results(gateway: Gateway, batch: str, *words: str) -> list[str]:
    """The custom_ids."""
    lines = well(gateway, "batches", "results", batch, *words).splitlines()
    return sorted(json.loads(line)["custom_id"] for line in lines)


@BOTH
def test_a_file_is_run_followed_and_its_results_are_all_there(gateway: Gateway, write: Write, form):
    batch = submitted(gateway, write(form, *["ok"] * 5), "--watch")
    assert batch.startswith("msgbatch_" if form == "params" else "batch_")
    assert results(gateway, batch) == ["r0", "r1", "r2", "r3", "r4"]
    assert results(gateway, batch, "--errors") == []
    assert "5: 5 succeeded" in well(gateway, "batches", "show", batch)
    assert batch in well(gateway, "batches", "list")


@BOTH
def test_what_fails_is_told_and_run_again(gateway: Gateway, write: Write, form):
    batch = submitted(gateway, write(form, "ok", "bad", "ok", "bad"))
    watched = hermod(gateway, "batches", "watch", batch)
    assert watched.returncode == 1
    assert watched.stdout.splitlines()[-1].endswith(": 2 succeeded, 2 errored of 4, cost unknown (2 requests)")
    assert watched.stderr == f"why: hermod batches results --errors {batch}\n"
    assert results(gateway, batch) == ["r0", "r1", "r2", "r3"]
    assert results(gateway, batch, "--errors") == ["r1", "r3"]
    run_again = hermod(gateway, "batches", "retry", batch, "--watch")
    again, *_, last = run_again.stdout.splitlines()
    assert (run_again.returncode, last.partition(": ")[2]) == (1, "0 succeeded, 2 errored of 2")
    assert results(gateway, again) == ["r1", "r3"]
    assert batch in well(gateway, "batches", "show", again)


@BOTH
def test_a_cancelled_batch_ends_and_is_no_success(gateway: Gateway, write: Write, form):
    batch = submitted(gateway, write(form, *["slow"] * FULL), "--mode", "direct")
    assert batch in well(gateway, "batches", "cancel", batch)
    watched = hermod(gateway, "batches", "watch", "--json", batch)
    assert watched.returncode == 1
    counts = json.loads(watched.stdout.splitlines()[-1])["request_counts"]
    assert counts["canceled"] > 0
    assert len(results(gateway, batch)) == FULL


def test_a_batch_that_has_ended_cannot_be_cancelled(gateway: Gateway, write: Write):
    batch = submitted(gateway, write("params", "ok"), "--watch")
    cancelled = hermod(gateway, "batches", "cancel", batch)
    assert (cancelled.returncode, cancelled.stderr) == (1, f"Error: {batch} had ended before: 1 succeeded of 1.\n")


@BOTH
def test_requests_come_from_a_pipe_too(gateway: Gateway, write: Write, form):
    with Path(write(form, "ok", "ok")).open() as file:
        requests = file.read()
    endpoint = ["--endpoint", CHAT] if form == "body" else []
    printed = well(gateway, "submit", "-", "--watch", "--json", *endpoint, input=requests)
    told = [json.loads(line) for line in printed.splitlines()]
    assert len({batch["id"] for batch in told}) == 1
    assert results(gateway, told[0]["id"]) == ["r0", "r1"]


def test_a_batch_that_is_refused_leaves_no_file(gateway: Gateway, write: Write):
    before = ask(gateway.url, "GET", "/v1/files?purpose=batch").json["data"]
    done = hermod(gateway, "submit", write("body", "ok"), "--endpoint", CHAT, "--provider", "nobody")
    assert done.returncode == 1
    assert "provider 'nobody' is not configured" in done.stderr
    assert ask(gateway.url, "GET", "/v1/files?purpose=batch").json["data"] == before


def test_batches_and_jobs_belong_to_the_virtual_key(gateway: Gateway, write: Write):
    mine, theirs = "sk-bf-one-owner-of-a-batch", "sk-bf-another-owner"
    batch = submitted(gateway, write("params", "ok"), "--watch", key=mine)
    others = hermod(gateway, "batches", "show", batch, key=theirs)
    assert (others.returncode, others.stdout) == (1, "")
    assert others.stderr.startswith("Error: No such batch")
    assert batch not in hermod(gateway, "batches", "list", key=theirs).stdout
    assert well(gateway, "batches", "list", key=mine).count("batch_") == 1


def started(command: list[str], gateway: Gateway) -> subprocess.Popen[str]:
    """The command as from a terminal: a shell makes what runs in the background deaf to Ctrl-C, and it is inherited."""
    return subprocess.Popen(
        command,
        env=environment(gateway),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509 - no other thread
    )


def test_ctrl_c_ends_the_watching_and_not_the_batch(gateway: Gateway, write: Write):
    command = [HERMOD, "submit", write("params", *["slow"] * 150), "--watch"]
    with started(command, gateway) as watching:
        assert watching.stdout is not None
        batch = watching.stdout.readline().strip()
        assert watching.stdout.readline().startswith("in_progress")
        watching.send_signal(signal.SIGINT)
        _, said = watching.communicate(timeout=WITHIN_S)
    assert watching.returncode == 1
    assert said == f"stopped watching; the batch goes on: hermod batches watch {batch}\n"
    assert well(gateway, "batches", "watch", batch).endswith("150 succeeded of 150, cost unknown (150 requests)\n")


def test_a_terminal_gets_a_bar(gateway: Gateway, write: Write):
    ours, theirs = pty.openpty()
    environ = {**environment(gateway), "TERM": "xterm", "COLUMNS": "100"}
    command = [HERMOD, "submit", write("params", *["slow", "ok"] * 5), "--watch"]
    with subprocess.Popen(command, env=environ, stdout=theirs, stderr=theirs) as watching:
        os.close(theirs)
        shown = b""
        while piece := _read(ours):
            shown += piece
    os.close(ours)
    assert watching.returncode == 0
    lines = shown.decode().replace("\r\n", "\n").split("\r")
    assert any("sending" in line and "100%" in line for line in lines)
    assert any("#" in line and "10/10" in line and "100%" in line for line in lines)
    assert lines[-1].splitlines()[-1].endswith("ended: 10 succeeded of 10, cost unknown (10 requests)")


def _read(terminal: int) -> bytes:
    """What is written to the terminal; nothing when nobody has it any more."""
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux' way to say so
        return b""


# --- jobs -----------------------------------------------------------------------------------------------


def job(gateway: Gateway, model: str) -> str:
    answer = ask(gateway.url, "POST", f"/v1/async{CHAT.removeprefix('/v1')}", completion(model=f"openai/{model}"))
    assert answer.status == 202, answer.body
    return answer.json["id"]


def test_a_job_is_followed_to_its_answer(gateway: Gateway):
    job_id = job(gateway, "sim-503-once")
    told = [line for line in well(gateway, "jobs", "tail", job_id).splitlines() if not line.startswith("waiting")]
    assert [line.split()[0] for line in told] == ["queued", "running", "attempt", "attempt", "You", "succeeded"]
    assert "(status 503)" in told[2]
    assert told[2].endswith("-> wait")
    shown = well(gateway, "jobs", "show", job_id)
    assert "status     succeeded\n" in shown
    assert shown.count("attempt ") == 2


def test_a_streams_text_is_printed_as_text(gateway: Gateway):
    body = {"model": "openai/sim-words-20", "input": "Hello", "background": True, "stream": True}
    job_id = ask(gateway.url, "POST", "/openai/responses", body).headers["x-bf-job-id"]
    told = well(gateway, "jobs", "tail", job_id).splitlines()
    assert told[-2].startswith("You said")
    assert told[-1].startswith("succeeded at ")
    events = [json.loads(line) for line in well(gateway, "jobs", "tail", "--json", job_id).splitlines()]
    texts = [event["data"]["delta"] for event in events if event["event"] == "response.output_text.delta"]
    assert "".join(texts) == told[-2]


def test_a_failed_job_says_why(gateway: Gateway):
    told = hermod(gateway, "jobs", "tail", job(gateway, "sim-400"))
    assert told.returncode == 1
    assert told.stdout.splitlines()[-1] == "failed: Simulated status 400"


def test_jobs_are_listed_by_status_and_cancelled(gateway: Gateway):
    job_id = job(gateway, "sim-latency-20000")
    assert well(gateway, "jobs", "cancel", job_id) == f"{job_id} cancelled\n"
    assert job_id in well(gateway, "jobs", "list", "--status", "cancelled")
    listed = well(gateway, "jobs", "list", "--json", "--limit", "1")
    assert json.loads(listed)["id"] == job_id
    ended = job(gateway, "sim-words-1")
    assert hermod(gateway, "jobs", "tail", ended).returncode == 0
    late = hermod(gateway, "jobs", "cancel", ended)
    assert (late.returncode, late.stderr) == (1, f"Error: {ended} had ended before: succeeded.\n")


def test_ctrl_c_leaves_the_job_alone(gateway: Gateway):
    job_id = job(gateway, "sim-latency-3000")
    with started([HERMOD, "jobs", "tail", job_id], gateway) as tail:
        assert tail.stdout is not None
        assert tail.stdout.readline().startswith("queued")
        tail.send_signal(signal.SIGINT)
        _, said = tail.communicate(timeout=WITHIN_S)
    assert (tail.returncode, said) == (1, f"\nstopped following; the job goes on: hermod jobs tail {job_id}\n")
    assert well(gateway, "jobs", "tail", job_id).splitlines()[-1].startswith("succeeded")
