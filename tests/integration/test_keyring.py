"""What a process knows of virtual keys while they change."""

import asyncio
import warnings

import pytest
from litestar.exceptions import LitestarDeprecationWarning
from msgspec.structs import replace

from api.app import build_app
from shared.errors import Conflict
from shared.governance import owner_of_digest
from shared.governance_keyring import Keyring
from shared.governance_records import KEYS
from shared.governance_settings import Team, VirtualKey
from shared.ids import digest
from shared.settings import ClientSettings, ObjectStoreSettings, RedisSettings, Settings


async def test_what_was_read_before_a_revocation_is_not_put_in_place_after_it(store):
    keyring = Keyring(Settings(), store)
    keys, key = keyring.records.keys, VirtualKey(name="a", id="vk_a", hash=digest(b"sk-bf-a"))
    owner, find = owner_of_digest(key.hash), keys.find
    has_read, may_go_on = asyncio.Event(), asyncio.Event()

    async def held_up(name):
        found = await find(name)
        has_read.set()
        await may_go_on.wait()
        return found

    await keys.add(owner, key)
    keys.find = held_up
    before = asyncio.create_task(keyring.refresh(KEYS, owner))
    await has_read.wait()
    keys.find = find
    await keys.change(owner, lambda known: replace(known, active=False))
    after = asyncio.create_task(keyring.refresh(KEYS, owner))
    await asyncio.wait([after], timeout=0.2)  # as far as it comes
    may_go_on.set()
    await asyncio.gather(before, after)
    assert keyring.grant("vk_a").key.active is False


async def test_a_name_that_two_keys_were_given_at_once_names_neither(store):
    keyring = Keyring(Settings(), store)
    for key_id in "ab":
        await keyring.records.keys.add(key_id, VirtualKey(name="n", id=key_id, hash=digest(key_id.encode())))
    await keyring.open()
    await keyring.close()
    with pytest.raises(Conflict, match="a, b"):
        keyring.grant("n")
    assert keyring.grant("a").key.id == "a"


async def test_nobody_waits_for_others_unknown_keys(store):
    keyring = Keyring(Settings(), store)
    await keyring.open()
    find, asked, may_go_on = keyring.records.keys.find, 0, asyncio.Event()

    async def held_up(name):
        nonlocal asked
        asked += 1
        await may_go_on.wait()
        return await find(name)

    keyring.records.keys.find = held_up
    asking = [asyncio.create_task(keyring.of_owner(f"vk:{number}")) for number in range(3)]
    await asyncio.wait(asking, timeout=0.2)  # as far as they come
    assert asked == 3
    may_go_on.set()
    assert await asyncio.gather(*asking) == [None] * 3
    await keyring.close()


async def test_whoever_has_lost_the_budgets_it_shared_is_told_of(store, caplog):
    keyring = Keyring(Settings(), store)
    await keyring.records.teams.add("t", Team(id="t", customer_id="gone"))
    for name, team in (("a", "t"), ("b", "gone"), ("c", "")):
        await keyring.records.keys.add(name, VirtualKey(name=name, id=name, hash=digest(name.encode()), team_id=team))
    await keyring.open()
    await keyring.close()
    assert caplog.messages == ["2 name a team or customer that is gone, whose budgets limit them no more: ['b', 't']"]


@pytest.mark.parametrize("required", [False, True])
async def test_that_callers_without_a_key_are_let_in_is_told_at_the_start(server, tmp_path, caplog, required):
    caplog.set_level("INFO", "hermod.api")
    settings = Settings(
        client=ClientSettings(enforce_auth_on_inference=required),
        redis=RedisSettings(url=server.url),
        object_store=ObjectStoreSettings(path=str(tmp_path)),
    )
    with warnings.catch_warnings(action="ignore", category=LitestarDeprecationWarning):
        app = build_app(settings)
    async with app.lifespan():
        assert ("callers without a virtual key are let in" in caplog.text) is not required
