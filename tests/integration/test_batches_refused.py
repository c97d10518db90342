"""What is wrong with a batch, on every way it can be asked for: told where it is, and nothing of it stays."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from shared.ids import uuid_of
from tests.integration.conftest import until
from tests.integration.test_batch_routes import (
    ANTHROPIC,
    OPENAI,
    Place,
    answers,
    api,
    item,
    line,
    objects,
    place,
    requests,
    serving,
    wanted,
)
from tests.integration.test_files import FORM, PURPOSE, part

__all__ = ["objects", "place", "serving"]  # fixtures

MIB = 1 << 20
BODIES = pytest.mark.parametrize("path", [ANTHROPIC, OPENAI])


def anthropic(*items: Any) -> bytes:
    return json.dumps({"requests": items}).encode()


def inline(*items: Any) -> bytes:
    """OpenAI's create with its items in it: before the other fields, which is the harder order."""
    return json.dumps({"requests": items, **wanted("")}).encode()


def rows(*items: Any) -> bytes:
    """OpenAI's file; bytes are lines as they are."""
    return b"".join(one if isinstance(one, bytes) else json.dumps(one).encode() + b"\n" for one in items)


def call(number: int = 0, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(line(number, **more))
    return found


def large(megabytes: int) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": "y" * (megabytes * MIB)}]}


FULL = [item(number) for number in range(250)]
CALLS = [call(number) for number in range(250)]

BAD_ANTHROPIC = {
    "empty body": (b"", "Not valid JSON"),
    "not JSON": (b"nonsense", "Not valid JSON"),
    "no requests": (anthropic(), "requests: "),
    "an item that is no JSON": (anthropic(*FULL)[:-2] + b", {nonsense}]}", "requests.250: "),
    "an item that is no object": (anthropic(*FULL, "text"), "requests.250: "),
    "an item without a name": (anthropic(*FULL, {"params": {}}), "requests.250.custom_id: "),
    "an item without params": (anthropic(*FULL, {"custom_id": "a"}), "requests.250.params: "),
    "params that are none": (anthropic(*FULL, item(999, params="text")), "requests.250.params: "),
    "a malformed name": (anthropic(*FULL, item(custom_id="a b")), "requests.250.custom_id: "),
    "a name twice": (anthropic(*FULL, item(7)), "requests.250.custom_id: "),
    "OpenAI's form": (anthropic(*FULL, call(999)), "requests.250."),
    "cut short": (anthropic(*FULL)[:-30], "requests.249: "),
    "its end missing": (anthropic(*FULL)[:-1], "Not valid JSON"),
    "too many": (anthropic(*({"custom_id": str(at), "params": {}} for at in range(100_001))), "requests.100000: "),
}
BAD_INLINE = {
    "empty body": (b"", "Not valid JSON"),
    "not JSON": (b"nonsense", "Not valid JSON"),
    "no requests": (inline(), "input_file_id: "),
    "an item that is no JSON": (inline(*CALLS).replace(b'"r-200"', b"nonsense"), "requests.200: "),
    "an item that is no object": (inline(*CALLS, "text"), "requests.250: "),
    "an item without a name": (inline(*CALLS, {"body": {}}), "requests.250.custom_id: "),
    "an item without a body": (inline(*CALLS, {"custom_id": "a"}), "requests.250.body: "),
    "a body that is none": (inline(*CALLS, call(999, body="text")), "requests.250.body: "),
    "an empty name": (inline(*CALLS, call(custom_id="")), "requests.250.custom_id: "),
    "a name twice": (inline(*CALLS, call(7)), "requests.250.custom_id: "),
    "another endpoint": (inline(*CALLS, call(999, url="/v1/embeddings")), "requests.250.url: "),
    "another method": (inline(*CALLS, call(999, method="GET")), "requests.250.method: "),
    "cut short": (inline(*CALLS)[:-300], "requests."),
    "its end missing": (inline(*CALLS)[:-1], "Not valid JSON"),
    "too many": (inline(*({"custom_id": str(at), "body": {}} for at in range(50_001))), "requests.50000: "),
}
BAD_FILES = {
    "empty": (b"", "input_file_id: "),
    "nothing but a mark": (b"\xef\xbb\xbf", "line 1: "),
    "not JSON": (rows(*CALLS, b"nonsense\n"), "line 251: "),
    "a line that is no object": (rows(*CALLS, b'"text"\n'), "line 251: "),
    "two on a line": (rows(*CALLS, line(998)[:-1] + line(999)), "line 251: "),
    "a blank line": (rows(*CALLS, b"\n", call(999)), "line 251: "),
    "a blank line of CRLF": (rows(*CALLS, b"\r\n", call(999)), "line 251: "),
    "a blank last line": (rows(*CALLS, b"\n"), "line 251: "),
    "a line without a name": (rows(*CALLS, {"method": "POST"}), "line 251.custom_id: "),
    "a body that is none": (rows(*CALLS, call(999, body=[])), "line 251.body: "),
    "a name twice": (rows(*CALLS, call(7)), "line 251.custom_id: "),
    "another endpoint": (rows(*CALLS, call(999, url="/v1/responses")), "line 251.url: "),
    "another method": (rows(*CALLS, call(999, method="GET")), "line 251.method: "),
    "no UTF-8": (rows(*CALLS, line(999).replace(b'"m"', b'"\xff"')), "line 251: "),
    "cut short": (rows(*CALLS)[:-30], "line 250: "),
    "too many": (rows(*(call(at, body={}) for at in range(50_001))), "line 50001: "),
}


async def nothing_stays(place: Place) -> None:
    """No shard, no record, no job, nobody's count of jobs."""
    assert await place.stored() == []
    for keys in ("hermod:batch*", "hermod:job:*", "arq:*", "hermod:due:*"):
        assert await place.store.call("KEYS", keys) == [], keys
    unfinished = await place.store.call("HVALS", "hermod:unfinished")
    assert set(unfinished) <= {b"0"}


async def refused(place: Place, path: str, status: int, names: str, **body: Any) -> None:
    answer = await place.http.post(path, **body)
    assert answer.status_code == status, answer.text
    told = answer.json()
    assert told["error"]["message"].startswith(names)
    if path == ANTHROPIC:
        kind = "request_too_large" if status == 413 else "invalid_request_error"
        assert (told["type"], told["error"]["type"]) == ("error", kind)
        assert told["request_id"] == answer.headers["request-id"]
    else:
        assert told["error"].keys() == {"message", "type", "param", "code"}
        assert answer.headers["x-request-id"]
    await nothing_stays(place)


@pytest.mark.parametrize(("body", "names"), BAD_ANTHROPIC.values(), ids=BAD_ANTHROPIC)
async def test_a_bad_body_is_a_400_that_names_index_and_field(place, body, names):
    await refused(place, ANTHROPIC, 400, names, content=body)


@pytest.mark.parametrize(("body", "names"), BAD_INLINE.values(), ids=BAD_INLINE)
async def test_a_bad_openai_body_is_a_400_that_names_index_and_field(place, body, names):
    await refused(place, OPENAI, 400, names, content=body)


@pytest.mark.parametrize(("content", "names"), BAD_FILES.values(), ids=BAD_FILES)
async def test_a_bad_file_is_a_400_that_names_line_and_field_and_is_kept_to_be_looked_at(place, content, names):
    file = await place.upload(content)
    await refused(place, OPENAI, 400, names, json=wanted(file))
    assert (await place.http.get(f"/v1/files/{file}/content")).content == content


BAD_TERMS = [
    ({"endpoint": "/v1/images"}, "endpoint: "),
    ({"endpoint": "/v1/responses"}, "line 1.url: "),
    ({"completion_window": "1h"}, "completion_window: "),
    ({"metadata": {"a": 5}}, "metadata"),
    ({"output_expires_after": {"anchor": "created_at", "seconds": 5}}, "output_expires_after.seconds: "),
    ({"requests": [{"custom_id": "a", "body": {}}]}, "input_file_id: "),
    ({"inputs": "x"}, "inputs: "),
    ({"input_file_id": "file-unknown"}, "input_file_id: "),
    ({"provider": "nobody"}, "provider: "),
]


@pytest.mark.parametrize(("terms", "names"), BAD_TERMS, ids=[next(iter(terms)) for terms, _ in BAD_TERMS])
async def test_a_file_that_is_all_right_is_refused_for_the_batchs_own_fields(place, terms, names):
    file = await place.upload(rows(*CALLS))
    await refused(place, OPENAI, 400, names, json=wanted(file, **terms))


# --- too large -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["anthropic", "inline", "file"])
async def test_an_item_that_is_too_large_is_a_413_that_names_it(place, way):
    if way == "anthropic":
        body = anthropic(*FULL, item(999, params=large(33)))
        await refused(place, ANTHROPIC, 413, "requests.250: ", content=body)
    elif way == "inline":
        await refused(place, OPENAI, 413, "requests.250: ", content=inline(*CALLS, call(999, body=large(33))))
    else:
        file = await place.upload(rows(*CALLS, call(999, body=large(33))))
        await refused(place, OPENAI, 413, "line 251: ", json=wanted(file))


async def connected(place: Place) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    url = httpx.URL(place.url)
    return await asyncio.open_connection(url.host, url.port)


def head(path: str, size: int) -> bytes:
    return f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {size}\r\n\r\n".encode()


@BODIES
async def test_a_body_that_says_it_is_too_large_is_a_413_before_it_has_come(place, path):
    reader, writer = await connected(place)
    writer.write(head(path, 257 * MIB) + b'{"requests":[')
    assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
    writer.close()
    await writer.wait_closed()
    await nothing_stays(place)


@BODIES
async def test_a_body_that_does_not_say_so_is_a_413_when_it_is_too_large(place, path):
    async def body() -> AsyncIterator[bytes]:
        yield (anthropic(*FULL) if path == ANTHROPIC else inline(*CALLS))[:-2].partition(b'], "input')[0]
        for _ in range(260):
            yield b" " * MIB

    await refused(place, path, 413, "The body is larger than", content=body())


@BODIES
async def test_more_than_a_megabyte_beside_the_requests_is_a_413(place, path):
    body = json.dumps({**(requests(3) if path == ANTHROPIC else wanted("", **requests(3))), "x": "y" * MIB})
    await refused(place, path, 413, "The request body holds more than 1 MiB", content=body)


# --- not to the end --------------------------------------------------------------------------------------


@BODIES
async def test_a_client_that_goes_away_in_the_middle_leaves_nothing(place, path):
    """Shards have been written by then."""
    many = [item(number) if path == ANTHROPIC else call(number) for number in range(20_000)]
    body = anthropic(*many) if path == ANTHROPIC else inline(*many)
    _, writer = await connected(place)
    writer.write(head(path, 2 * len(body)) + body[: len(body) - 1000])
    await writer.drain()
    await until(place.stored)
    writer.close()
    await writer.wait_closed()
    await until(place.nothing)
    await nothing_stays(place)


@pytest.fixture(scope="module")
def hasty(server, objects, tmp_path_factory) -> Iterator[str]:
    """Another API process of the same gateway, which has little patience."""
    with api(server.url, objects, tmp_path_factory.mktemp("hasty"), "tests.security.hasty") as url:
        yield url


def begun_batch(path: str) -> tuple[bytes, bytes]:
    """A head, and a body that does not end, shards of which are written at once."""
    many = [item(number) if path == ANTHROPIC else call(number) for number in range(20_000)]
    body = anthropic(*many) if path == ANTHROPIC else inline(*many)
    return head(path, 2 * len(body)), body[:-1000]


def begun_file(path: str) -> tuple[bytes, bytes]:
    kind = f"content-type: {FORM['content-type']}\r\n\r\n".encode()
    return head(path, 99_999_999)[:-2] + kind, PURPOSE + part("file", b"x" * 3 * MIB)[:-2]


SLOW = dict.fromkeys((ANTHROPIC, OPENAI), begun_batch) | dict.fromkeys(
    ("/anthropic/v1/files", "/openai/files"), begun_file
)


@pytest.mark.parametrize(("path", "begun"), SLOW.items(), ids=SLOW)
async def test_a_client_that_all_but_stops_sending_is_told_so_and_leaves_nothing(place, hasty, path, begun):
    async with httpx.AsyncClient(base_url=hasty) as quick:
        await until(lambda: answers(quick), 30)
    url, request = httpx.URL(hasty), b"".join(begun(path))
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(request)
    await writer.drain()

    async def drip() -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(b" ")
                await asyncio.sleep(0.05)

    dripping = asyncio.create_task(drip())
    told = (await asyncio.wait_for(reader.read(), 20)).decode()
    dripping.cancel()
    writer.close()
    assert told.startswith("HTTP/1.1 408 ")
    assert json.loads(told.partition("\r\n\r\n")[2])["error"]["message"]
    await until(lambda: is_empty(place))
    await nothing_stays(place)
    assert await place.store.call("KEYS", "hermod:file:*") == []


async def is_empty(place: Place) -> bool:
    return not [info.key async for info in place.blobs.list("")]


@BODIES
async def test_a_caller_whose_queue_is_full_gets_a_429_and_leaves_nothing(place, path):
    def body(count: int) -> dict[str, Any]:
        return requests(count) if path == ANTHROPIC else wanted("", **requests(count))

    key = {"x-bf-vk": "sk-bf-full"}
    made = [(await place.ask("POST", path, json=body(count), headers=key))["id"] for count in (1, 2, 3)]
    before = await place.stored()
    told = await place.ask("POST", path, 429, json=body(250), headers=key)
    assert "rate_limit" in told["error"]["type"]
    assert await place.stored() == before
    assert {one["id"] for one in (await place.ask("GET", path, headers=key))["data"]} == set(made)
    assert len(await place.store.call("KEYS", "hermod:batch:*")) == 3
    assert {key.split("/")[1] for key in before} == set(map(uuid_of, made))


# --- odd, and all right ----------------------------------------------------------------------------------

ODD = "line\u2028separator \u2029 \x85 é\\u2028 \\r\\n"


def odd_body(path: str) -> bytes:
    """White space of all kinds between the tokens, and line separators in the strings."""
    field = "params" if path == ANTHROPIC else "body"
    items = [{"custom_id": f"r-{number}", field: {"model": "m", "text": ODD}} for number in range(3)]
    body = {"requests": items} if path == ANTHROPIC else wanted("", requests=items)
    return json.dumps(body, indent="\t", ensure_ascii=False).replace("\n", " \r\n\r\n").encode()


@BODIES
async def test_line_separators_and_white_space_change_nothing(place, path):
    made = await place.ask("POST", path, content=odd_body(path))
    [shard] = await place.shards(made["id"])
    assert shard == [{"at": number, f"r-{number}": {"model": "m", "text": ODD}} for number in range(3)]


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("last", [True, False], ids=["ended", "not ended"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "marked"])
async def test_lines_of_a_file_end_either_way(place, ending, last, mark):
    names = [f"r\u2028{number}\x85" for number in range(3)]
    lines = [json.dumps(call(custom_id=name, body={"text": ODD}), ensure_ascii=False).encode() for name in names]
    content = mark + ending.join(lines) + (ending if last else b"")
    made = await place.ask("POST", OPENAI, json=wanted(await place.upload(content)))
    [shard] = await place.shards(made["id"])
    assert shard == [{"at": at, name: {"text": ODD}} for at, name in enumerate(names)]


@pytest.mark.parametrize("way", ["anthropic", "inline", "file"])
async def test_one_item_may_have_10_megabytes(place, way):
    params = large(10)
    if way == "anthropic":
        body = anthropic(item(0), item(1, params=params), item(2))
        made = await place.ask("POST", ANTHROPIC, content=body)
    elif way == "inline":
        made = await place.ask("POST", OPENAI, content=inline(call(0), call(1, body=params), call(2)))
    else:
        file = await place.upload(rows(call(0), call(1, body=params), call(2)))
        made = await place.ask("POST", OPENAI, json=wanted(file))
    shards = await place.shards(made["id"])
    assert [next(reversed(one)) for shard in shards for one in shard] == ["r-0", "r-1", "r-2"]
    assert next(one["r-1"] for shard in shards for one in shard if "r-1" in one) == params
