"""Requests that name uploaded files reach the provider as if the files had come with them."""

import asyncio
import base64
import contextlib
import json

import msgspec
import pytest

from shared.batches import Counts
from shared.bodies import Bodies
from shared.errors import NotFound, StoreError, TooLarge
from shared.files import File, Files, blob
from shared.ids import job_id, named, now_ms
from shared.job_index import JobIndex
from shared.jobs import State
from shared.queue import Queue
from shared.stores.memory import MemoryBlobs
from tests.batches import FAST, ended, item, question, results, settings, simulated, submit
from tests.contract.asking import PIXEL
from tests.integration.conftest import until
from tests.integration.test_queue import a_job, is_final
from worker.attachments import LOOKED_UP, MIB, MOST_BYTES, Attachments
from worker.executor import Executor
from worker.leases import LeaseWorker
from worker.room import Room, kept
from worker.routing import Router
from worker.shards import Batches
from worker.tasks import run_job
from worker.transport import Transport

ME = "me"
PDF, PNG = b"%PDF-1.7 \x00\xff content", base64.b64decode(PIXEL)
TEXT = 'é "quoted"\n'
PDF_64 = base64.b64encode(PDF).decode()
TEXT_64 = base64.b64encode(TEXT.encode()).decode()
ENDS_WITHIN_S = 60.0


class Read(MemoryBlobs):
    """A store that knows what was asked of it, and gives nothing of what is `away`."""

    def __init__(self):
        super().__init__()
        self.asked = []
        self.away = set()

    async def get(self, key, start=0, length=None):
        self.asked.append(key)
        if key in self.away:
            raise StoreError("away")
        return await super().get(key, start, length)


@pytest.fixture
def blobs():
    return Read()


@pytest.fixture
async def provider():
    async with simulated() as running:
        yield running


@pytest.fixture
def upload(store, blobs):
    async def uploaded(data, mime_type="application/pdf", *, filename="a.pdf", owner=ME, **facts):
        """The UUID of a file that was uploaded."""
        fixed = {"id": job_id(), "owner": owner, "filename": filename, "mime_type": mime_type, "size": len(data)}
        file = File(**{**fixed, "purpose": "user_data", "created_ms": now_ms(), **facts})
        await blobs.put(blob(file.id), data)
        await Files(store).add(file)
        return file.id

    return uploaded


@contextlib.asynccontextmanager
async def at_work(store, blobs, provider):
    known, transport = settings(provider.url), Transport(max_bytes=1 << 26)
    executor = Executor(Router(known), transport, Attachments(Files(store), blobs))
    worker = LeaseWorker(store, [run_job], FAST)
    batches = Batches(
        store, blobs, executor, known, attachments=Attachments(Files(store), blobs), leaving=worker.leaving
    )
    worker.ctx.update(executor=executor, bodies=Bodies(blobs, 1 << 18), store=store, batches=batches)
    serving = asyncio.create_task(worker.serve())
    try:
        yield
    finally:
        worker.stop()
        await serving
        await transport.close()


async def asked(store, dialect, body, **facts):
    """The job that was submitted, once it has ended."""
    job = a_job(**{"owner": ME, "dialect": dialect, "model": body["model"], **facts})
    await Queue(store).submit(job, msgspec.json.encode(body), waiter="")
    await until(lambda: is_final(Queue(store), job), ENDS_WITHIN_S)
    return await JobIndex(store).find(job.id)


def answered(snapshot):
    assert snapshot.state is State.SUCCEEDED, snapshot.outcome.body
    return snapshot.outcome


# --- bodies ------------------------------------------------------------------------------------------------


def anthropic(block, model="anthropic/m"):
    return question(0, model, messages=[{"role": "user", "content": [{"type": "text", "text": "x"}, block]}])


def chat(part, model="openai/m"):
    return {"model": model, "messages": [{"role": "user", "content": [{"type": "text", "text": "x"}, part]}]}


def responses(part, model="openai/m"):
    return {"model": model, "input": [{"role": "user", "content": [{"type": "input_text", "text": "x"}, part]}]}


def document(source):
    return {"type": "document", "source": source, "title": "T"}


def by_id(file_id):
    return {"type": "file", "file_id": named("file_", file_id)}


def named_by(dialect, kind, file_id):
    """The part that names a document or an image by its id, as the dialect has it."""
    shown = named("file-", file_id)
    if dialect == "anthropic":
        return {"type": kind, "source": by_id(file_id)}
    if dialect == "openai_chat":
        return {"type": "file", "file": {"file_id": shown}}
    return {"type": "input_file" if kind == "document" else "input_image", "file_id": shown}


MAKE = {"anthropic": anthropic, "openai_chat": chat, "openai_responses": responses}
FILE_IS = {
    "anthropic": "messages.0.content.1.source.file_id",
    "openai_chat": "messages[0].content[1].file.file_id",
    "openai_responses": "input[0].content[1].file_id",
}
SAME = {
    "a PDF, Anthropic": (
        "anthropic",
        "document",
        (PDF, "application/pdf"),
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PDF_64}},
    ),
    "an image, Anthropic": (
        "anthropic",
        "image",
        (PNG, "image/png"),
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
    ),
    "text, Anthropic": (
        "anthropic",
        "document",
        (TEXT.encode(), "text/csv"),
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": TEXT}},
    ),
    "a PDF, Chat": (
        "openai_chat",
        "document",
        (PDF, "application/pdf"),
        {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{PDF_64}", "filename": "a.pdf"}},
    ),
    "text, Chat": (
        "openai_chat",
        "document",
        (TEXT.encode(), "text/csv"),
        {"type": "file", "file": {"file_data": f"data:text/csv;base64,{TEXT_64}", "filename": "a.pdf"}},
    ),
    "a PDF, Responses": (
        "openai_responses",
        "document",
        (PDF, "application/pdf"),
        {"type": "input_file", "file_data": f"data:application/pdf;base64,{PDF_64}", "filename": "a.pdf"},
    ),
    "an image, Responses": (
        "openai_responses",
        "image",
        (PNG, "image/png"),
        {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}"},
    ),
}


@pytest.mark.parametrize("model", ["anthropic/m", "openai/m"])
@pytest.mark.parametrize("name", SAME)
async def test_a_file_by_id_reaches_every_provider_exactly_as_one_sent_inline(
    store, blobs, provider, upload, name, model
):
    dialect, kind, file, inline = SAME[name]
    part = named_by(dialect, kind, await upload(*file))
    async with at_work(store, blobs, provider):
        answered(await asked(store, dialect, MAKE[dialect](inline, model)))
        answered(await asked(store, dialect, MAKE[dialect](part, model)))
    first, second = provider.calls()
    assert first["request_sha256"] == second["request_sha256"]


@pytest.mark.parametrize("model", ["anthropic/m", "openai/m"])
@pytest.mark.parametrize("dialect", MAKE)
async def test_a_stream_can_be_asked_about_a_file(store, blobs, provider, upload, dialect, model):
    part = named_by(dialect, "document", await upload(PDF))
    async with at_work(store, blobs, provider):
        body = {**MAKE[dialect](part, model), "stream": True}
        snapshot = await asked(store, dialect, body, stream=True)
    answered(snapshot)
    assert len(await Queue(store).events(snapshot.job.owner, snapshot.job.id)) > 0


async def test_tokens_of_a_file_are_counted(store, blobs, provider, upload):
    body = anthropic(document(by_id(await upload(PDF))))
    del body["max_tokens"]
    async with at_work(store, blobs, provider):
        outcome = answered(await asked(store, "anthropic", body, operation="count_tokens"))
    assert json.loads(outcome.body)["input_tokens"] > 0


async def test_a_request_that_is_tried_again_is_the_same_and_its_file_was_read_once(store, blobs, provider, upload):
    file_id = await upload(PDF)
    async with at_work(store, blobs, provider):
        answered(await asked(store, "anthropic", anthropic(document(by_id(file_id)), "anthropic/sim-500-once")))
    first, second = provider.calls()
    assert first["request_sha256"] == second["request_sha256"]
    assert blobs.asked == [blob(file_id)]


async def test_an_item_of_a_batch_may_name_a_file_which_is_read_once_for_all(store, blobs, provider, upload):
    file_id = await upload(PDF)
    bodies = [
        question(number, messages=[{"role": "user", "content": [document(by_id(file_id))]}], system=f"{number}")
        for number in range(120)
    ]
    bodies.append(anthropic(document(by_id(job_id())), "m"))
    async with at_work(store, blobs, provider):
        batch = await submit(store, blobs, [item(index, body) for index, body in enumerate(bodies)], owner=ME)
        progress = await until(lambda: ended(store, batch), ENDS_WITHIN_S)
    assert progress.counts == Counts(succeeded=120, errored=1)
    assert blobs.asked.count(blob(file_id)) == 1
    [error] = [
        line["result"]["error"]["error"] for line in await results(blobs, batch) if line["result"]["type"] == "errored"
    ]
    assert error["type"] == "not_found_error"
    assert FILE_IS["anthropic"] in error["message"]


async def test_a_thousand_files_and_one_are_all_put_in(store):
    blobs = MemoryBlobs()
    attachments, files = Attachments(Files(store), blobs), Files(store)
    ids = [job_id() for _ in range(LOOKED_UP + 1)]
    for file_id in ids:
        fixed = {"owner": ME, "filename": "a.txt", "mime_type": "text/plain", "purpose": "user_data", "created_ms": 1}
        await files.add(File(id=file_id, size=36, **fixed))
        await blobs.put(blob(file_id), file_id.encode())
    body = {"messages": [{"role": "user", "content": [document(by_id(file_id)) for file_id in ids]}]}
    whole = json.loads(await attachments.inlined(a_job(owner=ME), json.dumps(body).encode()))
    assert [block["source"]["data"] for block in whole["messages"][0]["content"]] == ids


@pytest.mark.parametrize("dialect", MAKE)
async def test_a_body_without_a_file_is_handed_on_as_it_is(store, blobs, dialect):
    for part in ({"type": "text", "text": "x"}, {"type": "text", "text": "file_id"}, {"file_id": "file_x"}):
        body = msgspec.json.encode(MAKE[dialect](part))
        assert await Attachments(Files(store), blobs).inlined(a_job(dialect=dialect), body) is body


# --- refusals ----------------------------------------------------------------------------------------------


def refusal(snapshot):
    """Status and text of the error, which is not the provider's."""
    assert snapshot.state is State.FAILED
    assert snapshot.attempts == ()
    error = json.loads(snapshot.outcome.body)["error"]
    return snapshot.outcome.status, error


@pytest.mark.parametrize("dialect", MAKE)
async def test_a_file_that_is_not_the_callers_is_not_found_by_its_path_whoever_has_it(
    store, blobs, provider, upload, dialect
):
    unknown, others = job_id(), await upload(PDF, owner="another")
    expired, lost = await upload(PDF, expires_ms=now_ms() - 1), await upload(PDF)
    await blobs.delete(blob(lost))
    texts = set()
    async with at_work(store, blobs, provider):
        for file_id in (unknown, others, expired, lost):
            part = named_by(dialect, "document", file_id)
            status, error = refusal(await asked(store, dialect, MAKE[dialect](part)))
            shown = file_id.replace("-", "")
            assert status == 404
            assert error["message"].startswith(FILE_IS[dialect] + ": ")
            assert shown in error["message"]
            assert error.get("param", FILE_IS[dialect]) == FILE_IS[dialect]
            texts.add(error["message"].replace(shown, ""))
    assert len(texts) == 1
    assert provider.calls() == []


@pytest.mark.parametrize("shown", ["file-abc123", "x", "é\n", "file_" + "0" * 32, "0" * 31, "*" * 100_000])
async def test_an_id_that_is_not_ours_is_not_found(store, blobs, provider, shown):
    async with at_work(store, blobs, provider):
        part = {"type": "file", "file": {"file_id": shown}}
        status, error = refusal(await asked(store, "openai_chat", chat(part)))
    assert (status, error["param"]) == (404, FILE_IS["openai_chat"])
    assert len(error["message"]) < 300


async def test_a_type_that_a_place_cannot_take_is_refused_by_its_path(store, blobs, provider, upload):
    table = await upload(b"PK", "application/vnd.ms-excel", filename="a.xls")
    latin = await upload("é".encode("latin-1"), "text/plain")
    async with at_work(store, blobs, provider):
        status, error = refusal(await asked(store, "anthropic", anthropic(document(by_id(table)))))
        assert (status, error["type"]) == (400, "invalid_request_error")
        assert FILE_IS["anthropic"] in error["message"]
        assert "application/vnd.ms-excel" in error["message"]
        status, error = refusal(await asked(store, "anthropic", anthropic(document(by_id(latin)))))
        assert status == 400
        assert "UTF-8" in error["message"]
    assert provider.calls() == []


async def test_files_that_are_too_large_together_are_refused_by_the_path_of_the_first_too_many(store, blobs, upload):
    attachments, job = Attachments(Files(store), blobs), a_job(owner=ME, dialect="anthropic")
    alone = await upload(b"", size=24 * MIB + 1)
    half, nulls = await upload(bytes(12 * MIB - 3)), await upload(bytes(6 * MIB), "text/plain")

    async def tried(*ids):
        body = {"messages": [{"role": "user", "content": [document(by_id(file_id)) for file_id in ids]}]}
        return await attachments.inlined(job, json.dumps(body).encode())

    assert MOST_BYTES - 100 < len(await tried(half, half)) < MOST_BYTES + 1000
    for ids, at in (([alone], 0), ([half, half, half], 2), ([nulls], 0)):
        with pytest.raises(TooLarge, match="32 MiB") as refused:
            await tried(*ids)
        assert refused.value.param == f"messages.0.content.{at}.source.file_id"
    assert blob(alone) not in blobs.asked


async def test_the_files_of_all_requests_of_a_worker_together_are_bounded_until_their_calls_have_ended(
    store, blobs, upload
):
    room = Room(10 * MIB)
    attachments, job = Attachments(Files(store), blobs, room), a_job(owner=ME, dialect="anthropic")
    file_id = await upload(bytes(3 * MIB))  # 4 MiB as base64
    body = json.dumps({"messages": [{"role": "user", "content": [document(by_id(file_id))]}]}).encode()
    held, most = 0, 0

    async def attempt():
        nonlocal held, most
        with kept():
            added = len(await attachments.inlined(job, body)) - len(body)
            held += added
            most = max(most, held)
            await asyncio.sleep(0.02)  # the call to the provider
            held -= added

    await asyncio.gather(*(attempt() for _ in range(10)))
    assert 4 * MIB < most <= 10 * MIB
    with pytest.raises(NotFound):
        await attachments.inlined(a_job(owner="somebody else", dialect="anthropic"), body)
    assert room.take_now(10 * MIB)


# --- a store that is away ----------------------------------------------------------------------------------


async def test_a_request_waits_for_the_object_store_that_has_its_file(store, blobs, provider, upload):
    file_id = await upload(PDF)
    blobs.away = {blob(file_id)}
    async with at_work(store, blobs, provider):
        waiting = asyncio.create_task(asked(store, "anthropic", anthropic(document(by_id(file_id)))))
        await until(lambda: blobs.asked)
        blobs.away = set()
        snapshot = await waiting
    answered(snapshot)
    assert [attempt.failure for attempt in snapshot.attempts] == [None]


async def test_an_item_of_a_batch_waits_likewise(store, blobs, provider, upload):
    file_id = await upload(PDF)
    blobs.away = {blob(file_id)}
    async with at_work(store, blobs, provider):
        batch = await submit(store, blobs, [item(0, anthropic(document(by_id(file_id)), "m"))], owner=ME)
        await until(lambda: blob(file_id) in blobs.asked)
        blobs.away = set()
        progress = await until(lambda: ended(store, batch), ENDS_WITHIN_S)
    assert progress.counts == Counts(succeeded=1)
