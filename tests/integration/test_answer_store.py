from msgspec.structs import replace

from shared.answer_store import AnswerStore
from shared.cache import CachePlan
from shared.cached_answer import Entry
from tests.integration.conftest import until

PLAN = CachePlan(id="a", key="k", owner="vk:alice", ttl_s=60, threshold=1, direct=True, semantic=False, store=True)
ENTRY = Entry("vk:alice", b"x" * 1000, {})
MOST = 5000


async def keep(store, name, **more):
    await AnswerStore(store).keep(replace(PLAN, id=name, **more), ENTRY, MOST)


async def kept(store, *names):
    found = await AnswerStore(store).get(PLAN.owner, *names)
    return [name for name, entry in zip(names, found, strict=True) if entry]


async def test_what_expires_next_makes_room_for_more(store):
    for number, name in enumerate("abcdefg"):
        await keep(store, name, ttl_s=100 - number if name != "b" else 1000)
    left = await kept(store, *"abcdefg")
    assert left == ["a", "b", "c", "g"], "the newest is kept, and otherwise those that last longest"
    assert int(await store.call("GET", "hermod:answers:bytes")) <= MOST
    assert await store.call("ZCARD", "hermod:answers") == await store.call("HLEN", "hermod:answers:sizes") == len(left)


async def test_an_answer_that_is_kept_again_is_counted_once(store):
    for _ in range(20):
        await keep(store, "a")
    await keep(store, "b")
    assert await kept(store, "a", "b") == ["a", "b"]


async def test_what_has_expired_is_no_longer_counted(store):
    await keep(store, "a", ttl_s=1)
    before = int(await store.call("GET", "hermod:answers:bytes"))

    async def gone():
        return not await kept(store, "a")

    await until(gone)
    await keep(store, "b")
    assert int(await store.call("GET", "hermod:answers:bytes")) == before


async def test_an_owner_clears_its_own_and_what_is_everybodys(store):
    answers = AnswerStore(store)
    await keep(store, "a")
    await answers.keep(replace(PLAN, id="b", owner=""), replace(ENTRY, owner=""), MOST)
    await answers.keep(replace(PLAN, id="c", owner="vk:bob"), replace(ENTRY, owner="vk:bob"), MOST)
    assert await answers.clear_key("k", "vk:alice") == 2
    assert await kept(store, "a", "b", "c") == ["c"]
    assert await answers.clear("c", "vk:alice") is False
    assert await answers.clear_key("k", None) == 1
