"""Batches at Bedrock, whose requests and answers lie in S3."""

from urllib.parse import urlsplit

import pytest

from shared.batches import BatchState, Counts
from shared.provider_settings import BatchBucket, BedrockKey, NetworkSettings, ProviderKey, ProviderSettings
from shared.settings import Settings
from shared.stores.memory import MemoryBlobs
from tests.batches import FAST, ended, items, results, simulated, submit
from tests.integration.conftest import until
from tests.integration.test_native_batches import working
from tests.integration.test_shards import kinds, names
from tests.object_stores import opened
from worker.native_batches import group
from worker.native_batches.client import Client
from worker.native_batches.offers import offers, wire_of
from worker.routing import Router
from worker.signing import Signer
from worker.transport import Transport

JOBS = "/bedrock/model-invocation-job"
MODEL = "bedrock/anthropic.claude-sonnet-4-5-20250929-v1:0"


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(group, "FIRST_S", 0.05)
    monkeypatch.setattr(group, "LONGEST_S", 0.2)
    monkeypatch.setattr(group, "SETTLED_MS", 300)


@pytest.fixture
async def provider():
    async with simulated() as running:
        yield running


ROLE = "arn:aws:iam::123456789012:role/batch"


def settings(base_url, endpoint, role=ROLE, *, bucket="a-bucket", access_key="simulator", secret_key="simulator"):  # noqa: S107
    batch = BatchBucket(bucket_name=bucket, prefix="my batches/", role_arn=role, endpoint=endpoint)
    block = BedrockKey(region="us-east-1", access_key=access_key, secret_key=secret_key, batch=batch)
    known = ProviderSettings(
        name="bedrock",
        keys=(ProviderKey(name="bearer", value="abc", bedrock=block), ProviderKey(name="key", value="", bedrock=block)),
        network=NetworkSettings(base_url=base_url, max_retries=0),
    )
    return Settings(providers={"bedrock": known}, worker=FAST)


async def run(store, provider, asked, role=ROLE, **facts):
    """Submit, work, wait for the end: its progress, its results."""
    blobs = MemoryBlobs()
    batch = await submit(store, blobs, asked, **{"mode": "native", **facts})
    async with working(store, blobs, settings(f"{provider.url}/bedrock", f"{provider.url}/s3", role)):
        progress = await until(lambda: ended(store, batch), 30)
    return progress, await results(blobs, batch)


def called(provider, method):
    return [call["path"] for call in provider.calls() if call["method"] == method]


async def test_converses_run_as_one_job_signed_for_bedrock_and_for_s3(store, provider):
    progress, lines = await run(store, provider, items(120, MODEL))
    assert (progress.state, progress.counts) == (BatchState.COMPLETED, Counts(succeeded=120))
    assert names(lines) == [f"item-{index}" for index in range(120)]
    for index, line in enumerate(lines):
        assert f"question {index}" in line["result"]["message"]["content"][0]["text"]
    assert called(provider, "POST") == [JOBS]
    [put] = called(provider, "PUT")
    assert put.startswith("/s3/a-bucket/my%20batches/")
    assert len({path for path in called(provider, "DELETE") if path.startswith(put.removesuffix(".jsonl"))}) == 3


async def test_an_error_of_a_record_is_its_items(store, provider):
    progress, lines = await run(store, provider, items(100, "bedrock/sim-404"))
    assert (progress.counts, kinds(lines)) == (Counts(errored=100), {"errored": 100})
    assert lines[0]["result"]["error"]["error"]["type"] == "not_found_error"


@pytest.mark.parametrize(("role", "count", "why"), [("me", 100, "is no role's"), (ROLE, 3, "must have 100 to 50000")])
async def test_a_job_that_is_refused_or_fails_leaves_no_input_and_says_why(store, provider, role, count, why):
    progress, lines = await run(store, provider, items(count, MODEL), role)
    assert progress.counts == Counts(errored=count)
    assert why in lines[0]["result"]["error"]["error"]["message"]
    [put] = called(provider, "PUT")
    assert put in called(provider, "DELETE")


async def test_a_job_whose_acceptance_was_not_heard_of_is_found_again(store, provider):
    progress, _ = await run(store, provider, items(100, "bedrock/sim-batch-lost"))
    assert progress.counts == Counts(succeeded=100)
    assert called(provider, "POST") == [JOBS]
    assert f"{JOBS}s" in called(provider, "GET")


def test_batches_run_there_only_where_they_are_asked_to_and_with_a_key_that_s3_knows():
    router = Router(settings(None, "https://s3.us-east-1.amazonaws.com"))
    assert set(offers(router, "native")) == {"bedrock"}
    assert offers(router, "auto") == {}
    asked = offers(router, "native")["bedrock"].look("abc")
    assert asked.at + asked.path == "https://bedrock.us-east-1.amazonaws.com/model-invocation-job/abc"


async def test_a_real_s3_server_takes_the_signed_objects(tmp_path):
    for bucket in opened("s3", tmp_path):
        told = bucket.config
        endpoint = f"{'https' if told['secure'] else 'http'}://{told['endpoint']}"
        known = settings(
            "http://127.0.0.1:1",
            endpoint,
            bucket=bucket.name,
            access_key=told["access_key"],
            secret_key=told["secret_key"],
        )
        target = Router(known).target("bedrock", "m", only=frozenset({"key"}))
        wire, transport = wire_of(target), Transport(max_bytes=1 << 20)
        client = Client(transport, Signer().sign, target, wire, {})
        mark, line = "0" * 32, b'{"recordId":"r","modelOutput":{}}'
        try:
            upload = wire.upload([line, line], mark)
            await client._send(upload)
            assert bucket.listed() == [f"my batches/{mark}.jsonl"]
            body = b'{"jobArn":"arn:aws:bedrock:::model-invocation-job/abc","jobName":"hermod-%b","status":"Completed"}'
            seen = wire.seen(body % mark.encode())
            output = urlsplit(seen.results[0].path).path
            assert output.endswith(f"/{mark}/abc/{mark}.jsonl.out")
            await client._send(type(upload)("PUT", output, line + b"\n" + line, at=endpoint))
            assert [found.custom_id async for found in client.lines(seen)] == ["r", "r"]
            await client.clear(seen)
            assert bucket.listed() == []
        finally:
            await transport.close()
