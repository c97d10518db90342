"""Redis under a key: after all kinds of traffic through real processes nothing that callers sent or got lies readable.

Looked at is every command that reaches Redis, as its own MONITOR tells them, and what lies there in the end.
"""

from __future__ import annotations

import base64
import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import redis

from tests.integration.test_jobs_surface import FINAL, until
from tests.receiver import Receiver
from tests.security.place import GPT, OWNER, SECRET, TOKEN, Place, chat, message, running

KEY, NEWER = (base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2))
SAID = "the same answer to the same question"
"""In every answer of the simulator; a stream brings it in pieces, but SECRET in one."""
MAGIC = b"HRV\x01"
ENDPOINT = "told"


def sealed(url: str, folder: Any, *keys: str) -> contextlib.AbstractContextManager[Place]:
    more: dict[str, Any] = {"encryption": {"keys": list(keys)}} if keys else {}
    cache = {"provider": "openai", "embedding_model": "text-embedding-3-small"}
    return running(url, folder, object_store={"path": str(folder / "objects")}, cache=cache, **more)


@contextlib.contextmanager
def watched(url: str) -> Iterator[list[str]]:
    """Every command that reaches the server, those of scripts among them."""
    commands: list[str] = []
    client = redis.Redis.from_url(url)
    with client.monitor() as monitor:

        def listen() -> None:
            with contextlib.suppress(redis.RedisError, ValueError, OSError, AttributeError):
                for command in monitor.listen():
                    commands.append(command["command"])  # noqa: PERF401 - read while it grows

        thread = threading.Thread(target=listen)
        thread.start()
        yield commands
        client.set("the-end", "x")
        until(lambda: any("the-end" in command for command in commands[-1000:]))
        monitor.connection.disconnect()
        thread.join()
    client.close()


_READ: dict[bytes, Callable[[redis.Redis, bytes], Any]] = {
    b"string": lambda client, key: client.get(key),
    b"hash": lambda client, key: client.hgetall(key),
    b"list": lambda client, key: client.lrange(key, 0, -1),
    b"set": lambda client, key: client.smembers(key),
    b"zset": lambda client, key: client.zrange(key, 0, -1),
    b"stream": lambda client, key: client.xrange(key),
}


def everything(url: str) -> dict[bytes, Any]:
    """What lies in Redis, by key."""
    with redis.Redis.from_url(url) as client:
        return {key: _READ[client.type(key)](client, key) for key in client.scan_iter(count=1000)}


def kinds_that_tell(found: dict[bytes, Any], *words: str) -> set[str]:
    """Kinds of keys in which one of the words can be read."""
    told = {key for key, value in found.items() if any(word in repr((key, value)) for word in words)}
    return {key.decode().split(":")[1] for key in told}


def traffic(place: Place, receiver: Receiver) -> tuple[str, ...]:
    """One of everything, each read back: the words that nobody else may read."""
    secret = place.admin("webhooks", name=ENDPOINT, url=receiver.url, allow_private_network=True)["secret"]
    place.file()
    upload = place.upload()
    assert place.made(f"/v1/uploads/{upload['id']}/complete", json=upload["body"])["file"]["filename"] == SECRET
    assert SECRET in place.ask("GET", "/v1/files", OWNER).text
    plain(place)
    streamed(place)
    told(place, receiver)
    stored(place)
    cached(place)
    batch = place.batch("anthropic")
    place.batch("openai")
    results = place.ask("GET", f"/anthropic/v1/messages/batches/{batch}/results", OWNER).text
    assert SECRET in results
    assert len(results.splitlines()) == 2
    return SECRET, SAID, secret


def plain(place: Place) -> None:
    answer = place.made("/anthropic/v1/messages", json=message())
    assert SECRET in answer["content"][0]["text"]
    refused = place.ask("POST", "/anthropic/v1/messages", OWNER, json=message("sim-400"))
    assert refused.status_code == 400


def streamed(place: Place) -> None:
    body = {**message(), "stream": True}
    assert SECRET in place.ask("POST", "/anthropic/v1/messages", OWNER, json=body).text
    kept = {"model": GPT, "input": SECRET, "stream": True, "background": True}
    first = place.ask("POST", "/v1/responses", OWNER, json=kept).text
    name = json.loads(first.partition("data: ")[2].partition("\n")[0])["response"]["id"]
    again = place.ask("GET", f"/v1/responses/{name}", OWNER, params={"stream": "true", "starting_after": 0}).text
    assert SECRET in again


def told(place: Place, receiver: Receiver) -> None:
    """An asynchronous job, of whose end an endpoint hears."""
    headers = {"x-bf-async": "true", "x-bf-async-webhook": ENDPOINT}
    job = place.ask("POST", "/anthropic/v1/messages", OWNER, json=message(), headers=headers).json()["id"]
    until(lambda: place.ask("GET", f"/v1/jobs/{job}", OWNER).json()["status"] in FINAL)
    answer = place.ask("POST", "/anthropic/v1/messages", OWNER, headers={"x-bf-async-id": job}).json()
    assert SECRET in answer["content"][0]["text"]
    until(lambda: receiver.received)
    assert receiver.received[0].headers["webhook-signature"]


def stored(place: Place) -> None:
    """A response that is kept and continued."""
    first = place.made("/v1/responses", json={"model": GPT, "input": SECRET, "store": True})["id"]
    assert SECRET in place.ask("GET", f"/v1/responses/{first}", OWNER).text
    assert SECRET in place.ask("GET", f"/v1/responses/{first}/input_items", OWNER).text
    more = place.made("/v1/responses", json={"model": GPT, "input": "go on", "previous_response_id": first})
    assert more["previous_response_id"] == first


def cached(place: Place) -> None:
    body, headers = chat(), {"x-bf-cache-key": "key"}
    place.ask("POST", "/v1/chat/completions", OWNER, json=body, headers=headers)

    def hit() -> str:
        answer = place.ask("POST", "/v1/chat/completions", OWNER, json=body, headers=headers)
        return answer.headers.get("x-bf-cache-hit", "") and answer.text

    assert SECRET in until(hit)


def test_nothing_that_callers_send_or_get_lies_readable_in_redis_or_beside_it(empty, tmp_path):
    with sealed(empty.url, tmp_path, KEY) as place, Receiver() as receiver, watched(empty.url) as commands:
        words = traffic(place, receiver)
        found = everything(empty.url)
    assert [command[:300] for command in commands if any(word in command for word in words)] == []
    assert kinds_that_tell(found, *words) == set()
    vectors = [fields for key, entries in found.items() if b":meanings:" in key for _, fields in entries]
    assert vectors
    assert all(fields[b"v"].startswith(MAGIC) for fields in vectors)
    stored = [path.read_bytes() for path in (tmp_path / "objects").rglob("*") if path.is_file()]
    assert stored
    assert [content for content in stored if any(word.encode() in content for word in words)] == []


def test_without_a_key_the_same_look_finds_it_everywhere(empty, tmp_path):
    """Else the test above could not fail."""
    with sealed(empty.url, tmp_path) as place, Receiver() as receiver, watched(empty.url) as commands:
        words = traffic(place, receiver)
        found = everything(empty.url)
    assert kinds_that_tell(found, *words) == {"cached", "events", "file", "job", "upload", "webhooks"}
    told = {word for word in words for command in commands if word in command}
    assert told == set(words)
    assert any("batch-items" in command and SECRET in command for command in commands)
    assert any(command.lower().startswith("publish") for command in commands if SECRET in command)


def test_a_key_that_is_gone_is_told_and_one_that_is_back_opens_again(empty, tmp_path):
    with sealed(empty.url, tmp_path, KEY) as place:
        job, waiting = place.job(), place.response()
        place.admin("webhooks", name=ENDPOINT, url="https://hooks.example/x")
    forget_virtual_keys(empty.url)
    with sealed(empty.url, tmp_path, NEWER) as place:
        answer = place.ask("POST", "/anthropic/v1/messages", OWNER, headers={"x-bf-async-id": job})
        assert answer.status_code == 500
        assert "encryption.keys" in answer.json()["error"]["message"]
        assert answer.headers["x-should-retry"] == "false"
        assert place.ask("GET", f"/v1/responses/{waiting}", OWNER).status_code == 500
        assert job in place.ask("GET", "/v1/jobs", OWNER).text, "the others can be listed still"
        assert place.ask("GET", "/admin/webhooks", TOKEN).json()["data"] == []
        assert place.ask("GET", "/health").json()["status"] == "ok"
        plain(place)
    forget_virtual_keys(empty.url)
    with sealed(empty.url, tmp_path, NEWER, KEY) as place:
        answer = place.ask("POST", "/anthropic/v1/messages", OWNER, headers={"x-bf-async-id": job}).json()
        assert SECRET in answer["content"][0]["text"]
        assert place.ask("GET", "/admin/webhooks", TOKEN).json()["data"][0]["id"] == ENDPOINT


def forget_virtual_keys(url: str) -> None:
    """Those that each start of the processes makes anew."""
    with redis.Redis.from_url(url) as client:
        client.delete("hermod:governance:keys")
