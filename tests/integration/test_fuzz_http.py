"""No request to a POST route is answered with a 5xx: the real API, a worker and the provider simulator as processes."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from litestar.exceptions import LitestarDeprecationWarning

from api.app import build_app
from shared.settings import ObjectStoreSettings, Settings
from tests.integration.test_jobs_surface import WITHIN_S, answers, environment, until, written
from tests.ports import free_port
from tests.unit.fuzz.headers import headers
from tests.unit.fuzz.often import often
from tests.unit.fuzz.peer import Answer, Lines, Peer
from tests.unit.fuzz.posts import IDS, Post, posts, surface_of

EXAMPLES = 200
EXAMPLES_ELSEWHERE = 60
"""For routes whose bodies are no requests to a model; each batch is waited for."""
IDENTITY = {"x-bf-vk", "authorization", "x-api-key", "api-key", "x-goog-api-key"}
"""Headers that say who asks."""
OWN_FAILURE = re.compile(rb'"api_error"|"status_code": ?5')
"""How a line of results tells it."""
LIKELY = {"/batches/": "known-batch", "/uploads/": "known-upload", "/responses/": "resp_known-job"}
"""The ids that paths are for."""
ENDED = {"ended", "completed", "failed", "expired", "cancelled"}


def post_routes() -> dict[str, list[str]]:
    """The paths of all POST routes, under one name those that are for the same bodies."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LitestarDeprecationWarning)  # of path parameters; the process says it too
        app = build_app(Settings(object_store=ObjectStoreSettings(path="unused")))
    found: dict[str, list[str]] = {}
    for route in app.routes:
        if "POST" in getattr(route, "methods", ()):
            kind = (*(surface_of(route.path) or [_below(route.path)]), *["async"] * ("/async/" in route.path))
            found.setdefault(" ".join(kind), []).append(route.path)
    return found


def _below(path: str) -> str:
    """The path without what the base URLs of a surface differ in."""
    return path.removeprefix("/openai").removeprefix("/v1")


@dataclass
class Gateway:
    """The processes, and a client of theirs."""

    peer: Peer
    logs: list[Path]
    _told: int = 0

    def defects(self) -> list[str]:
        """What the processes logged of failures of their own since this was last asked."""
        lines = [line for log in self.logs for line in log.read_text(errors="replace").splitlines()]
        told = [line for line in lines if any(word in line for word in ("ERROR", "Traceback"))]
        new, self._told = told[self._told :], len(told)
        return new


@contextlib.contextmanager
def hermod(log: Path, *arguments: str) -> Iterator[None]:
    with log.open("wb") as output:
        command = [sys.executable, "-P", "-m", "deploy.cli", *arguments]
        process = subprocess.Popen(command, env=environment(), stdout=output, stderr=subprocess.STDOUT)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(WITHIN_S)
        finally:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def gateway(server, tmp_path_factory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("fuzz")
    simulator, port = free_port(), free_port()
    config = written(folder / "config.json", _config(f"http://127.0.0.1:{simulator}", server.url))
    common = ("--config", config, "--data-dir", str(folder))
    logs = [folder / "api.log", folder / "worker.log", folder / "simulator.log"]
    with (
        hermod(logs[2], "simulate", "--port", str(simulator)),
        hermod(logs[0], "api", "--port", str(port), *common),
        hermod(logs[1], "worker", *common),
    ):
        until(lambda: answers(f"http://127.0.0.1:{simulator}/__health") and answers(f"http://127.0.0.1:{port}/health"))
        with contextlib.closing(Peer(port)) as peer:
            yield Gateway(peer, logs)


def _config(simulator: str, redis_url: str) -> dict[str, Any]:
    network = {"base_url": f"{simulator}/v1", "max_retries": 0}
    providers = {name: {"keys": [{"value": "k"}], "network_config": network} for name in ("openai", "mistral")}
    providers["anthropic"] = {"keys": [{"value": "k"}], "network_config": {**network, "base_url": simulator}}
    # Short leases: whatever takes a worker's task down is given up after three of them.
    return {"providers": providers, "redis": {"url": redis_url}, "worker": {"lease_s": 5, "renew_s": 0.5}}


@st.composite
def _paths(draw: st.DrawFn, templates: list[str]) -> str:
    """A path of one of the routes, with some id where it wants one."""
    template = draw(st.sampled_from(templates))
    likely = next((made for kind, made in LIKELY.items() if kind in template), IDS[0])
    ids = st.one_of(st.just(likely), st.sampled_from(IDS))
    path = "/".join(quote(draw(ids), safe="") if step.startswith("{") else step for step in template.split("/"))
    return path + draw(st.sampled_from(["", "", "", "?beta=true", "?%ff=%00&limit=x", "/", "//"]))


ROUTES = post_routes()


@pytest.mark.parametrize("templates", ROUTES.values(), ids=ROUTES)
def test_no_request_is_answered_with_a_failure_of_the_gateway(gateway: Gateway, templates: list[str]):
    peer, of_batches = gateway.peer, "/batches" in templates[0] and not templates[0].startswith("/console")
    uploads = posts("/files") if "/batches" in ROUTES and templates is ROUTES["/batches"] else st.none()
    gateway.defects()

    @often(EXAMPLES if surface_of(templates[0]) else EXAMPLES_ELSEWHERE, shrink=False)
    @given(_paths(templates), headers, uploads, posts(templates[0]))
    def follow(path: str, lines: Lines, upload: Post | None, post: Post) -> None:
        caller, base = [line for line in lines if line[0] in IDENTITY], path.partition("/batches")[0]
        if upload:
            peer.ask("POST", f"{base}/files", [*caller, ("content-type", upload.content_type)], upload.body)
        answer = peer.ask("POST", path, [*lines, ("content-type", post.content_type)], post.body)
        event(str(answer.status))
        if of_batches and answer.status < 400:
            _look_up_batch(peer, base, caller, answer.fields["id"])
        else:
            _look_up_job(peer, path.partition("?")[0].rstrip("/"), caller, answer)

    follow()
    assert not gateway.defects()


def _look_up_job(peer: Peer, path: str, caller: Lines, answer: Answer) -> None:
    """Ask for what became of an accepted job, until it has ended, and for what is kept of it."""
    job_id = answer.headers.get("x-bf-job-id")
    wait = [*caller, ("prefer", "wait=10")]
    if answer.pending and "/async/" in path:
        until(lambda: not peer.ask("GET", f"{path}/{job_id}", wait).pending)
    elif answer.pending:
        until(lambda: not peer.ask("POST", path, [*wait, ("x-bf-async-id", str(job_id))]).pending)
    if job_id and path.endswith("/responses") and "/async/" not in path:
        peer.ask("GET", f"{path}/resp_{job_id}", caller)
        peer.ask("GET", f"{path}/resp_{job_id}/input_items", caller)


def _look_up_batch(peer: Peer, base: str, caller: Lines, batch_id: str) -> None:
    """Ask for a batch until it has ended, and for its results: none may be a failure of the gateway's own."""

    def ended() -> dict[str, Any] | None:
        found = peer.ask("GET", f"{base}/batches/{batch_id}", caller).fields
        return found if found.get("processing_status", found.get("status")) in ENDED else None

    batch = until(ended)
    paths = [f"{base}/batches/{batch_id}/results"] if "results_url" in batch else []
    paths += [f"{base}/files/{batch[name]}/content" for name in ("output_file_id", "error_file_id") if batch.get(name)]
    results = b"".join(peer.ask("GET", path, caller).body for path in paths)
    for line in results.splitlines():
        assert json.loads(line)
        assert not OWN_FAILURE.search(line), line
