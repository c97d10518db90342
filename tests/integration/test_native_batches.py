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
from shared.files import blob as file_blob
from shared.ids import job_id, now_ms
from shared.stores.folder import FolderBlobs
from shared.stores.memory import MemoryBlobs
from shared.stores.redis import RedisStore
from tests.batches import at_work, ended, item, items, question, results, settings, simulated, submit
from tests.chaos.fleet import Fleet
from tests.integration.conftest import until
from tests.integration.test_shards import OPENAI, kinds, names
from worker.native_batches import choice, client, group
from worker.native_batches.anthropic import ANTHROPIC
from worker.native_batches.wires import Ask
from worker.providers import catalog

ANTHROPIC_BATCHES, OPENAI_BATCHES = "/v1/messages/batches", "/v1/batches"
DIRECT = ("/messages", "/completions", "/responses", "/embeddings")


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
        progress = await until(lambda: ended(store, batch), 30)
    return batch, progress, await results(blobs, batch)


def created(provider):
    return [call["path"] for call in provider.calls() if call["method"] == "POST" and call["path"].endswith("batches")]


def direct(provider):
    return [call for call in provider.calls() if call["path"].endswith(DIRECT)]


def refused_create(*_):
    return Ask("POST", "/nowhere", b"{}")


def late():
    """When a batch was created that is taken back from its provider in two seconds."""
    return now_ms() - WINDOW_MS + choice.RESERVE_MS + 2000


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
    monkeypatch.setattr(group, "PART_ITEMS", 40)
    _, progress, lines = await run(store, blobs, provider, items(100), shard_items=20)
    assert progress.counts == Counts(succeeded=100)
    assert len(set(names(lines))) == 100
    assert (len(created(provider)), direct(provider)) == (3, [])


# --- where -----------------------------------------------------------------------------------------------


async def test_direct_never_asks_a_batch_api(store, blobs, provider):
    await run(store, blobs, provider, items(3), mode="direct")
    assert (created(provider), len(direct(provider))) == ([], 3)


async def test_auto_runs_directly_where_the_provider_is_not_the_vendor_itself(store, blobs, provider):
    await run(store, blobs, provider, items(3), mode="auto")
    assert (created(provider), len(direct(provider))) == ([], 3)


@pytest.fixture
def at_home(provider, monkeypatch):
    """The simulated provider is Anthropic itself."""
    row = msgspec.structs.replace(catalog.ROWS["anthropic"], base_url=provider.url)
    monkeypatch.setitem(catalog.ROWS, "anthropic", row)


@pytest.mark.usefixtures("at_home")
async def test_auto_uses_the_vendor_s_own_batch_api(store, blobs, provider):
    await run(store, blobs, provider, items(3), mode="auto")
    assert (len(created(provider)), direct(provider)) == (1, [])


MIXED = {
    "a problem": item(3, question(3), "wrong"),
    "a bad item": item(3, question(3, stream=True)),
    "another provider": item(3, question(3, "openai/gpt")),
    "fallbacks": item(3, question(3, fallbacks=["openai/gpt"])),
}


@pytest.mark.usefixtures("at_home")
@pytest.mark.parametrize("odd", MIXED.values(), ids=MIXED.keys())
async def test_auto_runs_directly_what_is_not_wholly_for_one_batch_api(store, blobs, provider, odd):
    await run(store, blobs, provider, [*items(3), odd], mode="auto")
    assert created(provider) == []


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


async def test_a_provider_that_does_not_even_cancel_is_not_waited_for(store, blobs, provider, monkeypatch):
    monkeypatch.setattr(group, "GIVE_UP_MS", 300)
    monkeypatch.setattr(client.Client, "cancel", unheard)
    _, progress, lines = await run(store, blobs, provider, items(10, "sim-batch-stall"), created_ms=late())
    assert (progress.counts, len(set(names(lines)))) == (Counts(succeeded=10), 10)
    assert len(direct(provider)) == 10


async def unheard(*_):
    """Nothing happens."""


@pytest.mark.parametrize("facts", [{}, OPENAI], ids=["anthropic", "openai"])
async def test_a_batch_whose_acceptance_was_not_heard_of_is_found_and_not_sent_again(store, blobs, provider, facts):
    _, progress, lines = await run(store, blobs, provider, items(20, "sim-batch-lost"), **facts)
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


async def killed_and_continued(fleet, blobs):
    store = RedisStore(fleet.url_of_redis)
    batch = await submit(store, blobs, items(30), mode="native", id=job_id())
    await until(lambda: fleet.called() > 0, 30)
    fleet.worker()
    progress = await until(lambda: ended(store, batch), 60)
    await store.close()
    assert progress.counts == Counts(succeeded=30)
    assert len(set(names(await results(blobs, batch)))) == 30
