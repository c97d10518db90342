"""What a log line says of its job, and what it never says."""

import asyncio
import io
import json
import logging
import sys

import pytest

from shared import logs

PROMPT = "words of a client"
TRACEPARENT = "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"


@pytest.fixture
def said(monkeypatch):
    """Everything written so far, as objects; logging is as it was afterwards."""
    root = logging.getLogger()
    before, written = (root.handlers[:], root.level), io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)

    def lines() -> list[dict[str, object]]:
        return [json.loads(line) for line in written.getvalue().splitlines()]

    logs.configure("json", "debug")
    yield lines
    root.handlers[:] = before[0]
    for name in (None, *logs._OURS, *logs._QUIET):
        logging.getLogger(name).setLevel(logging.NOTSET if name else before[1])


async def test_lines_of_a_task_about_a_job_say_so_those_of_its_children_too_and_no_others(said):
    log = logging.getLogger("hermod.test")

    async def child() -> None:
        log.info("child")

    async def work(number: int) -> None:
        logs.about(f"job-{number}", TRACEPARENT if number else "")
        await asyncio.create_task(child())
        log.info("work")

    await asyncio.gather(work(0), work(1))
    log.info("outside")
    found = {(line["message"], line.get("job_id"), line.get("trace_id")) for line in said()}
    assert found == {
        ("child", "job-0", None),
        ("work", "job-0", None),
        ("child", "job-1", "ab" * 16),
        ("work", "job-1", "ab" * 16),
        ("outside", None, None),
    }


async def test_a_line_about_another_job_has_not_this_ones_trace(said):
    async def work() -> None:
        logs.about("job-1", TRACEPARENT)
        logging.getLogger("hermod.test").info("another", extra={"job_id": "job-2"})

    await asyncio.create_task(work())
    (line,) = said()
    assert (line["job_id"], line.get("trace_id")) == ("job-2", None)


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_of_an_exception_where_it_came_from_is_shown_but_not_its_text(log_format):
    formatter = logs.JsonFormatter() if log_format == "json" else logs.TextFormatter()
    try:
        raise ValueError(PROMPT)
    except ValueError as error:
        record = logging.LogRecord("a.b", logging.ERROR, "f", 1, "it failed", (), (type(error), error, None))
        record.exc_info = (type(error), error, error.__traceback__)
    shown = formatter.format(record)
    assert "ValueError" in shown
    assert "test_of_an_exception" in shown
    assert PROMPT not in shown


async def test_what_a_forgotten_task_died_of_is_shown_without_its_text(said):
    async def die() -> None:
        raise ValueError(PROMPT)

    task = asyncio.create_task(die())
    await asyncio.wait([task])
    context = {"message": "Task exception was never retrieved", "exception": task.exception(), "future": task}
    asyncio.get_running_loop().call_exception_handler(context)
    (line,) = said()
    assert line["message"] == "Task exception was never retrieved"
    assert PROMPT not in json.dumps(line)


def test_at_debug_level_libraries_still_keep_what_they_send_to_themselves(said):
    for name in ("hermod.worker", "deploy.up", "httpx", "aiohttp.client", "botocore.auth", "urllib3.connectionpool"):
        logging.getLogger(name).debug("debug of %s", name)
        logging.getLogger(name).info("info of %s", name)
    logging.getLogger("some.library").debug("debug of some.library")
    messages = {line["message"] for line in said()}
    assert messages == {f"{level} of {name}" for level in ("debug", "info") for name in ("hermod.worker", "deploy.up")}
