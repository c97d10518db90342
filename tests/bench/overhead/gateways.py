"""What is compared: the simulator asked directly, and the gateways in front of it, each as its makers would run it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from deploy.private_files import api_document
from shared.config_environment import simulator_config
from tests.bench.overhead import installed
from tests.bench.overhead.processes import DoesNotStart, cpu_s, started, tree, until_answered, until_idle
from tests.bench.server import Server, python
from tests.contract.process import clean_environment
from tests.ports import free_port

PLAIN = "gpt-sim-small"
STREAM = "sim-words-500"
ONE_BY_ONE = "sim-words-100+rate-100"
MODELS = (PLAIN, STREAM, ONE_BY_ONE)

OURS_STARTS_WITHIN_S = 30.0
THEIRS_STARTS_WITHIN_S = 180.0
BOOTS_WITHIN_S = 180.0
"""From the first answer until every process has started: a gateway of several answers before the last one has."""
KEY = "sk-bf-bench"
PATH = "/v1/chat/completions"
JSON = {"content-type": "application/json"}
SENTENCE = "The quick brown fox jumps over the lazy dog near the river bank. "


class Gateway(msgspec.Struct, frozen=True):
    """A server under test.

    Attributes:
        ports: of its processes that face clients.
        processes: what its CPU is the sum of: process ids by role, counted with all they started.
    """

    name: str
    version: str
    ports: tuple[int, ...]
    path: str
    headers: Mapping[str, str]
    processes: Mapping[str, tuple[int, ...]]

    def request(self, model: str) -> bytes:
        """A whole chat completion of 1 KB as it goes over the wire."""
        content = body(model)
        headers = {"host": "localhost", **self.headers, "content-length": str(len(content))}
        lines = [f"POST {self.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + content

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds so far, by role."""
        return {role: sum(map(cpu_s, pids)) for role, pids in self.processes.items()}

    def pids(self) -> list[int]:
        return [pid for pids in self.processes.values() for pid in pids]

    def tree(self) -> set[int]:
        """All its processes, those it started itself among them."""
        return {one for pid in self.pids() for one in tree(pid)}


def environment() -> dict[str, str]:
    """No provider's key, and none of the switches that keep Python from storing what it compiled.

    With PYTHONDONTWRITEBYTECODE a large package is compiled at every start of every worker, which takes so long that
    a supervisor may kill it.
    """
    return {name: value for name, value in clean_environment().items() if name != "PYTHONDONTWRITEBYTECODE"}


def body(model: str) -> bytes:
    """A chat completion of 1 KB; a stream for every model but the plain one."""
    content: dict[str, Any] = {"model": model, "stream": model != PLAIN, "messages": [{"role": "user", "content": ""}]}
    content["messages"][0]["content"] = (SENTENCE * 20)[: 1024 - len(json.dumps(content))]
    return json.dumps(content).encode()


BODY = body(PLAIN)


@contextmanager
def direct(folder: Path) -> Iterator[Gateway]:
    """The simulator itself."""
    port, log = free_port(), folder / "simulator.log"
    headers = {**JSON, "authorization": "Bearer bench"}
    command = python("deploy.simulator", "--port", str(port))
    with started(command, environment(), log) as process:
        until_answered(process, log, f"http://127.0.0.1:{port}{PATH}", headers, BODY, within_s=OURS_STARTS_WITHIN_S)
        yield Gateway("direct", version("hermod"), (port,), PATH, headers, {"simulator": (process.pid,)})


@contextmanager
def hermod(
    folder: Path,
    simulator: str,
    server: Server,
    apis: int,
    workers: int,
    *,
    module: str = "deploy.cli",
    variables: Mapping[str, str] | None = None,
    name: str = "Hermod",
) -> Iterator[Gateway]:
    """`hermod api` and `hermod worker` on a Redis with the settings `hermod up` gives it.

    `module` is run as the `hermod` command, with these variables besides the usual ones.
    """
    document = {
        "client": {"enforce_auth_on_inference": True},
        "governance": {"virtual_keys": [{"name": "bench", "value": KEY}]},
        **simulator_config(simulator),
    }
    (folder / "worker.json").write_text(json.dumps(document))
    (folder / "api.json").write_text(json.dumps(api_document(document)))
    ports = tuple(free_port() for _ in range(apis))
    path, headers = f"/openai{PATH}", {**JSON, "authorization": f"Bearer {KEY}"}
    with ExitStack() as stack:
        given = {**environment(), "HERMOD_REDIS_URL": server.url, **(variables or {})}

        def start(role: str, what: str, *arguments: str) -> tuple[subprocess.Popen[bytes], Path]:
            log = folder / f"{what}.log"
            options = ["--config", str(folder / f"{role}.json"), "--data-dir", str(folder / "data"), *arguments]
            command = python(module, role, "--metrics-port", "0", *options)
            return stack.enter_context(started(command, given, log)), log

        faces = [start("api", f"api-{port}", "--port", str(port)) for port in ports]
        hands = [start("worker", f"worker-{number}") for number in range(workers)]
        for port, (process, log) in zip(ports, faces, strict=True):
            url = f"http://127.0.0.1:{port}{path}"
            until_answered(process, log, url, headers, BODY, within_s=OURS_STARTS_WITHIN_S)
        processes = {
            "API": tuple(process.pid for process, _ in faces),
            "worker": tuple(process.pid for process, _ in hands),
            "Redis": (server.process.pid,),
        }
        yield Gateway(name, version("hermod"), ports, path, headers, processes)


@contextmanager
def litellm(folder: Path, simulator: str) -> Iterator[Gateway]:
    """LiteLLM's proxy by its "Production Best Practices" and "Server Tuning" pages, as far as they fit one machine.

    There: a worker per core on a single machine, LITELLM_LOG=ERROR, LITELLM_MODE=PRODUCTION, a master key, JSON
    logs, nothing verbose, a request timeout, the default routing and server, keep-alive beyond the load balancer's.
    Without a database there is no spend to write. Prices come from the package, not from the network.
    Raises NotInstalled, DoesNotStart.
    """
    found = installed.litellm()
    port, log, config = free_port(), folder / "litellm.log", folder / "litellm.yaml"
    upstream = {"api_base": f"{simulator}/v1", "api_key": "bench"}
    models = [{"model_name": name, "litellm_params": {"model": f"openai/{name}", **upstream}} for name in MODELS]
    settings = {
        "model_list": models,
        "general_settings": {"disable_error_logs": True},
        "litellm_settings": {"set_verbose": False, "json_logs": True, "request_timeout": 600},
    }
    config.write_text(json.dumps(settings))
    given = {
        **environment(),
        "LITELLM_MASTER_KEY": "sk-bench",
        "LITELLM_LOG": "ERROR",
        "LITELLM_MODE": "PRODUCTION",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "KEEPALIVE_TIMEOUT": "75",
    }
    address = ["--host", "127.0.0.1", "--port", str(port), "--num_workers", str(os.cpu_count())]
    patient = ["--timeout_worker_healthcheck", "60"]  # after 5 s its supervisor kills a worker that still starts
    headers = {**JSON, "authorization": "Bearer sk-bench"}
    with started([*found.command, "--config", str(config), *address, *patient], given, log) as process:
        until_answered(process, log, f"http://127.0.0.1:{port}{PATH}", headers, BODY, within_s=THEIRS_STARTS_WITHIN_S)
        if not until_idle([process.pid], BOOTS_WITHIN_S):
            raise DoesNotStart(f"still busy {BOOTS_WITHIN_S:g} s after its first answer")
        yield Gateway("LiteLLM", found.version, (port,), PATH, headers, {"proxy": (process.pid,)})


@contextmanager
def portkey(folder: Path, simulator: str) -> Iterator[Gateway]:
    """Portkey's gateway as its image starts it: one Node process, NODE_ENV=production, no console.

    Raises NotInstalled, DoesNotStart.
    """
    found = installed.portkey()
    port, log = free_port(), folder / "portkey.log"
    headers = {
        **JSON,
        "authorization": "Bearer bench",
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": f"{simulator}/v1",
    }
    given = {**environment(), "NODE_ENV": "production"}
    with started([*found.command, f"--port={port}", "--headless"], given, log) as process:
        until_answered(process, log, f"http://127.0.0.1:{port}{PATH}", headers, BODY, within_s=THEIRS_STARTS_WITHIN_S)
        yield Gateway("Portkey", found.version, (port,), PATH, headers, {"gateway": (process.pid,)})
