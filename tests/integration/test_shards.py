"""Batches as workers run them: every item comes to exactly one end, whatever workers, stores and providers do."""

import itertools
import json
import time
from collections import Counter

import msgspec
import pytest

from shared.batch_records import BatchRecords
from shared.batches import SHARD_ITEMS, WINDOW_MS, BatchState, Counts, Ending, blob, items_of, named_after, plan
from shared.bodies import Bodies
from shared.errors import NotFound
from shared.files import Files
from shared.files import blob as file_blob
from shared.ids import job_id, now_ms
from shared.jobs import Attempt, Outcome, State
from shared.lanes import LATER, WAKE, Lane
from shared.provider_settings import ProviderKey, RateLimits
from shared.queue import Queue, Share
from shared.stores.memory import MemoryBlobs
from tests.batches import FAST, at_work, ended, item, items, question, results, settings, simulated, start, submit
from tests.chaos.test_worker_races import RUN_OUT
from tests.integration.conftest import AT_ONCE_S, until
from tests.integration.test_bodies import Frail
from tests.integration.test_queue import a_job, is_final, working
from worker import shards, standstill
from worker.executor import Executor, TryLater
from worker.item_records import ItemRecords
from worker.lease import LeaseLost
from worker.leases import MAX_CRASHES
from worker.ramp import FIRST
from worker.sweep import BATCH_AGE_S, sweep_blobs

OPENAI = {"surface": "openai", "dialect": "openai_chat", "provider": "openai", "endpoint": "/v1/chat/completions"}


@pytest.fixture
def blobs():
    return Frail()


@pytest.fixture
async def provider():
    async with simulated() as running:
        yield running


def kinds(lines):
    """How often each kind of an Anthropic result occurs."""
    return Counter(line["result"]["type"] for line in lines)


async def underway(store, batch):
    return (await BatchRecords(store).look(batch.id)).state is BatchState.IN_PROGRESS


def names(lines):
    return [line["custom_id"] for line in lines]


async def run(store, blobs, provider, asked, /, within_s=60.0, worker=FAST, **facts):
    """Submit, work, wait for the end: the batch, its progress, its results."""
    batch = await submit(store, blobs, asked, **facts)
    async with at_work(store, blobs, settings(provider.url, worker)):
        progress = await until(lambda: ended(store, batch), within_s)
    return batch, progress, await results(blobs, batch)


# --- what items come to -----------------------------------------------------------------------------------


async def test_every_item_has_its_own_answer_and_all_are_counted(store, blobs, provider):
    batch, progress, lines = await run(store, blobs, provider, items(250))
    assert batch.shards == 3
    assert (progress.state, progress.counts) == (BatchState.COMPLETED, Counts(succeeded=250))
    assert names(lines) == [f"item-{index}" for index in range(250)]
    for index, line in enumerate(lines):
        assert line["result"]["type"] == "succeeded"
        message = line["result"]["message"]
        assert (message["type"], message["role"]) == ("message", "assistant")
        assert f"question {index}" in message["content"][0]["text"]
    assert len(provider.calls()) == 250
    assert progress.started_ms <= progress.finalizing_ms <= progress.ended_ms
    assert await store.call("KEYS", "hermod:batch-items:*") == []


async def test_on_the_openai_surface_results_are_files_of_the_owner(store, blobs, provider):
    asked = [*items(120), item(120, question(0, "sim-404")), item(121, {"messages": []})]
    batch, progress, _ = await run(store, blobs, provider, asked, owner="me", **OPENAI)
    assert (progress.state, progress.counts) == (BatchState.COMPLETED, Counts(succeeded=120, errored=2))
    assert progress.output_file == named_after(batch.id, "output")
    output = await Files(store).find(progress.output_file, "me", "file")
    content = await blobs.get(file_blob(output.id))
    assert (output.size, output.purpose) == (len(content), "batch_output")
    lines = [json.loads(line) for line in content.splitlines()]
    assert names(lines) == [f"item-{index}" for index in range(120)]
    assert lines[7]["response"]["status_code"] == 200
    assert lines[7]["response"]["body"]["object"] == "chat.completion"
    assert "question 7" in lines[7]["response"]["body"]["choices"][0]["message"]["content"]
    assert (lines[7]["id"][:10], lines[7]["error"]) == ("batch_req_", None)
    assert len({line["id"] for line in lines}) == 120
    errors = (await blobs.get(file_blob(progress.error_file))).splitlines()
    assert [json.loads(line)["response"]["status_code"] for line in errors] == [404, 400]


async def test_without_failures_there_is_no_error_file(store, blobs, provider):
    _, progress, _ = await run(store, blobs, provider, items(3), **OPENAI)
    assert (progress.output_file != "", progress.error_file) == (True, "")


async def test_a_model_without_a_prefix_is_the_batchs_provider_s_and_a_prefix_wins(store, blobs, provider):
    asked = [item(0, question(0, "gpt")), item(1, question(1, "anthropic/claude")), item(2, question(2, "org/gpt"))]
    _, _, lines = await run(store, blobs, provider, asked, provider="openai")
    assert kinds(lines) == {"succeeded": 3}
    assert all(line["result"]["message"]["type"] == "message" for line in lines)
    calls = {(call["path"], call["model"]) for call in provider.calls()}
    assert calls == {("/v1/chat/completions", "gpt"), ("/v1/messages", "claude"), ("/v1/chat/completions", "org/gpt")}


async def test_the_headers_of_a_batch_travel_with_each_of_its_items(store, blobs, provider):
    headers = {"anthropic-version": "2023-06-01", "anthropic-beta": "a-beta"}
    await run(store, blobs, provider, items(3), headers=headers)
    assert [call["headers"]["anthropic-beta"] for call in provider.calls()] == ["a-beta"] * 3


BAD = {
    "not an object": (3, "", "object"),
    "without max_tokens": ({"model": "m", "messages": [{"role": "user", "content": "x"}]}, "", "max_tokens"),
    "a stream": (question(0, stream=True), "", "stream"),
    "a provider that is not configured": (question(0, "mistral/x"), "", "mistral"),
    "found wrong at the intake": (question(0), "params.url: not served", "params.url: not served"),
}


async def test_a_bad_item_is_an_errored_result_that_says_why_and_is_not_sent(store, blobs, provider):
    asked = [item(index, body, problem) for index, (body, problem, _) in enumerate(BAD.values())]
    _, progress, lines = await run(store, blobs, provider, asked)
    assert (progress.state, progress.counts.errored) == (BatchState.COMPLETED, len(BAD))
    for line, (_, _, word) in zip(lines, BAD.values(), strict=True):
        assert line["result"]["type"] == "errored"
        body = line["result"]["error"]
        assert (body["type"], body["error"]["type"]) == ("error", "invalid_request_error")
        assert body["request_id"].startswith("req_")
        assert word in body["error"]["message"]
    assert provider.calls() == []


@pytest.mark.parametrize("model", ["m", "anthropic/m"])
@pytest.mark.parametrize("wish", [{}, {"store": True}, {"store": False}], ids=str)
async def test_a_response_of_a_batch_is_not_called_stored(store, blobs, provider, model, wish):
    asked = [item(0, {"model": model, "input": "hello", "max_output_tokens": 16, **wish})]
    facts = {**OPENAI, "dialect": "openai_responses", "endpoint": "/v1/responses"}
    _, _, [line] = await run(store, blobs, provider, asked, **facts)
    assert line["response"]["body"]["store"] is False


async def test_what_the_provider_rejects_is_an_errored_result_with_its_own_error(store, blobs, provider):
    _, _, [line] = await run(store, blobs, provider, items(1, "sim-404"))
    assert line["result"]["error"]["error"]["type"] == "not_found_error"
    assert len(provider.calls()) == 1


async def test_a_passing_failure_is_healed_and_a_lasting_one_fails_its_own_item_only(store, blobs, provider):
    asked = [item(0, question(0, "sim-500-once")), item(1, question(1, "sim-500")), item(2, question(2))]
    _, progress, lines = await run(store, blobs, provider, asked)
    assert progress.counts == Counts(succeeded=2, errored=1)
    assert [line["custom_id"] for line in lines if line["result"]["type"] == "errored"] == ["item-1"]
    assert Counter(call["model"] for call in provider.calls()) == {"sim-500-once": 2, "sim-500": 3, "m": 1}


async def test_a_defect_in_one_item_fails_that_item_only(store, blobs, provider, monkeypatch):
    real = Executor.run

    async def broken(executor, asked):
        if b"question 1" in asked.body:
            raise KeyError("a defect")
        return await real(executor, asked)

    monkeypatch.setattr(Executor, "run", broken)
    _, progress, lines = await run(store, blobs, provider, items(3))
    assert progress.counts == Counts(succeeded=2, errored=1)
    assert lines[-1]["result"]["error"]["error"]["type"] == "api_error"


async def test_an_item_that_needs_a_store_that_is_away_waits_for_it(store, blobs, provider, monkeypatch):
    real, away = Executor.run, iter([True, True, False])

    async def fetching(executor, asked):
        if next(away):
            raise TryLater(0.1)
        return await real(executor, asked)

    monkeypatch.setattr(Executor, "run", fetching)
    _, progress, _ = await run(store, blobs, provider, items(1))
    assert progress.counts == Counts(succeeded=1)


async def test_items_of_several_megabytes_are_run(store, blobs, provider):
    asked = [item(index, question(index, system="x" * (5 << 20))) for index in range(3)]
    batch, progress, _ = await run(store, blobs, provider, asked, shard_items=0)
    assert (batch.shards, progress.counts) == (3, Counts(succeeded=3))


async def test_a_small_batch_is_work_for_several_workers_and_a_large_one_is_cut_into_full_shards():
    def sizes(count):
        return [len(items_of(shard)) for shard in plan(items(count))]

    assert sizes(10) == [10]
    assert sizes(100) == [25] * 4
    assert (sum(sizes(1000)), max(sizes(1000))) == (1000, 57), "none is more than a sixteenth of the batch"
    assert Counter(sizes(20_000)).most_common(1)[0][0] == SHARD_ITEMS
    assert len(sizes(20_000)) < 230


# --- a provider that is busy ------------------------------------------------------------------------------


async def test_a_rate_limit_delays_items_and_fails_none(store, blobs, provider):
    _, progress, lines = await run(store, blobs, provider, items(6, "sim-429-once"))
    assert (progress.counts, kinds(lines)) == (Counts(succeeded=6), {"succeeded": 6})
    assert len(provider.calls()) == 12


async def test_an_overloaded_model_is_left_alone_while_another_one_s_items_go_on(store, blobs, provider):
    asked = [item(index, question(index, "sim-529" if index < 30 else "m")) for index in range(60)]
    created = now_ms() - WINDOW_MS + 8000
    _, progress, lines = await run(store, blobs, provider, asked, created_ms=created)
    assert (progress.state, progress.counts) == (BatchState.EXPIRED, Counts(succeeded=30, expired=30))
    assert kinds(lines) == {"succeeded": 30, "expired": 30}
    overloaded = sum(call["model"] == "sim-529" for call in provider.calls())
    assert FIRST <= overloaded <= 60, "a few before the first answer, then half as many, ever more rarely"


async def test_a_shard_whose_items_all_wait_for_long_leaves_its_slot_to_another(store, blobs, provider, monkeypatch):
    """As they do for the window of a virtual key."""
    waiting, run_now = {"one"}, Executor.run

    async def run_or_wait(self, asked):
        if asked.job.owner in waiting:
            raise TryLater(60)
        return await run_now(self, asked)

    monkeypatch.setattr(Executor, "run", run_or_wait)
    monkeypatch.setattr(standstill, "LONGEST_S", 0.5)
    first = await submit(store, blobs, items(40), owner="one")
    single = msgspec.structs.replace(FAST, batch_slots=1, batch_concurrency=8)
    async with at_work(store, blobs, settings(provider.url, single)):
        await until(lambda: underway(store, first))
        second = await submit(store, blobs, items(20), owner="two")
        progress = await until(lambda: ended(store, second))
        assert progress.counts == Counts(succeeded=20)
        assert await ended(store, first) is None
        waiting.clear()
        progress = await until(lambda: ended(store, first))
    assert progress.counts == Counts(succeeded=40)
    assert len(provider.calls()) == 60


async def test_a_shard_with_an_item_that_has_failed_before_keeps_its_slot(store, blobs, provider, monkeypatch):
    """Elsewhere it would be tried from the start again, without end."""
    failed = Attempt(number=1, target="t", key="k", started_ms=1, ended_ms=2, then="retry")
    asked_by = Counter()

    async def fail_and_wait(_, asked):
        asked_by[asked.job.id] += 1
        asked.attempts = (failed,)
        raise TryLater(60)

    monkeypatch.setattr(Executor, "run", fail_and_wait)
    monkeypatch.setattr(standstill, "LONGEST_S", 0.1)
    created = now_ms() - WINDOW_MS + 4000
    _, progress, _ = await run(store, blobs, provider, items(4), created_ms=created)
    assert progress.counts == Counts(expired=4)
    assert set(asked_by.values()) == {1}


@pytest.mark.parametrize(
    "models", [["limited"] * 30 + ["sim-latency-500"] * 20, ["limited", "sim-latency-500"] * 20 + ["limited"] * 10]
)
async def test_items_that_wait_for_a_limit_hold_up_no_other_model_s_and_miss_no_turn(store, blobs, provider, models):
    known = settings(provider.url, msgspec.structs.replace(FAST, batch_concurrency=2))
    limit = RateLimits(requests_per_minute=120)  # twenty at once, then two a second
    key = ProviderKey(name="key", value="sk-simulated", model_limits={"limited": limit})
    known.providers["anthropic"] = msgspec.structs.replace(known.providers["anthropic"], keys=(key,))
    asked = [item(index, question(index, model)) for index, model in enumerate(models)]
    batch = await submit(store, blobs, asked)
    async with at_work(store, blobs, known):
        progress = await until(lambda: ended(store, batch))
    assert progress.counts == Counts(succeeded=50)
    times = [call["at"] for call in provider.calls()]
    assert 4 < times[-1] - times[0] < 9, "five seconds for ten at two a second, and as long beside them for the others"


async def test_a_fallback_serves_what_its_first_target_cannot(store, blobs, provider):
    asked = [item(0, question(0, "sim-529", fallbacks=["openai/gpt"]))]
    _, progress, _ = await run(store, blobs, provider, asked)
    assert progress.counts == Counts(succeeded=1)
    assert [call["model"] for call in provider.calls()] == ["sim-529"] * 3 + ["gpt"]


# --- ends before the end ----------------------------------------------------------------------------------


async def test_cancelling_lets_running_items_finish_and_begins_no_other(store, blobs, provider):
    asked = items(100, "sim-latency-3000")
    slow = msgspec.structs.replace(FAST, batch_concurrency=8)
    batch = await submit(store, blobs, asked)
    async with at_work(store, blobs, settings(provider.url, slow)):
        await until(lambda: len(provider.calls()) == 8)
        await BatchRecords(store).cancel(batch.id)
        progress = await until(lambda: ended(store, batch))
    assert (progress.state, progress.counts) == (BatchState.CANCELLED, Counts(succeeded=8, canceled=92))
    lines = await results(blobs, batch)
    assert sorted(names(lines)) == sorted(each.custom_id for each in asked)
    assert lines[-1]["result"] == {"type": "canceled"}
    assert len(provider.calls()) == 8


async def test_cancelling_is_heard_within_a_second_while_all_items_wait(store, blobs, provider):
    batch = await submit(store, blobs, items(50, "sim-429"), **OPENAI)
    async with at_work(store, blobs, settings(provider.url)):
        await until(provider.calls)
        await BatchRecords(store).cancel(batch.id)
        asked = time.monotonic()
        progress = await until(lambda: ended(store, batch))
        assert time.monotonic() - asked < 10
    assert (progress.state, progress.counts, progress.output_file) == (BatchState.CANCELLED, Counts(canceled=50), "")
    lines = [json.loads(line) for line in (await blobs.get(file_blob(progress.error_file))).splitlines()]
    assert {(line["response"], line["error"]["code"]) for line in lines} == {(None, "batch_cancelled")}


async def test_a_shard_that_was_put_off_hears_at_once_that_its_batch_is_cancelled(store, blobs, provider, monkeypatch):
    async def wait_long(*_):
        raise TryLater(60)

    monkeypatch.setattr(Executor, "run", wait_long)
    batch = await submit(store, blobs, items(30), shard_items=10)
    async with at_work(store, blobs, settings(provider.url)):
        await until(lambda: put_off(store, batch, "shard 0", "shard 1", "shard 2"))
        await BatchRecords(store).cancel(batch.id)
        progress = await until(lambda: ended(store, batch), AT_ONCE_S)
    assert (progress.state, progress.counts) == (BatchState.CANCELLED, Counts(canceled=30))


async def put_off(store, batch, *names):
    """Whether the jobs wait for their time."""
    ids = [named_after(batch.id, name) for name in names]
    if None in [await store.call("ZSCORE", LATER, job) for job in ids]:  # neither claimed nor put off
        return False
    return {await store.call("HGET", f"hermod:job:{job}", "state") for job in ids} == {b"queued"}


async def test_a_shard_that_is_put_off_while_its_batch_is_cancelled_is_due_again_at_once(store, blobs):
    batch = await submit(store, blobs, items(1))
    runs = []

    async def look_too_early(lease):
        runs.append(time.monotonic())
        if lease.id != batch.id and len(runs) < 3:
            await BatchRecords(store).cancel(batch.id)
            await lease.defer(60)
        else:
            await lease.finish(State.SUCCEEDED, Outcome(status=200))

    async with working(store, look_too_early):
        await until(lambda: len(runs) == 1)
        shard = a_job(id=named_after(batch.id, "shard 0"), operation="shard", lane=Lane.BATCH)
        await BatchRecords(store).start(batch.id)
        await Queue(store).submit(shard, b"", waiter="")
        await until(lambda: len(runs) == 3)
    assert runs[2] - runs[1] < AT_ONCE_S


async def test_a_batch_cancelled_before_it_was_started_runs_nothing(store, blobs, provider):
    batch = await submit(store, blobs, items(150))
    await BatchRecords(store).cancel(batch.id)
    async with at_work(store, blobs, settings(provider.url)):
        progress = await until(lambda: ended(store, batch))
    assert (progress.state, progress.counts) == (BatchState.CANCELLED, Counts(canceled=150))
    assert provider.calls() == []


async def test_a_batch_that_no_worker_ran_in_its_window_expires_unrun(store, blobs, provider):
    _, progress, lines = await run(store, blobs, provider, items(150), created_ms=now_ms() - WINDOW_MS - 1)
    assert (progress.state, progress.counts) == (BatchState.EXPIRED, Counts(expired=150))
    assert len(set(names(lines))) == 150
    assert provider.calls() == []


async def test_a_batch_is_remembered_for_longer_than_its_window_even_if_no_worker_starts_it(store, blobs):
    batch = await submit(store, blobs, items(1))
    assert await store.call("TTL", f"hermod:batch:{batch.id}") > WINDOW_MS / 1000 + 3600


# --- workers and stores come and go -----------------------------------------------------------------------


async def test_a_shard_whose_lease_runs_out_goes_on_elsewhere_with_what_was_not_finished(store, blobs, provider):
    asked = [item(index, question(index, "m" if index < 40 else "sim-latency-3000")) for index in range(50)]
    batch = await submit(store, blobs, asked)
    shard = named_after(batch.id, "shard 0")
    async with at_work(store, blobs, settings(provider.url)), at_work(store, blobs, settings(provider.url)):
        await until(lambda: len(provider.calls()) == 50)
        await until(lambda: counted(store, batch, 40))
        await run_out(store, shard)
        progress = await until(lambda: ended(store, batch))
    assert progress.counts == Counts(succeeded=50)
    assert sorted(names(await results(blobs, batch))) == sorted(each.custom_id for each in asked)
    assert len(provider.calls()) == 60, "the ten that were running, and no other"


async def counted(store, batch, number):
    return (await BatchRecords(store).look(batch.id)).counts.ended >= number


async def test_a_worker_that_is_told_to_stop_begins_no_item_and_hands_the_shard_back(store, blobs, provider):
    patient = msgspec.structs.replace(FAST, batch_concurrency=4, grace_s=10, lease_s=600)  # none runs out
    batch = await submit(store, blobs, items(12, "sim-latency-1000"))
    async with at_work(store, blobs, settings(provider.url, patient)) as leaving:
        await until(lambda: len(provider.calls()) >= 4)
        leaving.stop()
        await until(lambda: not leaving.tasks)
    assert not await ended(store, batch)
    before = len(provider.calls())
    assert before <= 8
    assert await counted(store, batch, before)
    async with at_work(store, blobs, settings(provider.url, patient)):
        progress = await until(lambda: ended(store, batch))
    assert progress.counts == Counts(succeeded=12)
    assert len(provider.calls()) == 12, "none was cut, none repeated"


async def run_out(store, job):
    """The lease of the job is over, as if its worker were gone; whoever looks next has it."""
    fence = await until(lambda: store.call("GET", f"arq:in-progress:{job}"))

    async def taken():
        # Again each time: the worker, which is not gone, may have renewed the lease before anybody looked.
        await store.call("EVAL", RUN_OUT, 2, LATER, WAKE + Lane.INTERACTIVE, job, fence)
        return await store.call("GET", f"arq:in-progress:{job}") not in {None, fence}

    await until(taken)


async def test_a_shard_that_took_down_three_workers_runs_its_items_one_by_one_and_gives_up_the_one_to_blame(
    store, blobs, provider
):
    batch = await submit(store, blobs, items(8, "sim-latency-200"))
    await store.call("HSET", f"hermod:batch-items:{batch.id}:0", "alone 5", f"2 {MAX_CRASHES}")
    async with at_work(store, blobs, settings(provider.url)):
        for _ in range(MAX_CRASHES):
            await run_out(store, named_after(batch.id, "shard 0"))
        together = len(provider.calls())
        progress = await until(lambda: ended(store, batch))
    assert progress.counts == Counts(succeeded=7, errored=1)
    [blamed] = [line for line in await results(blobs, batch) if line["result"]["type"] == "errored"]
    assert blamed["custom_id"] == "item-5"
    assert "took down 3 workers" in blamed["result"]["error"]["error"]["message"]
    times = [call["at"] for call in provider.calls()[together:]]
    assert all(later - earlier > 0.15 for earlier, later in itertools.pairwise(times))


async def test_only_crashes_are_held_against_an_item_that_runs_alone(store, blobs):
    batch, records = await submit(store, blobs, items(1)), ItemRecords(store)
    await store.call("SET", "arq:in-progress:job", "fence")
    begun = [
        await records.begin_alone("job", b"fence", batch, 0, index=7, crashes=crashes)
        for crashes in (3, 3, 3, 4, 4, 5, 6)
    ]
    assert begun == [1, 1, 1, 2, 2, 3, 4]
    assert await records.finished(batch, 0) == {}


async def test_a_worker_that_was_frozen_overwrites_nothing_and_counts_nothing_twice(store, blobs, provider):
    batch = await submit(store, blobs, items(5, "sim-latency-2500"))
    shard = named_after(batch.id, "shard 0")
    async with at_work(store, blobs, settings(provider.url)) as frozen:
        await until(lambda: len(provider.calls()) == 5)
        lease = frozen._held[shard]
        async with at_work(store, blobs, settings(provider.url)):
            await run_out(store, shard)
            await until(lambda: ended(store, batch))
        before, lines = await everything_of(store, batch), await results(blobs, batch)
        records = ItemRecords(store)
        place = (lease.id, lease.fence, batch, 0)
        assert await records.end_item(*place, index=9, ending=Ending.ERRORED, line=b"late") == "lost"
        assert await records.begin_alone(*place, index=9, crashes=0) == 0
        assert await records.end_shard(lease.id, lease.fence, batch, 0) == -1
        with pytest.raises(LeaseLost):
            await frozen.ctx["batches"].advance(lease)
    assert (await everything_of(store, batch), await results(blobs, batch)) == (before, lines)


async def everything_of(store, batch):
    keys = sorted(await store.call("KEYS", f"hermod:batch*{batch.id}*"))
    return [(key, await BatchRecords(store).look(batch.id)) for key in keys]


async def test_doing_a_step_again_changes_nothing(store, blobs, provider):
    batch, progress, lines = await run(store, blobs, provider, items(5), **OPENAI)
    names_before = blobs.stored()
    for job in (batch.id, named_after(batch.id, "shard 0"), named_after(batch.id, "finish")):
        await store.call("DEL", f"hermod:job:{job}")
    await start(store, batch)
    async with at_work(store, blobs, settings(provider.url)):
        await until(lambda: is_over(store, batch.id))
    assert await BatchRecords(store).look(batch.id) == progress
    assert (blobs.stored(), await results(blobs, batch)) == (names_before, lines)
    assert await store.call("TTL", f"hermod:batch:{batch.id}") > 0
    assert len(provider.calls()) == 5


async def is_over(store, job):
    return (await Queue(store).look(job)).state.final


async def test_results_wait_for_an_object_store_that_is_away_and_are_not_asked_for_again(store, blobs, provider):
    batch = await submit(store, blobs, items(5, "sim-latency-100"))
    async with at_work(store, blobs, settings(provider.url)):
        await until(provider.calls)
        blobs.away = True
        await until(lambda: counted(store, batch, 5))
        assert not await ended(store, batch)
        blobs.away = False
        progress = await until(lambda: ended(store, batch))
    assert progress.counts == Counts(succeeded=5)
    assert len(await results(blobs, batch)) == len(provider.calls()) == 5


async def test_a_batch_whose_items_are_lost_ends_with_its_window(store, blobs, provider, caplog):
    asked = items(20)
    batch = await submit(store, blobs, asked, shard_items=10, created_ms=now_ms() - WINDOW_MS - 1)
    await blobs.delete(blob(batch.id, "in", 0))
    async with at_work(store, blobs, settings(provider.url)):
        progress = await until(lambda: ended(store, batch))
    assert progress.counts == Counts(errored=10, expired=10)
    lost, *expired = [line["result"] for line in (await results(blobs, batch))[9:]]
    assert "lost the request at index 9 of" in lost["error"]["error"]["message"]
    assert {result["type"] for result in expired} == {"expired"}
    assert "items of a batch are lost" in caplog.text


@pytest.mark.parametrize("mode", ["direct", "native"])
async def test_requests_that_stay_lost_are_errors_and_the_others_are_run(store, blobs, provider, monkeypatch, mode):
    monkeypatch.setattr(shards, "LOST_S", 0.05)
    monkeypatch.setattr(shards, "LOST_MS", 300)
    batch = await submit(store, blobs, items(50), shard_items=20, mode=mode, **OPENAI)
    await blobs.delete(blob(batch.id, "in", 1))
    async with at_work(store, blobs, settings(provider.url)):
        progress = await until(lambda: ended(store, batch))
    assert (progress.state, progress.counts) == (BatchState.COMPLETED, Counts(succeeded=30, errored=20))
    lines = await results(blobs, batch)
    assert len(lines) == 50
    for index, line in enumerate(lines[20:40], 20):
        assert (line["custom_id"], line["response"]["status_code"]) == ("", 500)
        assert line["response"]["body"]["error"]["code"] == "request_lost"
        assert f"index {index} of" in line["response"]["body"]["error"]["message"]
    assert not await store.call("KEYS", "hermod:batch-items:*")


async def test_requests_that_are_put_back_are_run(store, blobs, provider, monkeypatch):
    monkeypatch.setattr(shards, "LOST_S", 0.05)
    batch = await submit(store, blobs, items(5))
    held = await blobs.get(blob(batch.id, "in", 0))
    await blobs.delete(blob(batch.id, "in", 0))
    async with at_work(store, blobs, settings(provider.url)):
        await until(lambda: store.call("HEXISTS", f"hermod:batch-items:{batch.id}:0", "lost"))
        await blobs.put(blob(batch.id, "in", 0), held)
        progress = await until(lambda: ended(store, batch))
    assert progress.counts == Counts(succeeded=5)


async def test_a_cancelled_batch_does_not_wait_for_lost_requests(store, blobs, provider):
    batch = await submit(store, blobs, items(5))
    await blobs.delete(blob(batch.id, "in", 0))
    async with at_work(store, blobs, settings(provider.url)):
        await until(lambda: put_off(store, batch, "shard 0"))
        await BatchRecords(store).cancel(batch.id)
        progress = await until(lambda: ended(store, batch))
    assert (progress.state, progress.counts) == (BatchState.CANCELLED, Counts(errored=5))


async def test_the_jobs_of_a_batch_that_was_forgotten_end(store, blobs, provider):
    batch = await submit(store, blobs, items(5))
    await BatchRecords(store).forget(batch)
    async with at_work(store, blobs, settings(provider.url)):
        await until(lambda: is_over(store, batch.id))
    left = await store.call("KEYS", "hermod:batch*")
    assert left == [b"hermod:batches:anonymous:anthropic"], "its place in the listing"
    with pytest.raises(NotFound):
        await BatchRecords(store).look(batch.id)


# --- beside other requests --------------------------------------------------------------------------------


@pytest.mark.usefixtures("told")
async def test_batches_leave_slots_to_other_requests_however_many_shards_wait(store, blobs, provider):
    few = msgspec.structs.replace(FAST, slots=5, batch_slots=9, grace_s=0)
    await submit(store, blobs, items(8, "sim-latency-60000"), shard_items=1)
    async with at_work(store, blobs, settings(provider.url, few)) as worker:
        await until(lambda: len(provider.calls()) == 2)
        job = a_job(model="m")
        await Queue(store).submit(job, json.dumps(question(0)).encode(), waiter="")
        await until(lambda: is_final(Queue(store), job), AT_ONCE_S)
        assert sum(held.job.lane is Lane.BATCH for held in worker._held.values()) == 2


async def test_a_worker_without_batch_slots_runs_none(store, blobs, provider):
    none = msgspec.structs.replace(FAST, batch_slots=0)
    batch, job = await submit(store, blobs, items(1)), a_job()
    async with at_work(store, blobs, settings(provider.url, none)):
        await Queue(store).submit(job, json.dumps(question(0)).encode(), waiter="")
        await until(lambda: is_final(Queue(store), job))
        await until(lambda: underway(store, batch))
    assert (await Queue(store).look(named_after(batch.id, "shard 0"))).state is State.QUEUED


@pytest.mark.usefixtures("told")
async def test_the_slot_of_a_shard_that_ended_is_taken_at_once(store, blobs, provider):
    one = msgspec.structs.replace(FAST, batch_slots=1, renew_s=3)
    batch = await submit(store, blobs, items(20), shard_items=1)
    async with at_work(store, blobs, settings(provider.url, one)):
        await until(lambda: ended(store, batch), AT_ONCE_S)


@pytest.mark.usefixtures("told")
async def test_shards_share_the_slots_of_all_workers_at_once(store, blobs, provider):
    one = msgspec.structs.replace(FAST, batch_slots=1, renew_s=3, grace_s=0)
    known = settings(provider.url, one)
    async with at_work(store, blobs, known), at_work(store, blobs, known), at_work(store, blobs, known):
        await submit(store, blobs, items(3, "sim-latency-60000"), shard_items=1)
        await until(lambda: len(provider.calls()) == 3, AT_ONCE_S)


async def test_an_unreadable_record_is_refused_and_harms_no_job_claimed_with_it(store, blobs, provider):
    batch, broken, job = await submit(store, blobs, items(1)), a_job(), a_job()
    for each in (broken, job):
        await Queue(store).submit(each, json.dumps(question(0)).encode(), waiter="")
    await store.call("SET", f"arq:job:{broken.id}", b"\x81\xa1f\xa2\xff\xfe")
    async with at_work(store, blobs, settings(provider.url, msgspec.structs.replace(FAST, renew_s=10))):
        await until(lambda: is_final(Queue(store), job))
        await until(lambda: is_final(Queue(store), broken))
        await until(lambda: ended(store, batch))
    assert (await Queue(store).look(broken.id)).outcome.status == 500


async def test_a_callers_cap_holds_for_the_items_of_its_batch_and_its_limit_of_jobs_is_untouched(
    store, blobs, provider
):
    share = Share(max_running=2, max_unfinished=1)
    batch = await submit(store, blobs, items(12, "sim-latency-200"), shard_items=3, owner="me", share=share)
    async with at_work(store, blobs, settings(provider.url)):
        await until(lambda: len(provider.calls()) >= 4)
        job = a_job(owner="me", model="m")
        await Queue(store).submit(job, json.dumps(question(0)).encode(), waiter="", share=share)
        progress = await until(lambda: ended(store, batch))
    assert progress.counts == Counts(succeeded=12)
    times = [call["at"] for call in provider.calls() if call["model"] != "m"]
    assert all(third - first > 0.15 for first, third in zip(times, times[2:], strict=False))
    assert await store.call("ZRANGE", "hermod:owned:me", 0, -1) == []


# --- what is left behind ----------------------------------------------------------------------------------


class Aged(MemoryBlobs):
    """All was written long ago, but what is young."""

    young = ""

    async def list(self, prefix):
        async for info in super().list(prefix):
            age_s = BATCH_AGE_S + (-60 if self.young and self.young in info.key else 60)
            yield msgspec.structs.replace(info, modified_s=time.time() - age_s)


async def test_the_sweep_deletes_the_blobs_of_batches_that_are_gone_and_no_others(store):
    blobs = Aged()
    batch = await submit(store, blobs, items(20), shard_items=10)
    blobs.young, gone = job_id(), job_id()
    for kind in ("in", "out", "err"):
        await blobs.put(blob(gone, kind, 0), b"x")
    await blobs.put(blob(blobs.young, "in", 0), b"just arriving")
    await sweep_blobs({"store": store, "bodies": Bodies(blobs, 0)})
    left = [blob(batch.id, "in", 0), blob(batch.id, "in", 1), blob(blobs.young, "in", 0)]
    assert sorted(blobs._blobs) == sorted(left)
