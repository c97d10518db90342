"""The processes that all tests of this folder ask, and the things of a tenant that strangers try to reach."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.integration.test_jobs_surface import FINAL, WITHIN_S, answers, hermod, until, written
from tests.ports import free_port

OWNER, OTHER, EXPIRED = "sk-bf-owner", "sk-bf-other", "sk-bf-expired"
TOKEN = "an-admin-token-of-tests"
SECRET = "what-only-the-owner-may-read"
"""In everything that the owner makes."""
PROVIDER_KEY = "sk-the-operators-own-key"

CLAUDE = "claude-x"
GPT = "openai/gpt-x"
_KEYS = [
    {"name": "owner", "value": OWNER},
    {"name": "other", "value": OTHER},
    {"name": "expired", "value": EXPIRED, "expires_at": "2020-01-01T00:00:00Z"},
]
PLAYED = {"model": GPT, "message": SECRET, "max_tokens": "20"}
"""What is sent at the console's playground."""
_ENDED = {"ended", "completed", "failed", "expired", "cancelled"}


@dataclass
class Place:
    """The gateway's address, what its processes were started with, the simulator, and a client with no headers."""

    port: int
    api_pid: int
    worker_pid: int
    arguments: tuple[str, ...]
    api: httpx.Client
    simulator: httpx.Client
    revoked: str = ""

    def ask(self, method: str, path: str, key: str = "", **more: Any) -> httpx.Response:
        headers = {**({"authorization": f"Bearer {key}"} if key else {}), **more.pop("headers", {})}
        return self.api.request(method, path, headers=headers, **more)

    def made(self, path: str, key: str = OWNER, **more: Any) -> dict[str, Any]:
        answer = self.ask("POST", path, key, **more)
        assert answer.status_code < 300, answer.text
        found: dict[str, Any] = answer.json()
        return found

    # --- things of the owner ----------------------------------------------------------------------------

    def file(self, surface: str = "/v1", purpose: str = "user_data") -> str:
        """The id of a new file, as the surface calls it."""
        line = {"custom_id": "one", "method": "POST", "url": "/v1/chat/completions", "body": chat()}
        content = json.dumps(line).encode() if purpose == "batch" else SECRET.encode()
        base = "/anthropic/v1" if surface == "anthropic" else surface
        return str(
            self.made(f"{base}/files", files={"file": (f"{SECRET}.jsonl", content)}, data={"purpose": purpose})["id"]
        )

    def upload(self) -> dict[str, Any]:
        """An upload with one part: its id, and what completes it."""
        facts = {"filename": SECRET, "purpose": "user_data", "bytes": len(SECRET), "mime_type": "text/plain"}
        upload = self.made("/v1/uploads", json=facts)["id"]
        part = self.made(f"/v1/uploads/{upload}/parts", files={"data": ("p", SECRET.encode())})["id"]
        return {"id": upload, "body": {"part_ids": [part]}}

    def batch(self, surface: str) -> str:
        """The id of a batch that has ended, one of its requests without success, so that it can be run again."""
        if surface == "anthropic":
            requests = [{"custom_id": "one", "params": message()}, {"custom_id": "two", "params": message("sim-400")}]
            path = "/anthropic/v1/messages/batches"
            made = self.made(path, json={"requests": requests})["id"]
        else:
            path = "/v1/batches"
            file = self.file(purpose="batch")
            facts = {"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
            made = self.made(path, json=facts)["id"]
            self.ask("POST", f"{path}/{made}/cancel", OWNER)

        def ended() -> bool:
            batch = self.ask("GET", f"{path}/{made}", OWNER).json()
            return batch.get("processing_status", batch.get("status")) in _ENDED

        until(ended)
        return str(made)

    def job(self) -> str:
        """The id of an asynchronous job that has ended."""
        answer = self.ask("POST", "/anthropic/v1/messages", OWNER, json=message(), headers={"x-bf-async": "true"})
        job = answer.json()["id"]
        until(lambda: self.ask("GET", f"/v1/jobs/{job}", OWNER).json()["status"] in FINAL)
        return str(job)

    def response(self) -> str:
        """The id of a stored response."""
        return str(self.made("/v1/responses", json={"model": GPT, "input": SECRET, "background": True})["id"])

    def async_job(self, path: str) -> str:
        """The id of a job submitted at one of the native surface's own routes."""
        return str(self.made(path, json=body_of(path))["id"])

    def webhook(self) -> tuple[str, str]:
        """The name of a new webhook endpoint, and the id of a delivery to it."""
        name = f"w{uuid.uuid4().hex[:12]}"
        self.admin("webhooks", name=name, url="https://hooks.example/x", events=["batch.completed"])
        return name, str(self.admin(f"webhooks/{name}/test")["id"])

    def cached(self) -> tuple[str, str]:
        """The id of an answer in the cache, and the key that it lies under."""
        key = uuid.uuid4().hex
        answer = self.ask("POST", "/v1/chat/completions", OWNER, json=chat(), headers={"x-bf-cache-key": key})
        return answer.headers["x-bf-cache-id"], key

    def operator_job(self) -> str:
        """The id of a job that was asked for at the playground."""
        asked = self.ask("POST", "/console/playground", TOKEN, data=PLAYED)
        job = asked.headers["location"].partition("job=")[2]
        until(lambda: self.ask("GET", f"/console/playground/{job}/events", TOKEN).is_success)
        return str(job)

    def admin(self, path: str, **facts: Any) -> dict[str, Any]:
        """What the administration has made of `facts`."""
        return self.made(f"/admin/{path}", TOKEN, json=facts)


def message(model: str = CLAUDE) -> dict[str, Any]:
    return {"model": model, "max_tokens": 20, "messages": [{"role": "user", "content": f"{SECRET} {uuid.uuid4()}"}]}


def chat() -> dict[str, Any]:
    return {"model": GPT, "messages": [{"role": "user", "content": f"{SECRET} {uuid.uuid4()}"}]}


def body_of(path: str) -> dict[str, Any]:
    """A request that the route takes, `path` being one that runs a model."""
    if path.endswith(("/responses", "/input_tokens")):
        return {"model": GPT, "input": SECRET}
    if path.endswith("/embeddings"):
        return {"model": "openai/text-embedding-3-small", "input": SECRET}
    if path.endswith("/chat/completions"):
        return chat()
    counted = message()
    return counted if path.endswith("/messages") else {"model": CLAUDE, "messages": counted["messages"]}


@contextlib.contextmanager
def running(redis_url: str, folder: Path, **more: Any) -> Iterator[Place]:
    """Start the simulator, the API and a worker; `more` is of the configuration."""
    simulator, port = free_port(), free_port()
    network = {"base_url": f"http://127.0.0.1:{simulator}", "max_retries": 0}
    keys = [{"value": PROVIDER_KEY}]
    document = {
        "client": {
            "enforce_auth_on_inference": True,
            "allowed_origins": ["https://console.example", "https://*.team.example/"],
            "metrics_port": 0,
        },
        "governance": {"virtual_keys": _KEYS},
        "admin": {"token": TOKEN},
        "providers": {
            "anthropic": {"keys": keys, "network_config": network},
            "openai": {"keys": keys, "network_config": {**network, "base_url": f"{network['base_url']}/v1"}},
        },
        "redis": {"url": redis_url},
        "worker": {"lease_s": 5, "renew_s": 0.5, "grace_s": 0, "metrics_port": 0},
        **more,
    }
    common = ("--config", written(folder / "config.json", document), "--data-dir", str(folder))
    with (
        hermod("simulate", "--port", str(simulator)),
        hermod("api", "--port", str(port), *common) as api,
        hermod("worker", *common) as worker,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=WITHIN_S) as client,
        httpx.Client(base_url=f"http://127.0.0.1:{simulator}", timeout=WITHIN_S) as ledger,
    ):
        until(lambda: answers(f"http://127.0.0.1:{simulator}/__health"))
        until(lambda: answers(f"http://127.0.0.1:{port}/health"))
        until(lambda: client.get("/health").json().get("workers") == 1)
        place = Place(port, api.pid, worker.pid, common, client, ledger)
        key = place.admin("virtual-keys", name="revoked")
        place.revoked = key["value"]
        place.admin(f"virtual-keys/{key['id']}/revoke")
        yield place
