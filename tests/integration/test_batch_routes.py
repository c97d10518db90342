"""Batches as clients see them: the real API process on a real Redis; what workers do is done here, step by step."""

import contextlib
import json
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest

from shared.batch_records import BatchRecords
from shared.batches import FIRST_ITEMS, Batch, Ending, blob, final_state, items_of
from shared.files import File, Files
from shared.files import blob as file_blob
from shared.ids import named, now_ms, uuid_of
from shared.jobs import State
from shared.lanes import Lane
from shared.queue import Queue
from shared.stores.blobs import Blobs, open_blobs
from shared.stores.redis import RedisStore
from tests.batches import at_work, question, settings, simulated
from tests.contract.process import clean_environment
from tests.integration.conftest import until
from tests.object_stores import Objects, opened
from tests.ports import free_port
from worker.item_records import ItemRecords

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="hermod api is for POSIX systems")

ANTHROPIC = "/anthropic/v1/messages/batches"
OPENAI = "/openai/v1/batches"
CHAT = "/v1/chat/completions"
CONFIG: dict[str, Any] = {
    "client": {"max_jobs_per_key": 3},
    "providers": {name: {"keys": [{"name": "k", "value": "none"}]} for name in ("anthropic", "openai")},
}


class Place:
    """The API process, and what a worker has in its hands."""

    def __init__(self, url: str, store: RedisStore, blobs: Blobs) -> None:
        self.url = url
        self.store = store
        self.blobs = blobs
        self.records = BatchRecords(store)
        self.items = ItemRecords(store)
        self.queue = Queue(store)
        self.http = httpx.AsyncClient(base_url=url, timeout=30)

    async def ask(self, method: str, path: str, status: int = 200, **more: Any) -> dict[str, Any]:
        answer = await self.http.request(method, path, **more)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def stored(self) -> list[str]:
        return sorted([info.key async for info in self.blobs.list("batches/")])

    async def nothing(self) -> bool:
        """No batch, no start of one, no shard."""
        return not (await self.stored() or await self.store.call("KEYS", "hermod:batch:*"))

    async def shards(self, shown: str) -> list[list[dict[str, Any]]]:
        """The items of each shard: index, custom_id, body."""
        batch = (await self.records.look(uuid_of(shown))).batch
        shards = [items_of(await self.blobs.get(blob(batch.id, "in", number))) for number in range(batch.shards)]
        return [[{"at": one.index, one.custom_id: json.loads(bytes(one.body))} for one in shard] for shard in shards]

    async def run(self, shown: str, *, failing: dict[str, Ending] | None = None, cancelled: bool = False) -> Batch:
        """Bring the batch to its end; the items named in `failing` end so."""
        await self.records.start(uuid_of(shown))
        batch = (await self.records.look(uuid_of(shown))).batch
        for number in range(batch.shards):
            await self.run_shard(batch, number, failing or {})
        await self.records.finalize(batch.id)
        counts = (await self.records.look(batch.id)).counts
        assert counts.ended == batch.total
        files = {"output_file": str(uuid.uuid4()), "error_file": str(uuid.uuid4())}
        await self.records.end(
            batch.id, final_state(counts, cancelled=cancelled), **files if batch.surface == "openai" else {}
        )
        return batch

    async def run_shard(self, batch: Batch, number: int, failing: dict[str, Ending]) -> None:
        lines: dict[str, bytes] = {"out": b"", "err": b""}
        await self.store.call("SET", "arq:in-progress:worker", "fence")
        for one in items_of(await self.blobs.get(blob(batch.id, "in", number))):
            ending = failing.get(one.custom_id, Ending.SUCCEEDED)
            line = json.dumps({"custom_id": one.custom_id, "result": {"type": ending}}).encode() + b"\n"
            lines["out" if ending is Ending.SUCCEEDED else "err"] += line
            await self.end_item(batch, number, one.index, ending)
        for kind, text in lines.items():
            if text:
                await self.blobs.put(blob(batch.id, kind, number), text)
        await self.items.end_shard("worker", b"fence", batch, number)

    async def end_item(self, batch: Batch, number: int, index: int, ending: Ending) -> None:
        await self.store.call("SET", "arq:in-progress:worker", "fence")
        await self.items.end_item("worker", b"fence", batch, number, index=index, ending=ending, line=b"")

    async def upload(self, content: bytes, owner: str = "anonymous", **facts: Any) -> str:
        """A file's id."""
        usual = {"id": str(uuid.uuid4()), "filename": "b.jsonl", "mime_type": "text/plain", "purpose": "batch"}
        file = File(**{**usual, "owner": owner, "size": len(content), "created_ms": now_ms(), **facts})
        await self.blobs.put(file_blob(file.id), content)
        await Files(self.store).add(file)
        return named("file-", file.id)


@pytest.fixture(scope="module", params=["folder", "s3"])
def objects(request, tmp_path_factory):
    yield from opened(request.param, tmp_path_factory.mktemp("store"))


@contextlib.contextmanager
def api(redis_url: str, objects: Objects, folder: Path, module: str = "deploy.cli") -> Iterator[str]:
    """An API process: its address."""
    port, config = free_port(), folder / "config.json"
    config.write_text(json.dumps({**CONFIG, "object_store": objects.config}))
    command = [sys.executable, "-P", "-m", module, "api", "--config", str(config), "--port", str(port)]
    environment = {**clean_environment(), "HERMOD_REDIS_URL": redis_url}
    process = subprocess.Popen([*command, "--data-dir", str(folder / "data")], env=environment)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def serving(server, objects, tmp_path_factory):
    with api(server.url, objects, tmp_path_factory.mktemp("api")) as url:
        yield url


@pytest.fixture
async def place(serving, objects, store) -> AsyncIterator[Place]:
    found = Place(serving, store, open_blobs(objects.settings))
    await until(lambda: answers(found.http), 30)
    async for info in found.blobs.list(""):
        await found.blobs.delete(info.key)
    yield found
    await found.http.aclose()
    await found.blobs.close()


async def answers(http: httpx.AsyncClient) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return (await http.get("/health")).status_code == 200
    return False


def item(number: int = 0, **more: Any) -> dict[str, Any]:
    return {"custom_id": f"r-{number}", "params": {"model": "m", "max_tokens": 5, "messages": []}} | more


def requests(count: int = 1) -> dict[str, Any]:
    return {"requests": [item(number) for number in range(count)]}


def line(number: int = 0, **more: Any) -> bytes:
    body = {"model": "m", "messages": []}
    return json.dumps({"custom_id": f"r-{number}", "method": "POST", "url": CHAT, "body": body} | more).encode() + b"\n"


def wanted(file: str, **more: Any) -> dict[str, Any]:
    return {"input_file_id": file, "endpoint": CHAT, "completion_window": "24h"} | more


# --- created --------------------------------------------------------------------------------------------


async def test_a_batch_is_promised_when_shards_record_and_job_are_there(place):
    made = await place.ask("POST", ANTHROPIC, json=requests(250), headers={"anthropic-beta": "b-1"})
    assert made["id"].startswith("msgbatch_")
    assert (made["type"], made["processing_status"]) == ("message_batch", "in_progress")
    assert made["request_counts"] == {"processing": 250, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
    assert made["created_at"] < made["expires_at"]
    assert [made[name] for name in ("ended_at", "cancel_initiated_at", "archived_at", "results_url")] == [None] * 4
    shards = await place.shards(made["id"])
    assert [len(shard) for shard in shards] == [FIRST_ITEMS] * 10
    assert [one for shard in shards for one in shard] == [
        {"at": number, f"r-{number}": item()["params"]} for number in range(250)
    ]
    batch = (await place.records.look(uuid_of(made["id"]))).batch
    assert (batch.total, batch.shards, batch.dialect, batch.provider, batch.mode) == (
        250,
        10,
        "anthropic",
        "anthropic",
        "auto",
    )
    assert batch.headers["anthropic-beta"] == "b-1"
    start = await place.queue.look(batch.id)
    assert (start.state, start.job.operation, start.job.lane) == (State.QUEUED, "start_batch", Lane.CHORES)
    assert start.job.deadline_ms == batch.expires_ms


async def test_provider_and_mode_are_those_the_headers_name(place):
    headers = {"x-model-provider": "openai", "x-bf-batch-mode": "Direct"}
    made = await place.ask("POST", ANTHROPIC, json=requests(), headers=headers)
    batch = (await place.records.look(uuid_of(made["id"]))).batch
    assert (batch.provider, batch.mode) == ("openai", "direct")


BAD_HEADERS = [
    ({"x-model-provider": "mistral"}, "x-model-provider"),
    ({"x-model-provider": "nobody"}, "x-model-provider"),
    ({"x-bf-batch-mode": "fast"}, "x-bf-batch-mode"),
    ({"x-bf-async": "true"}, "x-bf-async"),
    ({"x-bf-async-id": str(uuid.uuid4())}, "x-bf-async-id"),
]


@pytest.mark.parametrize(("headers", "name"), BAD_HEADERS)
async def test_a_header_that_makes_no_sense_is_a_400_that_names_it(place, headers, name):
    refused = await place.ask("POST", ANTHROPIC, 400, json=requests(), headers=headers)
    assert refused["error"]["message"].startswith(f"{name}: ")
    refused = await place.ask("POST", OPENAI, 400, json=wanted("", **requests()), headers=headers)
    assert refused["error"]["param"] == name
    assert await place.nothing()


async def test_no_route_has_an_async_form(place):
    known = uuid.uuid4()
    for method, path in (
        ("GET", ANTHROPIC),
        ("GET", f"{ANTHROPIC}/{known}"),
        ("GET", f"{ANTHROPIC}/{known}/results"),
        ("DELETE", f"{ANTHROPIC}/{known}"),
        ("POST", f"{ANTHROPIC}/{known}/cancel"),
        ("POST", f"{ANTHROPIC}/{known}/retry"),
        ("GET", OPENAI),
        ("GET", f"{OPENAI}/{known}"),
        ("POST", f"{OPENAI}/{known}/cancel"),
        ("POST", f"{OPENAI}/{known}/retry"),
    ):
        refused = await place.ask(method, path, 400, headers={"x-bf-async": "true"})
        assert refused["error"]["message"].startswith("x-bf-async: ")


# --- created once: see test_repeats.py too --------------------------------------------------------------


async def test_a_retry_starts_the_batch_whose_creator_died_before_it_did(place):
    again = {"x-stainless-retry-count": "1"}
    first = await place.ask("POST", ANTHROPIC, json=requests(3))
    job_id = uuid_of(first["id"])
    await place.store.call("DEL", f"hermod:job:{job_id}")
    await place.store.call("ZREM", "arq:queue", job_id)
    assert (await place.ask("POST", ANTHROPIC, json=requests(3), headers=again))["id"] == first["id"]
    assert (await place.queue.look(job_id)).state is State.QUEUED


# --- OpenAI's -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", ["/openai", "/openai/v1", "/v1"])
async def test_an_openai_batch_comes_from_a_file(place, base):
    file = await place.upload(b"".join(map(line, range(120))))
    metadata = {"for": "me"}
    made = await place.ask("POST", f"{base}/batches", json=wanted(file, metadata=metadata))
    assert made["id"].startswith("batch_")
    shown = ("object", "endpoint", "input_file_id", "completion_window", "status", "metadata")
    assert [made[name] for name in shown] == ["batch", CHAT, file, "24h", "validating", metadata]
    assert made["expires_at"] == made["created_at"] + 86_400
    assert made["request_counts"]["total"] == 120
    assert all(made[name] is None for name in ("output_file_id", "errors", "in_progress_at", "completed_at", "usage"))
    batch = (await place.records.look(uuid_of(made["id"]))).batch
    assert (batch.dialect, batch.operation, batch.provider) == ("openai_chat", "chat", "openai")
    assert [len(shard) for shard in await place.shards(made["id"])] == [FIRST_ITEMS] * 4 + [20]
    assert await place.ask("GET", f"{base}/batches/{made['id']}") == made


@pytest.mark.parametrize(
    ("endpoint", "dialect", "operation"),
    [("/v1/responses", "openai_responses", "chat"), ("/v1/embeddings", "openai_chat", "embeddings")],
)
async def test_an_endpoint_is_a_dialect_and_an_operation(place, endpoint, dialect, operation):
    file = await place.upload(line(url=endpoint))
    made = await place.ask("POST", OPENAI, json=wanted(file, endpoint=endpoint))
    batch = (await place.records.look(uuid_of(made["id"]))).batch
    assert (batch.dialect, batch.operation, batch.endpoint) == (dialect, operation, endpoint)


@pytest.mark.parametrize("how", ["field", "query", "header"])
async def test_openai_requests_may_come_inline_and_name_their_provider(place, how):
    items = [{"custom_id": "a b", "params": {"x": 1}}, {"custom_id": "c", "url": CHAT, "body": {"x": 2}}]
    body = wanted("", requests=items, **({"provider": "anthropic"} if how == "field" else {}))
    path = OPENAI + ("?provider=anthropic" if how == "query" else "")
    headers = {"x-model-provider": "anthropic"} if how == "header" else {}
    made = await place.ask("POST", path, json=body, headers=headers)
    assert made["input_file_id"] == ""
    assert (await place.records.look(uuid_of(made["id"]))).batch.provider == "anthropic"
    assert await place.shards(made["id"]) == [[{"at": 0, "a b": {"x": 1}}, {"at": 1, "c": {"x": 2}}]]


async def test_a_file_that_is_not_the_callers_is_unknown(place):
    foreign = await place.upload(line(), owner="vk:1")
    unknown = named("file-", str(uuid.uuid4()))
    for file in (foreign, unknown, "nonsense"):
        refused = await place.ask("POST", OPENAI, 400, json=wanted(file))
        assert refused["error"]["param"] == "input_file_id"
        assert refused["error"]["message"].replace(file, "") == (
            "input_file_id: No such file '': unknown, expired, or not yours."
        )


async def test_a_file_that_is_too_large_or_whose_bytes_are_gone_is_refused(place):
    large = await place.upload(line(), size=201 << 20)
    refused = await place.ask("POST", OPENAI, 413, json=wanted(large))
    assert "200 MiB" in refused["error"]["message"]
    gone = await place.upload(line())
    await place.blobs.delete(file_blob(uuid_of(gone)))
    refused = await place.ask("POST", OPENAI, 400, json=wanted(gone))
    assert refused["error"]["param"] == "input_file_id"


# --- found ----------------------------------------------------------------------------------------------


async def test_a_batch_exists_for_its_owner_on_its_surface_only(place):
    mine = {"x-bf-vk": "sk-bf-mine"}
    made = {
        ANTHROPIC: (await place.ask("POST", ANTHROPIC, json=requests(), headers=mine))["id"],
        OPENAI: (await place.ask("POST", OPENAI, json=wanted("", **requests()), headers=mine))["id"],
    }
    unknown = await place.ask("GET", f"{OPENAI}/{uuid.uuid4()}", 404)
    for path, shown in made.items():
        other = {ANTHROPIC: OPENAI, OPENAI: ANTHROPIC}[path]
        assert (await place.ask("GET", f"{path}/{shown}", headers=mine))["id"] == shown
        for base, headers in ((path, {}), (path, {"x-bf-vk": "sk-bf-other"}), (other, mine)):
            for method, end in (("GET", ""), ("POST", "/cancel"), ("POST", "/retry")):
                refused = await place.ask(method, f"{base}/{shown}{end}", 404, headers=headers)
                assert refused["error"]["message"] == unknown["error"]["message"]
        assert (await place.ask("GET", path))["data"] == []
        assert [one["id"] for one in (await place.ask("GET", path, headers=mine))["data"]] == [shown]
    for method, end in (("DELETE", ""), ("GET", "/results")):
        await place.ask(method, f"{ANTHROPIC}/{made[ANTHROPIC]}{end}", 404)


async def made_in_a_row(place: Place, path: str, count: int) -> list[str]:
    """Ids of batches, newest first."""
    ids = []
    for number in range(count):
        body = requests(number + 1) if path == ANTHROPIC else wanted("", **requests(number + 1))
        made = await place.ask("POST", path, json=body, headers={"x-bf-vk": "sk-bf-lister"})
        await place.store.call("DEL", "hermod:unfinished")
        await place.store.call(
            "ZADD", f"hermod:batches:{await owner(place)}:{surface(path)}", number, uuid_of(made["id"])
        )
        ids.insert(0, made["id"])
    return ids


async def owner(place: Place) -> str:
    [key] = await place.store.call("KEYS", "hermod:batches:vk:*:*")
    return key.decode().removeprefix("hermod:batches:").rpartition(":")[0]


def surface(path: str) -> str:
    return "anthropic" if path == ANTHROPIC else "openai"


async def test_an_anthropic_listing_goes_both_ways(place):
    ids = await made_in_a_row(place, ANTHROPIC, 5)

    async def page(**query: Any) -> list[Any]:
        found = await place.ask("GET", ANTHROPIC, params=query, headers={"x-bf-vk": "sk-bf-lister"})
        shown = [one["id"] for one in found["data"]]
        assert (found["first_id"], found["last_id"]) == ((shown[0], shown[-1]) if shown else (None, None))
        return [shown, found["has_more"]]

    assert await page() == [ids, False]
    assert await page(limit=2) == [ids[:2], True]
    assert await page(limit=2, after_id=ids[1]) == [ids[2:4], True]
    assert await page(limit=2, after_id=ids[3]) == [ids[4:], False]
    assert await page(limit=2, after_id=ids[4]) == [[], False]
    assert await page(limit=2, before_id=ids[4]) == [ids[2:4], True]
    assert await page(limit=2, before_id=ids[2]) == [ids[:2], False]
    assert await page(limit=2, before_id=ids[0]) == [[], False]


async def test_an_openai_listing_goes_on_after_a_batch(place):
    ids = await made_in_a_row(place, OPENAI, 3)
    key = {"x-bf-vk": "sk-bf-lister"}
    found = await place.ask("GET", OPENAI, params={"limit": 2}, headers=key)
    assert found["object"] == "list"
    assert ([one["id"] for one in found["data"]], found["has_more"]) == (ids[:2], True)
    found = await place.ask("GET", OPENAI, params={"limit": 2, "after": ids[1]}, headers=key)
    assert ([one["id"] for one in found["data"]], found["has_more"]) == (ids[2:], False)


@pytest.mark.parametrize("path", [ANTHROPIC, OPENAI])
async def test_a_page_is_full_though_batches_on_its_way_have_expired(place, path):
    ids = await made_in_a_row(place, path, 6)
    for gone in (ids[1], ids[2]):
        await place.store.call("DEL", f"hermod:batch:{uuid_of(gone)}")
    kept = [shown for shown in ids if shown not in {ids[1], ids[2]}]
    found = await place.ask("GET", path, params={"limit": 3}, headers={"x-bf-vk": "sk-bf-lister"})
    assert ([one["id"] for one in found["data"]], found["has_more"]) == (kept[:3], True)


@pytest.mark.parametrize("path", [ANTHROPIC, OPENAI])
async def test_whoever_deletes_each_batch_of_a_page_gets_the_next_page_all_the_same(place, path):
    made = await made_in_a_row(place, path, 6)
    key, shown, query = {"x-bf-vk": "sk-bf-lister"}, [], {}
    for one in made:
        await place.run(one)
    while True:
        page = await place.ask("GET", path, params={"limit": 2, **query}, headers=key)
        for one in page["data"]:
            await place.ask("DELETE", f"{path}/{one['id']}", headers=key)
            shown.append(one["id"])
        if not page["has_more"]:
            break
        query = {"after_id" if path == ANTHROPIC else "after": page["last_id"]}
    assert shown == made
    assert (await place.ask("GET", path, headers=key))["data"] == []
    await place.ask("GET", path, 400, params=query)  # a stranger's is unknown


async def test_of_an_owner_who_makes_many_batches_and_deletes_them_few_are_still_looked_at(place):
    for _ in range(5):
        [made] = await made_in_a_row(place, ANTHROPIC, 1)
        await place.run(made)
        await place.ask("DELETE", f"{ANTHROPIC}/{made}", headers={"x-bf-vk": "sk-bf-lister"})
    assert await place.store.call("ZCARD", f"hermod:batches:{await owner(place)}:anthropic") == 1


BAD_QUERIES = [
    (ANTHROPIC, {"limit": "0"}, "limit"),
    (ANTHROPIC, {"limit": "1001"}, "limit"),
    (ANTHROPIC, {"limit": "x"}, "limit"),
    (ANTHROPIC, {"after_id": "nonsense"}, "after_id"),
    (ANTHROPIC, {"before_id": f"msgbatch_{uuid.uuid4().hex}"}, "before_id"),
    (ANTHROPIC, {"after_id": "a", "before_id": "b"}, "before_id"),
    (OPENAI, {"limit": "101"}, "limit"),
    (OPENAI, {"after": "nonsense"}, "after"),
]


@pytest.mark.parametrize(("path", "query", "name"), BAD_QUERIES)
async def test_a_bad_query_is_a_400_that_names_it(place, path, query, name):
    refused = await place.ask("GET", path, 400, params=query)
    assert refused["error"]["message"].startswith(f"{name}: ")


# --- watched and ended ----------------------------------------------------------------------------------


async def test_counts_move_while_a_batch_runs_and_sum_to_the_total(place):
    made = await place.ask("POST", ANTHROPIC, json=requests(4))
    openai_made = await place.ask("POST", OPENAI, json=wanted("", **requests(4)))
    for shown in (made["id"], openai_made["id"]):
        await place.records.start(uuid_of(shown))
        batch = (await place.records.look(uuid_of(shown))).batch
        for index, ending in enumerate((Ending.SUCCEEDED, Ending.ERRORED, Ending.SUCCEEDED)):
            await place.end_item(batch, 0, index, ending)
    counts = (await place.ask("GET", f"{ANTHROPIC}/{made['id']}"))["request_counts"]
    assert counts == {"processing": 1, "succeeded": 2, "errored": 1, "canceled": 0, "expired": 0}
    found = await place.ask("GET", f"{OPENAI}/{openai_made['id']}")
    assert (found["status"], found["in_progress_at"] >= found["created_at"]) == ("in_progress", True)
    counts = found["request_counts"]
    assert (counts["total"], counts["completed"], counts["failed"], counts["processing"]) == (4, 2, 1, 1)


@pytest.mark.parametrize("path", [ANTHROPIC, OPENAI])
async def test_what_advances_a_batch_is_no_job_of_its_owner(place, path):
    made = await place.ask("POST", path, json=requests(1) if path == ANTHROPIC else wanted("", **requests(1)))
    job = f"/v1/jobs/{uuid_of(made['id'])}"
    for method, way in (("GET", job), ("GET", f"{job}/events"), ("POST", f"{job}/cancel")):
        refused = await place.ask(method, way, 404, headers={"content-type": "application/json"})
        assert refused["error"]["code"] == "job_not_found"
    assert (await place.ask("GET", f"{path}/{made['id']}"))["id"] == made["id"]


async def test_a_cancelled_batch_is_cancelling_until_it_has_ended(place):
    made = await place.ask("POST", ANTHROPIC, json=requests(2))
    other = await place.ask("POST", OPENAI, json=wanted("", **requests(2)))
    headers = {"content-type": "application/json"}
    found = await place.ask("POST", f"{ANTHROPIC}/{made['id']}/cancel", headers=headers)
    assert found["processing_status"] == "canceling"
    assert found["cancel_initiated_at"]
    found = await place.ask("POST", f"{OPENAI}/{other['id']}/cancel", headers=headers)
    assert found["status"] == "cancelling"
    canceled = {"r-0": Ending.CANCELED, "r-1": Ending.CANCELED}
    for shown in (made["id"], other["id"]):
        await place.run(shown, failing=canceled, cancelled=True)
    found = await place.ask("GET", f"{ANTHROPIC}/{made['id']}")
    assert (found["processing_status"], found["request_counts"]["canceled"]) == ("ended", 2)
    found = await place.ask("GET", f"{OPENAI}/{other['id']}")
    assert (found["status"], found["cancelled_at"] >= found["cancelling_at"]) == ("cancelled", True)
    assert found == await place.ask("POST", f"{OPENAI}/{other['id']}/cancel"), "an ended one stays what it is"


async def test_results_are_read_once_the_batch_has_ended(place):
    made = await place.ask("POST", ANTHROPIC, json=requests(250))
    path = f"{ANTHROPIC}/{made['id']}/results"
    refused = await place.ask("GET", path, 400)
    assert "not ended" in refused["error"]["message"]
    failing = {"r-3": Ending.ERRORED, "r-249": Ending.EXPIRED} | {f"r-{n}": Ending.ERRORED for n in range(100, 200)}
    batch = await place.run(made["id"], failing=failing)
    found = await place.ask("GET", f"{ANTHROPIC}/{made['id']}")
    assert (found["processing_status"], found["results_url"]) == (
        "ended",
        f"/v1/messages/batches/{made['id']}/results",
    )
    answer = await place.http.get(path, headers={"accept": "application/binary"})
    assert answer.headers["content-type"] == "application/x-jsonl"
    assert answer.headers["request-id"]
    rows = [json.loads(row) for row in answer.text.removesuffix("\n").split("\n")]
    assert {row["custom_id"]: row["result"]["type"] for row in rows} == {
        f"r-{number}": failing.get(f"r-{number}", "succeeded") for number in range(250)
    }
    assert len(rows) == 250
    await place.blobs.delete(blob(batch.id, "out", 2))
    lost = {f"r-{number}" for number in range(50, 75)}
    rows = list(map(json.loads, (await place.http.get(path)).text.splitlines()))
    assert {row["custom_id"]: row["result"]["type"] for row in rows} == {
        f"r-{number}": "errored" if f"r-{number}" in lost else failing.get(f"r-{number}", "succeeded")
        for number in range(250)
    }
    assert len(rows) == 250
    told = {row["result"]["error"]["error"]["message"] for row in rows if row["custom_id"] in lost}
    assert [message.startswith("The gateway has lost the result") for message in told] == [True]


async def test_only_an_ended_batch_of_the_openai_surface_can_be_deleted_too(place):
    made = await place.ask("POST", OPENAI, json=wanted("", **requests(2)))
    path = f"{OPENAI}/{made['id']}"
    assert "not ended" in (await place.ask("DELETE", path, 400))["error"]["message"]
    await place.run(made["id"])
    gone = await place.ask("DELETE", path, headers={"content-type": "application/json"})
    assert gone == {"id": made["id"], "object": "batch.deleted", "deleted": True}
    await place.ask("GET", path, 404)
    assert (await place.ask("GET", OPENAI))["data"] == []


async def test_only_an_ended_batch_can_be_deleted(place):
    made = await place.ask("POST", ANTHROPIC, json=requests(2))
    path = f"{ANTHROPIC}/{made['id']}"
    refused = await place.ask("DELETE", path, 400)
    assert "not ended" in refused["error"]["message"]
    await place.run(made["id"])
    gone = await place.ask("DELETE", path, headers={"content-type": "application/json"})
    assert gone == {"id": made["id"], "type": "message_batch_deleted"}
    await place.ask("GET", path, 404)
    await place.ask("GET", f"{path}/results", 404)
    assert (await place.ask("GET", ANTHROPIC))["data"] == []


# --- run again ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [ANTHROPIC, OPENAI])
async def test_what_did_not_succeed_can_be_run_again(place, path):
    body = requests(250) if path == ANTHROPIC else wanted("", **requests(250))
    headers = {"x-model-provider": "openai", "x-bf-batch-mode": "direct"}
    made = await place.ask("POST", path, json=body, headers=headers)
    again = f"{path}/{made['id']}/retry"
    await place.ask("POST", again, 400)
    failing = {"r-3": Ending.ERRORED, "r-249": Ending.EXPIRED, "r-120": Ending.CANCELED}
    await place.run(made["id"], failing=failing)
    second = await place.ask("POST", again, headers={"content-type": "application/json"})
    assert second["id"] != made["id"]
    assert second["retry_of"] == made["id"]
    assert await place.shards(second["id"]) == [
        [{"at": at, name: item()["params"]} for at, name in enumerate(("r-3", "r-120", "r-249"))]
    ]
    batch = (await place.records.look(uuid_of(second["id"]))).batch
    assert (batch.provider, batch.mode, batch.total, batch.endpoint) == (
        "openai",
        "direct",
        3,
        "" if path == ANTHROPIC else CHAT,
    )
    assert (await place.queue.look(batch.id)).job.operation == "start_batch"
    joined = await place.ask("POST", again, headers={"x-stainless-retry-count": "1"})
    assert joined["id"] == second["id"]
    await place.run(second["id"])
    refused = await place.ask("POST", f"{path}/{second['id']}/retry", 400)
    assert "none to run again" in refused["error"]["message"]


async def test_a_retry_without_the_old_requests_is_refused_and_leaves_nothing_new(place):
    made = await place.ask("POST", ANTHROPIC, json=requests(150))
    batch = await place.run(made["id"], failing={"r-3": Ending.ERRORED, "r-130": Ending.ERRORED})
    await place.blobs.delete(blob(batch.id, "in", 130 // FIRST_ITEMS))
    before = await place.stored()
    answer = await place.http.post(f"{ANTHROPIC}/{made['id']}/retry")
    assert (answer.status_code, answer.headers["x-should-retry"]) == (500, "false")
    assert await place.stored() == before


# --- with the SDKs --------------------------------------------------------------------------------------


async def test_the_anthropic_sdk_creates_lists_reads_and_deletes_batches(place):
    async with anthropic.AsyncAnthropic(base_url=f"{place.url}/anthropic", api_key="x", max_retries=0) as client:
        for api in (client.messages.batches, client.beta.messages.batches):
            made = await api.create(requests=requests(3)["requests"])
            assert made.processing_status == "in_progress"
            with pytest.raises(anthropic.AnthropicError):
                await api.results(made.id)
            await place.run(made.id, failing={"r-1": Ending.EXPIRED})
            found = await api.retrieve(made.id)
            assert (found.processing_status, found.request_counts.succeeded) == ("ended", 2)
            rows = {row.custom_id: row.result.type async for row in await api.results(made.id)}
            assert rows == {"r-0": "succeeded", "r-1": "expired", "r-2": "succeeded"}
            assert [one.id async for one in api.list(limit=1)] == [made.id]
            assert (await api.cancel(made.id)).processing_status == "ended"
            assert (await api.delete(made.id)).type == "message_batch_deleted"
            with pytest.raises(anthropic.NotFoundError):
                await api.retrieve(made.id)


async def test_the_openai_sdk_creates_lists_and_cancels_batches(place):
    file = await place.upload(line(1) + line(2))
    async with openai.AsyncOpenAI(base_url=f"{place.url}/openai", api_key="x", max_retries=0) as client:
        made = await client.batches.create(
            input_file_id=file,
            endpoint=CHAT,
            completion_window="24h",
            output_expires_after={"anchor": "created_at", "seconds": 3600},
        )
        inline = await client.batches.create(
            input_file_id="",
            endpoint=CHAT,
            completion_window="24h",
            extra_body={"provider": "anthropic", "requests": [{"custom_id": "a", "body": {"model": "m"}}]},
        )
        assert {one.id async for one in client.batches.list(limit=1)} == {made.id, inline.id}
        assert (await client.batches.cancel(inline.id)).status == "cancelling"
        await place.run(made.id, failing={"r-1": Ending.ERRORED})
        ended = await client.batches.retrieve(made.id)
        assert (ended.status, ended.request_counts.completed, ended.request_counts.failed) == ("completed", 1, 1)
        assert ended.output_file_id.startswith("file-")
        assert ended.completed_at >= ended.in_progress_at
        with pytest.raises(openai.BadRequestError) as refused:
            await client.batches.create(input_file_id="file-x", endpoint=CHAT, completion_window="24h")
        assert refused.value.param == "input_file_id"


# --- with real workers ----------------------------------------------------------------------------------


async def test_a_batch_is_run_by_workers_and_what_failed_can_be_run_again(place):
    asked = [{"custom_id": f"r-{number}", "params": question(number)} for number in range(120)]
    asked[7]["params"] = question(7, stream=True)
    async with simulated() as provider, at_work(place.store, place.blobs, settings(provider.url)):
        made = await place.ask("POST", ANTHROPIC, json={"requests": asked})
        ended = await until(lambda: has_ended(place, ANTHROPIC, made["id"]), 60)
        counts = {"processing": 0, "succeeded": 119, "errored": 1, "canceled": 0, "expired": 0}
        assert ended["request_counts"] == counts
        answer = await place.http.get(f"/anthropic{ended['results_url']}")
        rows = {row["custom_id"]: row["result"] for row in map(json.loads, answer.text.splitlines())}
        assert set(rows) == {one["custom_id"] for one in asked}
        assert rows["r-7"]["type"] == "errored"
        again = await place.ask("POST", f"{ANTHROPIC}/{made['id']}/retry")
        assert again["request_counts"]["processing"] == 1
        ended = await until(lambda: has_ended(place, ANTHROPIC, again["id"]), 60)
        assert ended["request_counts"]["errored"] == 1


async def test_an_openai_batch_ends_with_its_files(place):
    rows = b"".join(line(number, body=question(number, stream=number == 1)) for number in range(3))
    async with simulated() as provider, at_work(place.store, place.blobs, settings(provider.url)):
        made = await place.ask("POST", OPENAI, json=wanted(await place.upload(rows)))
        ended = await until(lambda: has_ended(place, OPENAI, made["id"]), 60)
        assert (ended["status"], ended["request_counts"]["completed"], ended["request_counts"]["failed"]) == (
            "completed",
            2,
            1,
        )
        for file, names in (("output_file_id", {"r-0", "r-2"}), ("error_file_id", {"r-1"})):
            found = (await place.blobs.get(file_blob(uuid_of(ended[file])))).splitlines()
            assert {json.loads(row)["custom_id"] for row in found} == names
        again = await place.ask("POST", f"{OPENAI}/{made['id']}/retry")
        assert await place.shards(again["id"]) == [[{"at": 0, "r-1": question(1, stream=True)}]]


async def has_ended(place: Place, path: str, shown: str) -> dict[str, Any] | None:
    found = await place.ask("GET", f"{path}/{shown}")
    return found if found.get("ended_at") or found.get("completed_at") else None
