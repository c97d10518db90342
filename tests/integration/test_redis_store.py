"""The one connection of a store: what becomes of it when the store is closed."""

import asyncio

import pytest
import redis

from deploy.probes import until
from shared.stores.redis import RedisStore


@pytest.mark.parametrize("takes_s", [0.3, 5])
async def test_a_store_closed_while_a_cancelled_call_is_on_its_way_leaves_no_connection(server, takes_s):
    with redis.Redis.from_url(server.url) as client:

        async def blocked() -> bool:
            return bool(client.info("clients")["blocked_clients"])

        async def freed() -> bool:  # once the server has heard of it
            return not await blocked()

        before = client.info("clients")["connected_clients"]
        store = RedisStore(server.url)
        await store.call("PING")
        asking = asyncio.create_task(store.call("BLPOP", "nothing is pushed here", takes_s))
        assert await until(blocked, 5)
        asking.cancel()
        await store.close()
        if others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(others)
        assert await until(freed, 2)
        assert client.info("clients")["connected_clients"] == before
