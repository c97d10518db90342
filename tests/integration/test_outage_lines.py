"""What a process says of a Redis that is away: where, why, once; and once that it is back."""

import asyncio
import logging
import signal

import pytest

from shared.errors import StoreError
from shared.masked import mask_url
from shared.stores.redis import RedisStore

TRIES = 5


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    return [(record.levelno, record.getMessage()) for record in caplog.records if record.name == "hermod.redis"]


async def test_an_outage_is_told_once_and_so_is_its_end(store, server, caplog):
    caplog.set_level(logging.INFO, "hermod.redis")
    await store.call("PING")
    server.stop(signal.SIGKILL)
    for _ in range(TRIES):
        with pytest.raises(StoreError):
            await store.call("PING")
    server.start()
    for _ in range(TRIES):
        await store.call("PING")
    (level, lost), (_, back) = said(caplog)
    assert level == logging.WARNING
    assert lost.startswith(f"Redis at {mask_url(store.url)} is not reachable: ")
    assert "onnect" in lost, "and why"
    assert back == f"Redis at {mask_url(store.url)} answers again"


async def test_no_password_is_in_what_is_told(server, caplog):
    caplog.set_level(logging.INFO, "hermod.redis")
    address = server.url.rpartition("@")[2]
    store = RedisStore(f"redis://:a-password-of-redis@{address}")
    with pytest.raises(StoreError):
        await store.call("PING")
    await store.close()
    ((_, told),) = said(caplog)
    assert "***@" in told
    assert "a-password-of-redis" not in told


async def test_a_full_server_is_not_said_to_be_away_and_that_it_refuses_is_told_once(store, caplog):
    caplog.set_level(logging.INFO, "hermod.redis")
    await store.call("CONFIG", "SET", "maxmemory", "1")
    try:
        for _ in range(TRIES):
            refused, answered = await asyncio.gather(
                store.call("SET", "hermod:x", "y"), store.call("GET", "hermod:x"), return_exceptions=True
            )
            assert (isinstance(refused, StoreError), answered) == (True, None)
    finally:
        await store.call("CONFIG", "SET", "maxmemory", "0")
    ((level, told),) = said(caplog)
    assert level == logging.WARNING
    assert told.startswith(f"Redis at {mask_url(store.url)} refuses commands: ")
