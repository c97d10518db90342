"""Batches whose objects lie on an S3 server: run directly, at batch APIs, and taken back from one."""

import json
from collections import Counter

import pytest

from shared.batches import WINDOW_MS, BatchState, Counts
from shared.files import blob as file_blob
from shared.ids import now_ms
from shared.stores.blobs import open_blobs
from tests.batches import at_work, ended, items, results, settings, simulated, submit
from tests.integration.conftest import until
from tests.integration.test_shards import OPENAI, names
from tests.object_stores import opened
from worker.native_batches import choice, group


@pytest.fixture(scope="module")
def bucket(tmp_path_factory):
    yield from opened("s3", tmp_path_factory.mktemp("batches"))


@pytest.fixture
async def blobs(bucket):
    store = open_blobs(bucket.settings)
    yield store
    await store.close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(group, "FIRST_S", 0.05)
    monkeypatch.setattr(group, "LONGEST_S", 0.2)


def late():
    return now_ms() - WINDOW_MS + choice.RESERVE_MS + 5000


WAYS = {
    "direct": ("m", {"mode": "direct"}, (0, 60)),
    "direct, with files of results": ("m", {"mode": "direct", **OPENAI}, (0, 60)),
    "at Anthropic": ("m", {"mode": "native"}, (60, 0)),
    "at OpenAI": ("m", {"mode": "native", **OPENAI}, (60, 0)),
    "taken back": ("sim-batch-stall", {"mode": "native"}, (30, 30)),
}


@pytest.mark.parametrize(("model", "facts", "ran"), WAYS.values(), ids=WAYS.keys())
async def test_every_item_has_its_result_in_the_bucket(store, blobs, bucket, model, facts, ran):
    created = {"created_ms": late()} if model == "sim-batch-stall" else {}
    async with simulated() as provider:
        batch = await submit(store, blobs, items(60, model), shard_items=25, **facts, **created)
        async with at_work(store, blobs, settings(provider.url)) as worker:
            progress = await until(lambda: ended(store, batch), 30)
            await worker.ctx["batches"].close()
    assert (progress.state, progress.counts) == (BatchState.COMPLETED, Counts(succeeded=60))
    assert (progress.spent.native, progress.spent.direct) == ran
    lines = await results(blobs, batch)
    if batch.surface == "openai":
        assert lines == list(map(json.loads, (await blobs.get(file_blob(progress.output_file))).splitlines()))
    assert Counter(names(lines)) == Counter(f"item-{index}" for index in range(60))
    assert all(f"question {line['custom_id'].removeprefix('item-')}" in json.dumps(line) for line in lines)
    assert any(key.startswith(f"batches/{batch.id}/out/") for key in bucket.listed())
