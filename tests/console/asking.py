"""What clients send, so that there is something to look at."""

import json
import uuid

import httpx

EVIL = "<img src=x onerror=alert(1)>"


def submit(client: httpx.Client, model: str, **headers: str) -> str:
    """The id of a new job."""
    content = {"role": "user", "content": str(uuid.uuid4())}
    body = {"model": model, "max_tokens": 50, "messages": [content]}
    answer = client.post("/anthropic/v1/messages", json=body, headers={"x-bf-async": "true", **headers})
    assert answer.status_code == 200, answer.text
    return answer.json()["id"]


def upload(client: httpx.Client, content: bytes, name: str) -> str:
    """The id of a new file."""
    file = client.post("/openai/v1/files", data={"purpose": "batch"}, files={"file": (name, content)})
    assert file.status_code == 200, file.text
    return file.json()["id"]


def batch(client: httpx.Client, models: list[str], metadata: dict[str, str] | None = None) -> str:
    """The UUID of a new batch with an item for each model, on OpenAI's surface."""
    requests = [
        {
            "custom_id": f"{number}-{EVIL}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": model, "messages": [{"role": "user", "content": str(number)}]},
        }
        for number, model in enumerate(models)
    ]
    file = upload(client, "\n".join(map(json.dumps, requests)).encode(), f"{EVIL}.jsonl")
    asked = {"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    made = client.post(
        "/openai/v1/batches", json={**asked, "metadata": metadata or {}}, headers={"x-bf-batch-mode": "direct"}
    )
    assert made.status_code == 200, made.text
    return str(uuid.UUID(made.json()["id"].removeprefix("batch_")))


def anthropic_batch(client: httpx.Client, models: list[str]) -> str:
    """The same on Anthropic's."""
    requests = [
        {
            "custom_id": f"item-{number}",
            "params": {"model": model, "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]},
        }
        for number, model in enumerate(models)
    ]
    asked = {"requests": requests}
    made = client.post("/anthropic/v1/messages/batches", json=asked, headers={"x-bf-batch-mode": "direct"})
    assert made.status_code == 200, made.text
    return str(uuid.UUID(made.json()["id"].removeprefix("msgbatch_")))
