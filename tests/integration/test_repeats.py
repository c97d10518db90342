"""A create that is asked again, for a lost answer or with an Idempotency-Key, on both surfaces: files and batches."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import anthropic
import httpx
import openai
import pytest

from shared.ids import uuid_of
from tests.chaos.proxy import LossyProxy
from tests.integration.test_batch_routes import ANTHROPIC, OPENAI, Place, objects, place, requests, serving, wanted
from tests.integration.test_files import FILE, FORM, PURPOSE, form, part

__all__ = ["objects", "place", "serving"]  # fixtures

RETRY = {"x-stainless-retry-count": "1"}
ONCE = {"idempotency-key": "once"}
OTHER_FILE = part("file", b"other content", b'; filename="a.txt"')


@dataclass(frozen=True)
class Create:
    """A create of one surface: where it goes, what is asked, what else may be asked, and how one is told of another."""

    path: str
    body: bytes
    other: bytes
    headers: dict[str, str]
    folder: str

    async def ask(self, place: Place, body: bytes = b"", **headers: str) -> httpx.Response:
        named = {**self.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return await place.http.post(self.path, content=body or self.body, headers=named)

    async def made(self, place: Place, body: bytes = b"", **headers: str) -> str:
        answer = await self.ask(place, body, **headers)
        assert answer.status_code == 200, answer.text
        return uuid_of(answer.json()["id"])

    async def kept(self, place: Place) -> set[str]:
        """What is listed; the object store holds the bytes of these, and of nothing else."""
        listed = {uuid_of(one["id"]) for one in (await place.ask("GET", self.path))["data"]}
        stored = {info.key.split("/")[1] async for info in place.blobs.list(self.folder)}
        assert listed == stored
        return listed


def batch(path: str, count: int) -> bytes:
    return json.dumps(requests(count) if path == ANTHROPIC else wanted("", **requests(count))).encode()


CREATES = {
    "anthropic batch": Create(ANTHROPIC, batch(ANTHROPIC, 500), batch(ANTHROPIC, 501), {}, "batches/"),
    "openai batch": Create(OPENAI, batch(OPENAI, 500), batch(OPENAI, 501), {}, "batches/"),
    "anthropic file": Create("/anthropic/v1/files", form(FILE), form(OTHER_FILE), FORM, "files/"),
    "openai file": Create("/openai/files", form(PURPOSE, FILE), form(PURPOSE, OTHER_FILE), FORM, "files/"),
}
EVERY = pytest.mark.parametrize("create", CREATES.values(), ids=CREATES)


@EVERY
async def test_an_sdks_retry_is_answered_with_what_its_first_try_became(place, create):
    first = await create.made(place)
    assert await create.made(place, **RETRY) == first
    assert await create.kept(place) == {first}


@EVERY
async def test_what_is_no_retry_of_the_same_is_another(place, create):
    first = await create.made(place)
    again = await create.made(place)
    other = await create.made(place, create.other, **RETRY)
    assert await create.kept(place) == {first, again, other}
    assert len({first, again, other}) == 3, "a wish, not a retry; and another body"
    assert await create.made(place, x_bf_vk="sk-bf-another", **RETRY) not in {first, again}, "another's"


@pytest.mark.parametrize(("name", "other"), [("anthropic batch", "openai"), ("openai batch", "anthropic")])
async def test_the_same_requests_for_another_provider_or_in_another_mode_are_another_batch(place, name, other):
    create = CREATES[name]
    made = {await create.made(place, **ONCE)}
    for header in ({"x_model_provider": other}, {"x_bf_batch_mode": "direct"}):
        made.add(await create.made(place, **header, **RETRY))
        assert (await create.ask(place, **header, **ONCE)).status_code == 409
    assert len(made) == 3


@EVERY
async def test_tries_at_the_same_time_become_one(place, create):
    made = await asyncio.gather(*(create.made(place, **RETRY) for _ in range(6)))
    assert await create.kept(place) == set(made)
    assert len(set(made)) == 1


@asynccontextmanager
async def begun(place: Place, create: Create) -> AsyncIterator[Callable[[], Awaitable[str]]]:
    """A create whose body the gateway has begun to read; what is yielded sends the last byte, and is answered."""
    api = urlsplit(place.url)
    reader, writer = await asyncio.open_connection(api.hostname, api.port)
    named = {"host": "x", "content-length": str(len(create.body)), "expect": "100-continue", **create.headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    writer.write(f"POST {create.path} HTTP/1.1\r\n{head}\r\n".encode() + create.body[:-1])
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")

    async def end() -> str:
        writer.write(create.body[-1:])
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 ")
        length = int(answer.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        return uuid_of(json.loads(await reader.readexactly(length))["id"])

    try:
        yield end
    finally:
        writer.close()


@EVERY
async def test_a_first_try_that_ends_after_its_retry_joins_it(place, create):
    """As when its bytes are all there, the store is slow and the client has given up."""
    async with begun(place, create) as end:
        retried = await create.made(place, **RETRY)
        assert await end() == retried
    assert await create.kept(place) == {retried}
    later = await create.made(place)
    assert await create.kept(place) == {retried, later}
    assert later != retried, "a wish of later"


@EVERY
async def test_two_wishes_at_the_same_time_are_two(place, create):
    async with begun(place, create) as end:
        second = await create.made(place)
        first = await end()
    assert await create.kept(place) == {first, second}
    assert first != second


@EVERY
async def test_a_key_stands_for_one_request_and_its_answer(place, create):
    made = await asyncio.gather(*(create.made(place, **ONCE) for _ in range(3)))
    assert await create.made(place, **ONCE, **RETRY) == made[0]
    refused = await create.ask(place, create.other, **ONCE)
    assert (refused.status_code, refused.headers["x-should-retry"]) == (409, "false")
    assert "Idempotency-Key" in refused.json()["error"]["message"]
    assert await create.kept(place) == set(made)
    assert len(set(made)) == 1
    assert await create.made(place, create.other, idempotency_key="twice") != made[0]
    assert await create.made(place, create.other, x_bf_vk="sk-bf-another", **ONCE) != made[0], "another's key"


@EVERY
async def test_two_requests_with_one_key_at_the_same_time_are_one_and_a_conflict(place, create):
    answers = await asyncio.gather(*(create.ask(place, body, **ONCE) for body in (create.body, create.other)))
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    assert len(await create.kept(place)) == 1


@EVERY
@pytest.mark.parametrize("again", [RETRY, ONCE], ids=["retry", "key"])
async def test_what_is_gone_is_not_joined(place, create, again):
    first = await create.made(place, **again)
    if create.folder == "batches/":
        await place.ask("POST", f"{create.path}/{first}/cancel")
    else:
        await place.ask("DELETE", f"{create.path}/{first}")
    second = await create.made(place, **again)
    assert second != first
    assert await create.made(place, **again) == second


@pytest.mark.parametrize(
    "changed",
    [
        form(PURPOSE, part("file", b"content", b'; filename="b.txt"')),
        form(PURPOSE, part("file", b"content", b'; filename="a.txt"\r\nContent-Type: text/csv')),
        form(part("purpose", b"batch"), FILE),
        form(PURPOSE, part("expires_after[seconds]", b"3600"), FILE),
    ],
    ids=["name", "type", "purpose", "expiry"],
)
async def test_the_same_bytes_under_other_terms_are_another_file(place, changed):
    create = CREATES["openai file"]
    assert await create.made(place) != await create.made(place, changed, **RETRY)


# --- the SDKs -------------------------------------------------------------------------------------------


async def claude_batch(claude: anthropic.AsyncAnthropic, _: openai.AsyncOpenAI) -> str:
    return (await claude.messages.batches.create(requests=requests(3)["requests"])).id


async def claude_file(claude: anthropic.AsyncAnthropic, _: openai.AsyncOpenAI) -> str:
    return (await claude.beta.files.upload(file=("a.txt", b"content", "text/plain"))).id


async def gpt_batch(_: anthropic.AsyncAnthropic, gpt: openai.AsyncOpenAI) -> str:
    more: dict[str, Any] = {"requests": requests(3)["requests"]}
    made = await gpt.batches.create(
        input_file_id="", endpoint="/v1/chat/completions", completion_window="24h", extra_body=more
    )
    return made.id


async def gpt_file(_: anthropic.AsyncAnthropic, gpt: openai.AsyncOpenAI) -> str:
    return (await gpt.files.create(file=("a.jsonl", b"{}"), purpose="batch")).id


BY_SDK = {"anthropic batch": claude_batch, "openai batch": gpt_batch, "anthropic file": claude_file}
BY_SDK["openai file"] = gpt_file
Made = Callable[[anthropic.AsyncAnthropic, openai.AsyncOpenAI], Awaitable[str]]


def first_try(request: bytes) -> bool:
    return b"x-stainless-retry-count: 0" in request.lower()


@pytest.mark.parametrize(("name", "make"), BY_SDK.items(), ids=BY_SDK)
async def test_an_sdk_that_never_heard_the_answer_makes_one(place, name: str, make: Made):
    create, api = CREATES[name], urlsplit(place.url)
    proxy = LossyProxy(api.hostname or "", api.port or 0, first_try)
    async with proxy.serving():
        url = f"http://127.0.0.1:{proxy.port}"
        claude = anthropic.AsyncAnthropic(base_url=f"{url}/anthropic", api_key="x")
        gpt = openai.AsyncOpenAI(base_url=f"{url}/openai", api_key="x")
        async with claude, gpt:
            made = await make(claude, gpt)
    assert proxy.lost == 1
    assert await create.kept(place) == {uuid_of(made)}
