"""Batches at a provider's own batch API: one call for all items, each with one result whatever gets lost."""

import asyncio
import contextlib
import json
import signal
from collections import Counter

import msgspec
import pytest

from shared.batch_records import BatchRecords
from shared.batches import WINDOW_MS, BatchState, Counts
from shared.errors import ProviderError
from shared.files import File, Files
from shared.files import blob as file_blob
from shared.governance import owner_of_digest
from shared.governance_keyring import Keyring
from shared.governance_settings import VirtualKey
from shared.ids import digest, job_id, named, now_ms
from shared.prices import Prices
from shared.provider_settings import AzureKey, NetworkSettings, ProviderKey, ProviderSettings
from shared.stores.folder import FolderBlobs
from shared.stores.memory import MemoryBlobs
from shared.stores.redis import RedisStore
from tests.batches import at_work, ended, item, items, question, results, settings, simulated, submit
from tests.chaos.fleet import Fleet
from tests.contract.wire import ask
from tests.integration.conftest import AT_ONCE_S, until
from tests.integration.test_shards import OPENAI, kinds, names, put_off
from worker.budgets import Budgets
from worker.native_batches import choice, client, group, requests
from worker.native_batches.anthropic import ANTHROPIC
from worker.native_batches.gemini import GEMINI as GEMINI_API
from worker.native_batches.openai import OPENAI as OPENAI_API
from worker.native_batches.wires import Ask
from worker.providers import catalog

ANTHROPIC_BATCHES, OPENAI_BATCHES = "/v1/messages/batches", "/v1/batches"
GEMINI_BATCHES = "/gemini/v1beta/models/{}:batchGenerateContent"
DIRECT = ("/messages", "/completions", "/responses", "/embeddings", ":generateContent")


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(group, "FIRST_S", 0.05)
    monkeypatch.setattr(group, "LONGEST_S", 0.2)
    monkeypatch.setattr(group, "SETTLED_MS", 300)


@pytest.fixture
def blobs():
    return MemoryBlobs()


@pytest.fixture
async def provider():
    async with simulated() as running:
        yield running


@contextlib.asynccontextmanager
async def working(store, blobs, known):
    async with at_work(store, blobs, known) as worker:
        yield worker
    await worker.ctx["batches"].close()


async def run(store, blobs, provider, asked, /, **facts):
    """Submit, work, wait for the end: the batch, its progress, its results."""
    batch = await submit(store, blobs, asked, **{"mode": "native", **facts})
    async with working(store, blobs, settings(provider.url)):
        progress = await until(lambda: ended(store, batch))
    return batch, progress, await results(blobs, batch)


def created(provider):
    ends = ("batches", ":batchGenerateContent")
    return [call["path"] for call in provider.calls() if call["method"] == "POST" and call["path"].endswith(ends)]


def direct(provider):
    return [call for call in provider.calls() if call["path"].endswith(DIRECT)]


def refused_create(*_):
    return Ask("POST", "/nowhere", b"{}")


def late():
    """When a batch was created that is taken back from its provider in five seconds."""
    return now_ms() - WINDOW_MS + choice.RESERVE_MS + 5000


# --- what items come to -----------------------------------------------------------------------------------


async def test_messages_run_as_one_batch_at_anthropic_and_none_is_sent_by_itself(store, blobs, provider):
    batch, progress, lines = await run(store, blobs, provider, items(250))
    assert (progress.state, progress.counts) == (BatchState.COMPLETED, Counts(succeeded=250))
    assert names(lines) == [f"item-{index}" for index in range(250)]
    for index, line in enumerate(lines):
        assert f"question {index}" in line["result"]["message"]["content"][0]["text"]
    assert created(provider) == [ANTHROPIC_BATCHES]
    assert direct(provider) == []
    assert batch.shards == 3
    assert "msgbatch_sim" not in json.dumps(lines)


async def test_chats_run_as_one_batch_at_openai(store, blobs, provider):
    asked = [*items(120), item(120, {**question(120), "n": 0})]
    _, progress, _ = await run(store, blobs, provider, asked, **OPENAI)
    assert (progress.state, progress.counts) == (BatchState.COMPLETED, Counts(succeeded=120, errored=1))
    lines = [json.loads(line) for line in (await blobs.get(file_blob(progress.output_file))).splitlines()]
    assert names(lines) == [f"item-{index}" for index in range(120)]
    assert "question 7" in lines[7]["response"]["body"]["choices"][0]["message"]["content"]
    [error] = (await blobs.get(file_blob(progress.error_file))).splitlines()
    assert json.loads(error)["response"]["status_code"] == 400
    assert (created(provider), direct(provider)) == ([OPENAI_BATCHES], [])


async def test_items_of_one_dialect_are_translated_for_the_batch_api_of_another(store, blobs, provider):
    _, progress, lines = await run(store, blobs, provider, items(5, "openai/gpt"))
    assert progress.counts == Counts(succeeded=5)
    assert {line["result"]["message"]["type"] for line in lines} == {"message"}
    assert "question 3" in lines[3]["result"]["message"]["content"][0]["text"]
    assert (created(provider), direct(provider)) == ([OPENAI_BATCHES], [])


async def test_responses_and_embeddings_run_at_openai_s_batch_api(store, blobs, provider):
    for dialect, operation, body in (
        ("openai_responses", "chat", {"model": "m", "input": "hello"}),
        ("openai_chat", "embeddings", {"model": "m", "input": "hello"}),
    ):
        facts = {**OPENAI, "dialect": dialect, "operation": operation}
        _, progress, _ = await run(store, blobs, provider, [item(0, body)], **facts)
        assert progress.counts == Counts(succeeded=1)
    assert (created(provider), direct(provider)) == ([OPENAI_BATCHES] * 2, [])


async def test_each_model_of_each_provider_is_a_batch_of_its_own_and_bad_items_are_told(store, blobs, provider):
    models = ("claude-a", "claude-b", "openai/gpt")
    asked = [item(index, question(index, models[index % 3])) for index in range(30)]
    asked += [item(30, question(30), "wrong"), item(31, question(31, stream=True)), item(32, question(32, "sim-404"))]
    _, progress, lines = await run(store, blobs, provider, asked)
    assert progress.counts == Counts(succeeded=30, errored=3)
    assert sorted(names(lines)) == sorted(each.custom_id for each in asked)
    assert Counter(created(provider)) == {ANTHROPIC_BATCHES: 3, OPENAI_BATCHES: 1}
    assert direct(provider) == []
    not_found = next(line for line in lines if line["custom_id"] == "item-32")
    assert not_found["result"]["error"]["error"]["type"] == "not_found_error"


async def test_an_item_with_fallbacks_runs_directly(store, blobs, provider):
    asked = [*items(3), item(3, question(3, fallbacks=["openai/gpt"]))]
    _, progress, _ = await run(store, blobs, provider, asked)
    assert progress.counts == Counts(succeeded=4)
    assert (len(created(provider)), len(direct(provider))) == (1, 1)


async def test_what_is_too_large_for_one_batch_is_several(store, blobs, provider, monkeypatch):
    monkeypatch.setattr(requests, "PART_ITEMS", 40)
    _, progress, lines = await run(store, blobs, provider, items(100), shard_items=20)
    assert progress.counts == Counts(succeeded=100)
    assert len(set(names(lines))) == 100
    assert (len(created(provider)), direct(provider)) == (3, [])


@pytest.mark.parametrize("facts", [{}, OPENAI], ids=["anthropic", "openai"])
async def test_items_of_either_surface_run_as_one_batch_at_gemini(store, blobs, provider, facts):
    asked = items(120, "gemini/gemini-2.5-flash")
    asked.append(item(120, question(120, "gemini/gemini-2.5-flash", temperature=7)))
    _, progress, lines = await run(store, blobs, provider, asked, **facts)
    assert (progress.state, progress.counts) == (BatchState.COMPLETED, Counts(succeeded=120, errored=1))
    assert Counter(names(lines)) == Counter(f"item-{index}" for index in range(121))
    assert "question 7" in json.dumps(next(line for line in lines if line["custom_id"] == "item-7"))
    assert (created(provider), direct(provider)) == ([GEMINI_BATCHES.format("gemini-2.5-flash")], [])
    assert progress.spent.cost == progress.spent.saved > 0
    assert [call["status"] for call in provider.calls() if call["method"] == "DELETE"] == [200]


async def test_what_is_too_large_for_one_call_to_gemini_is_several_and_one_that_is_larger_runs_directly(
    store, blobs, provider, monkeypatch
):
    monkeypatch.setattr(GEMINI_API, "most_bytes", 20_000)
    asked = [item(index, {**question(index, "gemini/g"), "system": "x" * 3000}) for index in range(11)]
    asked.append(item(11, {**question(11, "gemini/g"), "system": "x" * 30_000}))
    _, progress, lines = await run(store, blobs, provider, asked, shard_items=2)
    assert (progress.counts, len(set(names(lines)))) == (Counts(succeeded=12), 12)
    assert (len(created(provider)), len(direct(provider))) == (2, 1)


@pytest.mark.parametrize("model", ["claude-haiku-4-5", "openai/gpt-4o", "gemini/gemini-2.5-flash"])
async def test_files_go_with_the_requests_that_name_them_and_may_be_deleted_before_these_are_answered(
    store, blobs, provider, model, monkeypatch
):
    look = client.Client.look

    async def look_without_the_file(self, batch_id):
        await Files(store).remove(file)
        return await look(self, batch_id)

    monkeypatch.setattr(client.Client, "look", look_without_the_file)
    file = File(
        id=job_id(),
        owner="anonymous",
        filename="dot.png",
        mime_type="image/png",
        size=9,
        purpose="user_data",
        created_ms=now_ms(),
    )
    await blobs.of("anonymous").put(file_blob(file.id), b"image 101")
    await Files(store).add(file)
    image = {"type": "image", "source": {"type": "file", "file_id": named("file_", file.id)}}
    ask = [{"role": "user", "content": [image, {"type": "text", "text": "what is it?"}]}]
    asked = [item(index, {**question(index, model), "messages": ask}) for index in range(3)]
    _, progress, lines = await run(store, blobs, provider, asked)
    assert progress.counts == Counts(succeeded=3), lines
    assert direct(provider) == []


async def test_a_shard_that_grew_beyond_a_batch_runs_what_did_not_fit_directly(store, blobs, provider, monkeypatch):
    monkeypatch.setattr(requests, "PART_BYTES", 2000)
    _, progress, lines = await run(store, blobs, provider, items(30), shard_items=30)
    assert (progress.counts, len(set(names(lines)))) == (Counts(succeeded=30), 30)
    assert len(created(provider)) == 1
    assert 0 < len(direct(provider)) < 30


def at_azure(provider):
    key = ProviderKey(name="key", value="sk-simulated", azure=AzureKey(endpoint=f"{provider.url}/azure"))
    azure = ProviderSettings(name="azure", keys=(key,), network=NetworkSettings(retry_backoff_initial_ms=10))
    known = settings(provider.url)
    return msgspec.structs.replace(known, providers={**known.providers, "azure": azure})


async def test_chats_run_as_one_batch_at_azure(store, blobs, provider):
    batch = await submit(store, blobs, items(20, "azure/my-deployment"), mode="native", **OPENAI)
    async with working(store, blobs, at_azure(provider)):
        progress = await until(lambda: ended(store, batch))
    assert progress.counts == Counts(succeeded=20)
    assert (len(created(provider)), direct(provider)) == (1, [])
    assert {call["path"].split("/batches")[0].split("/files")[0] for call in provider.calls()} == {"/azure/openai/v1"}


# --- where -----------------------------------------------------------------------------------------------


async def test_direct_never_asks_a_batch_api(store, blobs, provider):
    await run(store, blobs, provider, items(3), mode="direct")
    assert (created(provider), len(direct(provider))) == ([], 3)


async def test_auto_runs_directly_where_the_provider_is_not_the_vendor_itself(store, blobs, provider):
    await run(store, blobs, provider, items(3), mode="auto")
    assert (created(provider), len(direct(provider))) == ([], 3)


@pytest.fixture
def at_home(provider, monkeypatch):
    """The simulated provider is Anthropic, and OpenAI, itself."""
    for name in ("anthropic", "openai"):
        row = msgspec.structs.replace(catalog.ROWS[name], base_url=provider.url)
        monkeypatch.setitem(catalog.ROWS, name, row)


@pytest.mark.usefixtures("at_home")
async def test_auto_uses_the_vendor_s_own_batch_api(store, blobs, provider):
    await run(store, blobs, provider, items(choice.LEAST_ITEMS), mode="auto")
    assert (len(created(provider)), direct(provider)) == (1, [])


@pytest.mark.usefixtures("at_home")
async def test_auto_does_not_wait_a_day_for_the_price_of_a_few_requests(store, blobs, provider):
    await run(store, blobs, provider, items(choice.LEAST_ITEMS - 1), mode="auto")
    assert (created(provider), len(direct(provider))) == ([], choice.LEAST_ITEMS - 1)


ODD = {
    "a problem": (question(12), "wrong", 0),
    "a bad item": (question(12, stream=True), "", 0),
    "another provider": (question(12, "openai/gpt"), "", 1),
    "fallbacks": (question(12, fallbacks=["openai/gpt"]), "", 1),
}


@pytest.mark.usefixtures("at_home")
@pytest.mark.parametrize(("body", "problem", "sent"), ODD.values(), ids=ODD.keys())
async def test_auto_runs_directly_what_no_batch_api_can_do_and_the_others_there(
    store, blobs, provider, body, problem, sent
):
    _, progress, lines = await run(store, blobs, provider, [*items(12), item(12, body, problem)], mode="auto")
    assert progress.counts == Counts(succeeded=12 + sent, errored=1 - sent)
    assert Counter(names(lines)) == Counter(f"item-{index}" for index in range(13))
    assert (len(created(provider)), len(direct(provider))) == (1, sent)


@pytest.mark.usefixtures("at_home")
async def test_auto_makes_a_group_for_each_provider_and_model_with_enough_items(store, blobs, provider):
    models = ["claude-a"] * 15 + ["openai/gpt"] * 12 + ["claude-b"] * 3
    asked = [item(index, question(index, model)) for index, model in enumerate(models)]
    _, progress, lines = await run(store, blobs, provider, asked, mode="auto", shard_items=7)
    assert (progress.counts, len(set(names(lines)))) == (Counts(succeeded=30), 30)
    assert Counter(path == ANTHROPIC_BATCHES for path in created(provider)) == {True: 1, False: 1}
    assert len(direct(provider)) == 3
    assert (progress.spent.native, progress.spent.direct) == (27, 3)


async def test_of_too_many_models_those_with_the_fewest_items_run_directly(store, blobs, provider, monkeypatch):
    monkeypatch.setattr(choice, "MOST_GROUPS", 2)
    models = ["a", "b", "b", "c", "c", "c"]
    asked = [item(index, question(index, model)) for index, model in enumerate(models)]
    _, progress, _ = await run(store, blobs, provider, asked)
    assert (progress.counts, len(created(provider)), len(direct(provider))) == (Counts(succeeded=6), 2, 1)


async def test_what_runs_directly_does_not_wait_for_the_batch_api_nor_a_group_for_another(store, blobs, provider):
    stalled, quick = "sim-batch-stall", "claude-quick"
    of_shards = [[stalled] * 2, [quick] * 2, [None] * 2, [quick, None], [stalled, None]]
    asked = [
        item(index, question(index, model or "claude-a", **({} if model else {"fallbacks": ["openai/gpt"]})))
        for index, model in enumerate(model for models in of_shards for model in models)
    ]
    batch = await submit(store, blobs, asked, mode="native", shard_items=2)
    async with working(store, blobs, settings(provider.url)):
        await until(lambda: written(store, batch, [1, 2, 3]))
        looked = await BatchRecords(store).look(batch.id)
        assert (looked.state, looked.counts) == (BatchState.IN_PROGRESS, Counts(succeeded=7))
        held = await store.call("KEYS", f"hermod:batch-items:{batch.id}:*")
        assert held == [f"hermod:batch-items:{batch.id}:4".encode()], "other results are in the object store"
        await BatchRecords(store).cancel(batch.id)
        progress = await until(lambda: ended(store, batch))
    assert progress.counts.ended == 10
    assert Counter(names(await results(blobs, batch))) == Counter(f"item-{index}" for index in range(10))


async def written(store, batch, shards):
    return await BatchRecords(store).done_shards(batch.id) == shards


# --- what it costs ----------------------------------------------------------------------------------------

PRICED = "claude-haiku-4-5"


async def test_a_batch_api_costs_half_and_what_it_saved_is_told(store, blobs, provider):
    _, there, _ = await run(store, blobs, provider, items(12, PRICED))
    _, here, _ = await run(store, blobs, provider, items(12, PRICED), mode="direct")
    assert (there.spent.native, there.spent.direct, there.spent.unpriced) == (12, 0, 0)
    assert (here.spent.native, here.spent.direct, here.spent.saved) == (0, 12, 0)
    assert here.spent.cost == here.spent.input * 1000 + here.spent.output * 5000 > 0
    assert there.spent.cost == there.spent.saved == here.spent.cost / 2


async def test_items_of_unknown_cost_are_counted_and_not_taken_for_free(store, blobs, provider):
    asked = [item(index, question(index, PRICED if index % 2 else "claude-unknown")) for index in range(6)]
    asked.append(item(6, question(6, "sim-404")))
    _, progress, _ = await run(store, blobs, provider, asked)
    assert (progress.spent.native, progress.spent.unpriced) == (6, 3)
    assert progress.spent.cost > 0


async def test_an_item_whose_end_is_heard_twice_is_paid_for_once(store, blobs, provider, monkeypatch):
    real, broken = client.Client.lines, []

    async def breaking(api, seen):
        async for line in real(api, seen):
            yield line
        if not broken:
            broken.append(seen)
            raise ProviderError("cut", provider="anthropic")

    monkeypatch.setattr(client.Client, "lines", breaking)
    _, progress, _ = await run(store, blobs, provider, items(20, PRICED))
    assert (len(broken), progress.counts, progress.spent.native) == (1, Counts(succeeded=20), 20)


# --- what is left at the provider -------------------------------------------------------------------------


async def test_no_file_of_a_batch_is_left_at_openai(store, blobs, provider):
    asked = [*items(5), item(5, {**question(5), "n": 0})]
    await run(store, blobs, provider, asked, **OPENAI)
    deleted = [call["path"] for call in provider.calls() if call["method"] == "DELETE"]
    assert len(set(deleted)) == 3, "what was asked, what was answered, and the errors"
    assert all(call["status"] == 200 for call in provider.calls() if call["method"] == "DELETE")


async def test_what_was_uploaded_for_a_batch_that_is_refused_is_deleted(store, blobs, provider, monkeypatch):
    monkeypatch.setattr(OPENAI_API, "create", refused_create)
    _, progress, _ = await run(store, blobs, provider, items(3), **OPENAI)
    assert progress.counts == Counts(errored=3)
    assert [call["status"] for call in provider.calls() if call["method"] == "DELETE"] == [200]


async def test_a_file_that_cannot_be_deleted_holds_nothing_up(store, blobs, provider, monkeypatch):
    monkeypatch.setattr(OPENAI_API, "discard", lambda _: Ask("DELETE", "/nowhere"))
    _, progress, _ = await run(store, blobs, provider, items(3), **OPENAI)
    assert progress.counts == Counts(succeeded=3)


# --- what goes wrong --------------------------------------------------------------------------------------


async def test_a_stalled_batch_is_taken_back_in_time_and_each_item_has_one_result(store, blobs, provider):
    _, progress, lines = await run(store, blobs, provider, items(120, "sim-batch-stall"), created_ms=late())
    assert (progress.state, progress.counts) == (BatchState.COMPLETED, Counts(succeeded=120))
    assert Counter(names(lines)) == Counter(f"item-{index}" for index in range(120))
    assert len(direct(provider)) == 60, "what the provider had done is kept"
    assert any(call["path"].endswith("/cancel") for call in provider.calls())


async def test_a_stalled_batch_at_openai_is_taken_back_too(store, blobs, provider):
    asked = items(10, "sim-batch-stall")
    _, progress, lines = await run(store, blobs, provider, asked, created_ms=late(), **OPENAI)
    assert (progress.counts, len(set(names(lines)))) == (Counts(succeeded=10), 10)
    assert len(direct(provider)) == 5


async def test_cancelling_travels_to_the_provider_and_keeps_what_it_has_done(store, blobs, provider):
    batch = await submit(store, blobs, items(40, "sim-batch-stall"), mode="native")
    async with working(store, blobs, settings(provider.url)):
        await until(lambda: created(provider))
        await BatchRecords(store).cancel(batch.id)
        progress = await until(lambda: ended(store, batch))
    assert (progress.state, progress.counts) == (BatchState.CANCELLED, Counts(succeeded=20, canceled=20))
    assert kinds(await results(blobs, batch)) == {"succeeded": 20, "canceled": 20}
    assert direct(provider) == []


async def test_a_batch_that_is_looked_at_rarely_is_cancelled_at_once(store, blobs, provider, monkeypatch):
    monkeypatch.setattr(group, "FIRST_S", 60.0)
    monkeypatch.setattr(group, "LONGEST_S", 60.0)
    batch = await submit(store, blobs, items(10, "sim-batch-stall"), mode="native")
    async with working(store, blobs, settings(provider.url)):
        await until(lambda: put_off(store, batch, "native 0"))
        monkeypatch.setattr(group, "FIRST_S", 0.05)
        await BatchRecords(store).cancel(batch.id)
        progress = await until(lambda: ended(store, batch), AT_ONCE_S)
    assert progress.counts == Counts(succeeded=5, canceled=5)


async def test_a_cancel_whose_api_dies_right_after_it_was_marked_is_heard_at_once(store, blobs, provider, monkeypatch):
    class Dying(RedisStore):
        marked = False

        async def run(self, *asked):
            assert not self.marked, "nothing more comes of a process that is dead"
            self.marked = True
            return await store.run(*asked)

        async def call(self, *asked):
            assert not self.marked
            return await store.call(*asked)

    monkeypatch.setattr(group, "FIRST_S", 60.0)
    monkeypatch.setattr(group, "LONGEST_S", 60.0)
    batch = await submit(store, blobs, items(10, "sim-batch-stall"), mode="native")
    async with working(store, blobs, settings(provider.url)):
        await until(lambda: put_off(store, batch, "native 0"))
        monkeypatch.setattr(group, "FIRST_S", 0.05)
        with contextlib.suppress(AssertionError):
            await BatchRecords(Dying("redis://nowhere")).cancel(batch.id)
        progress = await until(lambda: ended(store, batch), AT_ONCE_S)
    assert (progress.state, progress.counts) == (BatchState.CANCELLED, Counts(succeeded=5, canceled=5))


async def test_the_batch_of_a_key_that_is_revoked_is_cancelled_at_the_provider_and_what_it_has_done_is_kept(
    store, blobs, provider
):
    value, known = "sk-bf-mine", settings(provider.url)
    key, owner = VirtualKey(name="mine", hash=digest(value.encode())), owner_of_digest(digest(value.encode()))
    keyring = Keyring(known, store)
    await keyring.records.keys.add(owner, key)
    await keyring.open()
    budgets = Budgets(store, keyring, Prices(known.prices), "w")
    batch = await submit(store, blobs, items(10, "sim-batch-stall"), mode="native", owner=owner)
    async with at_work(store, blobs, known, budgets) as worker:
        await until(lambda: created(provider))
        await keyring.records.keys.change(owner, lambda held: msgspec.structs.replace(held, active=False))
        progress = await until(lambda: ended(store, batch))
        await worker.ctx["batches"].close()
    await keyring.close()
    assert (progress.state, progress.counts) == (BatchState.COMPLETED, Counts(succeeded=5, errored=5))
    refused = [line["result"]["error"] for line in await results(blobs, batch) if line["result"]["type"] == "errored"]
    assert {error["error"]["type"] for error in refused} == {"permission_error"}
    assert any(call["path"].endswith("/cancel") for call in provider.calls())
    assert direct(provider) == []


async def test_a_stalled_batch_at_gemini_is_cancelled_and_taken_back(store, blobs, provider):
    asked = items(10, "gemini/sim-batch-stall")
    _, progress, lines = await run(store, blobs, provider, asked, created_ms=late())
    assert (progress.counts, len(set(names(lines)))) == (Counts(succeeded=10), 10)
    assert len(direct(provider)) == 5, "what the provider had done is kept"
    assert any(call["path"].endswith(":cancel") for call in provider.calls())


async def test_a_provider_that_does_not_even_cancel_is_not_waited_for(store, blobs, provider, monkeypatch):
    monkeypatch.setattr(group, "GIVE_UP_MS", 300)
    monkeypatch.setattr(client.Client, "cancel", unheard)
    _, progress, lines = await run(store, blobs, provider, items(10, "sim-batch-stall"), created_ms=late())
    assert (progress.counts, len(set(names(lines)))) == (Counts(succeeded=10), 10)
    assert len(direct(provider)) == 10


async def unheard(*_):
    """Nothing happens."""


@pytest.mark.parametrize(
    ("model", "facts"),
    [("sim-batch-lost", {}), ("sim-batch-lost", OPENAI), ("gemini/sim-batch-lost", {})],
    ids=["anthropic", "openai", "gemini"],
)
async def test_a_batch_whose_acceptance_was_not_heard_of_is_found_and_not_sent_again(
    store, blobs, provider, model, facts
):
    _, progress, lines = await run(store, blobs, provider, items(20, model), **facts)
    assert (progress.counts, len(set(names(lines)))) == (Counts(succeeded=20), 20)
    assert (len(created(provider)), direct(provider)) == (1, [])


async def test_another_s_newer_batch_of_as_many_items_is_not_taken_for_the_lost_one(
    store, blobs, provider, monkeypatch
):
    real, other = client.Client.submit, [b'{"custom_id":"c%d","params":{"model":"m"}}' % index for index in range(20)]

    async def followed(api, lines, path, mark):
        try:
            return await real(api, lines, path, mark)
        finally:
            await real(api, other, path, mark)

    monkeypatch.setattr(client.Client, "submit", followed)
    _, progress, lines = await run(store, blobs, provider, items(20, "sim-batch-lost"))
    assert (progress.counts, len(set(names(lines)))) == (Counts(succeeded=20), 20)
    assert (len(created(provider)), direct(provider)) == (2, [])


async def test_a_batch_that_never_reached_the_provider_is_sent_again(store, blobs, provider, monkeypatch):
    real, sent = client.Client.submit, []

    async def cut(api, lines, path, mark):
        sent.append(mark)
        if len(sent) == 1:
            raise ProviderError("cut", provider="anthropic")
        return await real(api, lines, path, mark)

    monkeypatch.setattr(client.Client, "submit", cut)
    _, progress, _ = await run(store, blobs, provider, items(5))
    assert (progress.counts, len(sent), len(set(sent))) == (Counts(succeeded=5), 2, 1)
    assert (len(created(provider)), direct(provider)) == (1, [])


@pytest.mark.usefixtures("at_home")
async def test_where_the_batch_api_refuses_native_tells_why_and_auto_runs_directly(store, blobs, provider, monkeypatch):
    monkeypatch.setattr(ANTHROPIC, "create", refused_create)
    _, progress, lines = await run(store, blobs, provider, items(3))
    assert progress.counts == Counts(errored=3)
    assert {line["result"]["error"]["error"]["type"] for line in lines} == {"not_found_error"}
    _, progress, _ = await run(store, blobs, provider, items(3), mode="auto")
    assert (progress.counts, len(direct(provider))) == (Counts(succeeded=3), 3)


async def test_results_whose_reading_broke_off_are_counted_once(store, blobs, provider, monkeypatch):
    real, broken = client.Client.lines, []

    async def breaking(api, seen):
        async for line in real(api, seen):
            yield line
            if not broken and line.custom_id.endswith("-90"):
                broken.append(line)
                raise ProviderError("cut", provider="anthropic")

    monkeypatch.setattr(client.Client, "lines", breaking)
    _, progress, lines = await run(store, blobs, provider, items(150))
    assert (len(broken), progress.counts, len(lines)) == (1, Counts(succeeded=150), 150)
    assert direct(provider) == []


def test_a_worker_killed_between_acceptance_and_its_note_submits_nothing_twice(tmp_path, server):
    fleet = Fleet(tmp_path, server.url)
    try:
        struck = fleet.worker(failpoint="answered=kill")
        asyncio.run(killed_and_continued(fleet, FolderBlobs(tmp_path / "objects")))
        calls = fleet.calls()
        assert struck.process.wait(1) == -signal.SIGKILL
    finally:
        fleet.close()
    assert [call["path"] for call in calls if call["method"] == "POST"] == [ANTHROPIC_BATCHES]


def accepted(fleet):
    return [call for call in fleet.calls() if call["method"] == "POST" and call["status"] == 200]


async def killed_and_continued(fleet, blobs):
    store = RedisStore(fleet.url_of_redis)
    batch = await submit(store, blobs, items(30), mode="native", id=job_id())
    await until(lambda: accepted(fleet), 30)
    fleet.worker()
    progress = await until(lambda: ended(store, batch), 60)
    await store.close()
    assert progress.counts == Counts(succeeded=30)
    assert len(set(names(await results(blobs, batch)))) == 30


def test_a_worker_killed_after_the_second_key_was_taken_submits_nothing_twice(tmp_path, server):
    keys = [{"name": name, "value": f"sk-{name}", "weight": weight} for name, weight in (("dead", 1), ("good", 1e-9))]
    fleet = Fleet(tmp_path, server.url, providers={"anthropic": {"keys": keys}})
    try:
        assert ask(fleet.simulator, "POST", "/__keys", {"key": "sk-dead", "revoked": True}).status == 200
        struck = fleet.worker(failpoint="answered=kill")
        asyncio.run(killed_and_continued(fleet, FolderBlobs(tmp_path / "objects")))
        calls = fleet.calls()
        assert struck.process.wait(1) == -signal.SIGKILL
    finally:
        fleet.close()
    assert [call["status"] for call in calls if call["method"] == "POST"] == [401, 200]
    assert {call["status"] for call in calls if call["method"] == "GET"} == {200}, "only the second key was asked"
