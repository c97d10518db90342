"""A response out of the object store ends between two chunks, whoever ends it, and closes what it reads."""

import asyncio

import pytest

from api.content import Content
from shared.errors import StoreError


class Client:
    """The other end of an ASGI application, which leaves once it has got so many bytes."""

    def __init__(self, leaves_after=10**9):
        self.got = b""
        self.ended = False
        self._leaves_after = leaves_after
        self._leaves = asyncio.Event()

    async def receive(self):
        await self._leaves.wait()
        return {"type": "http.disconnect"}

    async def send(self, message):
        self.got += message.get("body", b"")
        self.ended = message["type"] == "http.response.body" and not message["more_body"]
        if len(self.got) >= self._leaves_after:
            self._leaves.set()
        await asyncio.sleep(0)


class Source:
    """A blob that fails or waits where it is told to."""

    def __init__(self, fails_at=None):
        self.closed = False
        self.yielded = 0
        self._fails_at = fails_at

    async def chunks(self):
        try:
            for number in range(1, 100):
                if number == self._fails_at:
                    raise StoreError("away")
                self.yielded = number
                yield b"x"
                await asyncio.sleep(0)
        finally:
            await asyncio.sleep(0)  # giving a connection back takes its time
            self.closed = True


async def sent(client, source):
    content = Content(b"first ", source.chunks(), 105, media_type="text/plain", headers={"a": "b"})
    assert dict(content.encode_headers()) == {b"a": b"b", b"content-type": b"text/plain", b"content-length": b"105"}
    async with asyncio.timeout(60):
        await content({}, client.receive, client.send)


async def test_everything_is_sent_and_the_source_closed():
    client, source = Client(), Source()
    await sent(client, source)
    assert (client.got, client.ended, source.closed) == (b"first " + b"x" * 99, True, True)


@pytest.mark.parametrize("after", [0, 6, 7, 50])
async def test_of_a_client_that_leaves_no_more_is_read_and_the_source_is_closed(after):
    client, source = Client(leaves_after=after), Source()
    await sent(client, source)
    assert source.yielded < after + 5
    assert (client.ended, source.closed) == (False, True)


async def test_a_store_that_fails_halfway_leaves_the_answer_unfinished(caplog):
    client, source = Client(), Source(fails_at=4)
    await sent(client, source)
    assert (client.got, client.ended, source.closed) == (b"first xxx", False, True)
    assert caplog.messages == ["an answer was cut short: away"]
