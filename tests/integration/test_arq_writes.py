"""What arq's own parts put into Redis here is msgpack: neither calls nor results are pickles, and none is read."""

import asyncio
import pickle

import msgspec
import pytest

from shared.settings import WorkerSettings
from tests.integration.conftest import until
from worker.leases import LeaseWorker

SAID = "said by the task"


@pytest.fixture
async def worker(store):
    async def told(_ctx, word):
        return f"{word} {SAID}"

    told.__qualname__ = "told"
    made = LeaseWorker(store, [told], WorkerSettings(grace_s=1))
    serving = asyncio.create_task(made.serve())
    yield made
    made.stop()
    await serving


async def test_a_call_that_arq_enqueues_is_run_and_its_result_kept_without_a_pickle(worker, store):
    call = await worker.pool.enqueue_job("told", "once")
    stored = await until(lambda: store.call("GET", f"arq:result:{call.job_id}"))
    result = msgspec.msgpack.decode(stored)
    assert f"once {SAID}" in result.values(), "it was run"


async def test_neither_client_nor_worker_of_arq_falls_back_to_pickle(worker):
    """Both do where they are given nothing: what one of them cannot read here is refused, not loaded."""
    for writes, reads in (
        (worker.job_serializer, worker.job_deserializer),
        (worker.pool.job_serializer, worker.pool.job_deserializer),
    ):
        assert msgspec.msgpack.decode(writes({"f": "told"})) == {"f": "told"}
        with pytest.raises(msgspec.DecodeError):
            reads(pickle.dumps({"f": "told"}))
