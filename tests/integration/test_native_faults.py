"""What providers' batch APIs may do wrong: each item still comes to one end, with what could be had."""

import json
import re
from collections import Counter

import msgspec
import pytest

from deploy.simulator.anthropic_batches import AnthropicBatches
from deploy.simulator.openai_batches import OpenAIBatches
from deploy.simulator.wires import Refusal
from shared.batches import BatchState, Counts
from shared.errors import ProviderError
from shared.ids import now_ms
from shared.provider_settings import ProviderKey
from shared.stores.memory import MemoryBlobs
from tests.batches import FAST, ended, items, results, settings, simulated, submit
from tests.integration.conftest import until
from tests.integration.test_native_batches import at_home, created, direct, late, working  # noqa: F401 - a fixture
from tests.integration.test_shards import OPENAI, names
from worker.native_batches import group, requests
from worker.native_batches.client import Client
from worker.native_batches.paper import Paper
from worker.native_batches.task import MOST_CRASHES


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


async def run(store, blobs, provider, known=None, /, count=20, **facts):
    """All items have succeeded, each once: how many of them ran directly."""
    batch = await submit(store, blobs, items(count, facts.pop("model", "m")), **{"mode": "native", **facts})
    async with working(store, blobs, known or settings(provider.url)):
        progress = await until(lambda: ended(store, batch))
    assert (progress.state, progress.counts) == (BatchState.COMPLETED, Counts(succeeded=count))
    lines = await results(blobs, batch)
    assert Counter(names(lines)) == Counter(f"item-{index}" for index in range(count))
    for line in lines:
        number = line["custom_id"].removeprefix("item-")
        assert re.search(rf"question {number}\b", json.dumps(line))
    assert len(created(provider)) == 1
    assert (progress.spent.native, progress.spent.direct) == (count - len(direct(provider)), len(direct(provider)))
    return len(direct(provider))


# --- results ----------------------------------------------------------------------------------------------


def renamed(line, custom_id):
    return json.dumps({**json.loads(line), "custom_id": custom_id}).encode() + b"\n"


def other_mark(line):
    return renamed(line, "0" * 32 + json.loads(line)["custom_id"][32:])


DEEP = b'{"custom_id": "who", "deep": ' + b"[" * 100_000 + b"\n"
ODD_RESULTS = {
    "in another order": (lambda lines: lines[::-1], 0),
    "half of them missing": (lambda lines: lines[::2], 10),
    "none": (lambda _: [], 20),
    "twice": (lambda lines: lines + lines, 0),
    "with unknown names": (lambda lines: [renamed(lines[0], "who"), renamed(lines[0], "who-7"), *lines], 0),
    "of somebody else": (lambda lines: [*map(other_mark, lines[:5]), *lines[5:]], 5),
    "numbered oddly": (
        lambda lines: [
            *(renamed(lines[0], json.loads(lines[0])["custom_id"][:33] + n) for n in ("²", "9" * 5000, "-1", "01")),
            *lines,
        ],
        0,
    ),
    "with garbage between": (
        lambda lines: [*lines[:9], b"<html>\n", b"\xff\xfe{\n", b"[]\n", b"null\n", DEEP, *lines[9:]],
        0,
    ),
    "cut in the middle of a line": (lambda lines: [*lines[:19], lines[19][:40]], 1),
    "with blank lines and CRLF": (lambda lines: [b"\r\n", *(line.replace(b"\n", b"\r\n\n") for line in lines)], 0),
}


@pytest.mark.parametrize(("odd", "missing"), ODD_RESULTS.values(), ids=ODD_RESULTS.keys())
async def test_what_the_results_lack_runs_directly_and_no_answer_counts_twice(
    store, blobs, provider, monkeypatch, odd, missing
):
    real = AnthropicBatches._results
    changed = lambda api, name: b"".join(odd(real(api, name).splitlines(keepends=True)))  # noqa: E731 - a method
    monkeypatch.setattr(AnthropicBatches, "_results", changed)
    assert await run(store, blobs, provider) == missing


async def test_results_with_a_line_without_end_are_given_up_and_what_was_read_is_kept(
    store, blobs, provider, monkeypatch
):
    real = AnthropicBatches._results

    def endless(api, name):
        lines = real(api, name).splitlines(keepends=True)
        return b"".join([*lines[:8], b"x" * (3 << 20), *lines[8:]])

    monkeypatch.setattr(AnthropicBatches, "_results", endless)
    known = settings(provider.url)
    network = msgspec.structs.replace(known.providers["anthropic"].network, max_response_mb=1)
    known.providers["anthropic"] = msgspec.structs.replace(known.providers["anthropic"], network=network)
    assert 0 < await run(store, blobs, provider, known) <= 12


async def test_an_answer_that_the_gateway_cannot_digest_is_one_errored_item(store, blobs, provider, monkeypatch):
    real = Paper.read

    async def stumble(paper, begun, key, status, body):
        if b"question 7" in body:
            monkeypatch.setattr("worker.native_batches.paper.at_batch_price", broken)
        try:
            return await real(paper, begun, key, status, body)
        finally:
            monkeypatch.setattr("worker.native_batches.paper.at_batch_price", whole)

    from worker.native_batches.paper import at_batch_price as whole  # noqa: PLC0415 - what is put back

    def broken(*_):
        raise KeyError("a defect")

    monkeypatch.setattr(Paper, "read", stumble)
    batch = await submit(store, blobs, items(20), mode="native")
    async with working(store, blobs, settings(provider.url)):
        progress = await until(lambda: ended(store, batch), 30)
    assert progress.counts == Counts(succeeded=19, errored=1)


# --- keys -------------------------------------------------------------------------------------------------


def with_keys(known, *names, provider="anthropic"):
    """Keys `sk-<name>` that are drawn in this order."""
    weights = [1.0, *(1e-9 for _ in names[1:])]
    keys = [ProviderKey(name=n, value=f"sk-{n}", weight=w) for n, w in zip(names, weights, strict=True)]
    known.providers[provider] = msgspec.structs.replace(known.providers[provider], keys=tuple(keys))
    return known


def refusing(monkeypatch, api, refused, status=401, code=""):
    """Batches cannot be created with these keys; the keys with which one was to be."""
    real, asked = api.answer, []

    def answer(self, request, entry):
        if request.method == "POST" and request.path.endswith("batches"):
            key = request.headers.get("x-api-key") or request.headers["authorization"].removeprefix("Bearer ")
            asked.append(key)
            if key in refused:
                raise Refusal(status, "not with this key", code=code)
        return real(self, request, entry)

    monkeypatch.setattr(api, "answer", answer)
    return asked


REFUSALS = {"unknown": (401, ""), "not for batches": (403, ""), "nothing left": (429, "insufficient_quota")}


@pytest.mark.parametrize(("status", "code"), REFUSALS.values(), ids=REFUSALS.keys())
async def test_a_batch_whose_key_is_refused_is_sent_with_the_next_that_is_taken(
    store, blobs, provider, monkeypatch, status, code
):
    asked = refusing(monkeypatch, OpenAIBatches, ("sk-dead", "sk-spent"), status, code)
    known = with_keys(settings(provider.url), "dead", "spent", "good", provider="openai")
    batch = await submit(store, blobs, items(30), mode="native", shard_items=10, **OPENAI)
    monkeypatch.setattr(requests, "PART_ITEMS", 10)
    async with working(store, blobs, known):
        progress = await until(lambda: ended(store, batch), 30)
    assert (progress.counts, progress.spent.native, direct(provider)) == (Counts(succeeded=30), 30, [])
    assert asked == ["sk-dead", "sk-spent", "sk-good", "sk-good", "sk-good"], "what was refused is not asked again"
    left = [call for call in provider.calls() if call["path"].endswith("/files")]
    deleted = [call for call in provider.calls() if call["method"] == "DELETE"]
    assert len(left) == len({call["path"] for call in deleted}) - 3, "nor is a file left of a refused batch"


@pytest.mark.usefixtures("at_home")
@pytest.mark.parametrize("mode", ["native", "auto"])
async def test_where_every_key_is_refused_native_tells_why_and_auto_runs_directly(
    store, blobs, provider, monkeypatch, mode
):
    asked = refusing(monkeypatch, AnthropicBatches, ("sk-one", "sk-two"), 403)
    batch = await submit(store, blobs, items(20), mode=mode)
    async with working(store, blobs, with_keys(settings(provider.url), "one", "two")):
        progress = await until(lambda: ended(store, batch), 30)
    assert asked == ["sk-one", "sk-two"]
    assert (progress.counts, len(direct(provider))) == {
        "native": (Counts(errored=20), 0),
        "auto": (Counts(succeeded=20), 20),
    }[mode]


async def test_what_the_second_key_may_have_sent_is_looked_for_with_that_key_and_not_sent_again(
    store, blobs, provider, monkeypatch
):
    asked, looked, real = refusing(monkeypatch, AnthropicBatches, ("sk-dead",)), [], AnthropicBatches.answer

    def answer(api, request, entry):
        if request.method == "GET":
            looked.append(request.headers["x-api-key"])
        return real(api, request, entry)

    monkeypatch.setattr(AnthropicBatches, "answer", answer)
    batch = await submit(store, blobs, items(20, "sim-batch-lost"), mode="native")
    async with working(store, blobs, with_keys(settings(provider.url), "dead", "good", "other")):
        progress = await until(lambda: ended(store, batch), 30)
    assert (progress.counts, direct(provider)) == (Counts(succeeded=20), [])
    assert (asked, set(looked)) == (["sk-dead", "sk-good"], {"sk-good"})


async def test_what_may_have_been_accepted_with_a_key_that_is_refused_since_is_sent_with_no_other(
    store, blobs, provider, monkeypatch
):
    real, refused, creates = AnthropicBatches.answer, [], []

    def answer(api, request, entry):
        if request.method == "POST":
            creates.append(request.headers["x-api-key"])
        elif len(refused) < 5:
            refused.append(request.headers["x-api-key"])
            raise Refusal(401, "no such key for now")
        return real(api, request, entry)

    monkeypatch.setattr(AnthropicBatches, "answer", answer)
    batch = await submit(store, blobs, items(20, "sim-batch-lost"), mode="native")
    async with working(store, blobs, with_keys(settings(provider.url), "one", "two")):
        progress = await until(lambda: ended(store, batch), 30)
    assert (progress.counts, direct(provider)) == (Counts(succeeded=20), [])
    assert (creates, set(refused)) == (["sk-one"], {"sk-one"})


async def test_each_key_s_batch_is_written_for_its_own_address_and_names(store, blobs, provider, monkeypatch):
    monkeypatch.setattr(requests, "PART_ITEMS", 10)
    asked = refusing(monkeypatch, AnthropicBatches, ("sk-dead",))
    known = with_keys(settings(provider.url), "dead", "good")
    names = ("sim-404", "claude-haiku-4-5")
    keys = (
        msgspec.structs.replace(key, aliases={"m": name}, weight=1.0)
        for key, name in zip(known.providers["anthropic"].keys, names, strict=True)
    )
    known.providers["anthropic"] = msgspec.structs.replace(known.providers["anthropic"], keys=tuple(keys))
    batch = await submit(store, blobs, items(30), mode="native", shard_items=10)
    async with working(store, blobs, known):
        progress = await until(lambda: ended(store, batch), 30)
    assert (progress.counts, asked.count("sk-good")) == (Counts(succeeded=30), 3), "none was sent in another's words"
    assert (progress.spent.unpriced, progress.spent.cost) == (0, progress.spent.saved), "nor counted at its price"


# --- looks ------------------------------------------------------------------------------------------------


def failing(monkeypatch, status, times):
    """The first looks at a batch are refused."""
    real, looks = AnthropicBatches.answer, []

    def answer(api, request, entry):
        if request.method == "GET" and request.path.count("/") == 4:
            looks.append(now_ms())
            if len(looks) <= times:
                raise Refusal(status, "not now")
        return real(api, request, entry)

    monkeypatch.setattr(AnthropicBatches, "answer", answer)
    return looks


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503, 529])
async def test_a_provider_that_cannot_be_asked_for_a_while_is_asked_again(store, blobs, provider, monkeypatch, status):
    looks = failing(monkeypatch, status, 6)
    assert await run(store, blobs, provider) == 0
    assert len(looks) > 6


@pytest.mark.parametrize("status", [401, 500])
async def test_where_a_provider_can_be_asked_no_more_the_window_is_still_met(
    store, blobs, provider, monkeypatch, status
):
    monkeypatch.setattr(group, "GIVE_UP_MS", 300)
    failing(monkeypatch, status, 10**9)
    assert await run(store, blobs, provider, created_ms=late()) == 20


@pytest.mark.usefixtures("at_home")
async def test_a_batch_that_no_key_may_look_at_any_more_is_soon_run_directly(store, blobs, provider, monkeypatch):
    monkeypatch.setattr(group, "LOCKED_OUT_MS", 500)
    looks = failing(monkeypatch, 401, 10**9)
    assert await run(store, blobs, provider, mode="auto") == 20
    assert looks[-1] - looks[0] < 10_000


@pytest.mark.usefixtures("at_home")
async def test_a_key_that_is_taken_again_in_time_brings_all_results(store, blobs, provider, monkeypatch):
    monkeypatch.setattr(group, "LOCKED_OUT_MS", 20_000)
    failing(monkeypatch, 401, 5)
    assert await run(store, blobs, provider, mode="auto") == 0


@pytest.mark.parametrize("others", [401, 404])
async def test_a_batch_whose_key_is_refused_is_looked_at_with_another(store, blobs, provider, monkeypatch, others):
    real, refused = AnthropicBatches.answer, []

    def answer(api, request, entry):
        if request.method == "GET" and (key := request.headers["x-api-key"]) != "sk-good":
            refused.append(key)
            raise Refusal(401 if key == "sk-simulated" else others, "no such key, or none of its batches")
        return real(api, request, entry)

    monkeypatch.setattr(AnthropicBatches, "answer", answer)
    known = settings(provider.url)
    keys = [ProviderKey(name=name, value=f"sk-{name}", weight=1e-9) for name in ("simulated", "other", "good")]
    keys[0] = msgspec.structs.replace(keys[0], weight=1.0)
    known.providers["anthropic"] = msgspec.structs.replace(known.providers["anthropic"], keys=tuple(keys))
    assert await run(store, blobs, provider, known) == 0
    assert set(refused) == {"sk-simulated", "sk-other"}


async def test_a_batch_that_its_provider_does_not_know_yet_is_waited_for(store, blobs, provider, monkeypatch):
    monkeypatch.setattr(group, "SETTLED_MS", 20_000)
    failing(monkeypatch, 404, 3)
    assert await run(store, blobs, provider) == 0


async def test_a_batch_that_its_provider_has_lost_runs_directly(store, blobs, provider, monkeypatch):
    failing(monkeypatch, 404, 10**9)
    assert await run(store, blobs, provider) == 20


async def test_looks_that_are_answered_with_something_else_are_repeated(store, blobs, provider, monkeypatch):
    real, looks = AnthropicBatches.answer, []

    def answer(api, request, entry):
        looks.append(request.path)
        return b"<html>" if request.method == "GET" and len(looks) < 6 else real(api, request, entry)

    monkeypatch.setattr(AnthropicBatches, "answer", answer)
    assert await run(store, blobs, provider) == 0


async def test_a_list_of_batches_that_never_ends_is_left(store, blobs, provider, monkeypatch):
    real, pages = AnthropicBatches._list, []

    def same_page(api, query):
        pages.append(query)
        page = json.loads(real(api, "limit=1"))
        return json.dumps({**page, "data": page["data"] or [], "has_more": True}).encode()

    monkeypatch.setattr(AnthropicBatches, "_list", same_page)
    assert await run(store, blobs, provider, model="sim-batch-lost") == 0
    assert len(pages) < 50


async def test_a_group_that_takes_workers_down_is_given_up(store, blobs, provider, monkeypatch):
    async def crash(*_):
        raise MemoryError

    monkeypatch.setattr(Client, "look", crash)
    monkeypatch.setattr("worker.native_batches.task.MOST_CRASHES", 2)
    assert MOST_CRASHES > 2
    brief = msgspec.structs.replace(FAST, lease_s=1)
    assert await run(store, blobs, provider, settings(provider.url, brief)) == 20


# --- OpenAI's ends ----------------------------------------------------------------------------------------


ENDS = {"expired": 10, "cancelled": 10, "completed": 10}


@pytest.mark.parametrize("state", ENDS)
async def test_a_batch_that_ends_with_half_of_its_results_is_finished_directly(
    store, blobs, provider, monkeypatch, state
):
    shown, written = OpenAIBatches._shown, OpenAIBatches._written

    def ended_so(api, batch):
        return {**shown(api, batch), "status": state} if batch.results is not None else shown(api, batch)

    def half(api, batch, kind):
        if batch.results:
            batch.results = batch.results[:10]
        return written(api, batch, kind)

    monkeypatch.setattr(OpenAIBatches, "_shown", ended_so)
    monkeypatch.setattr(OpenAIBatches, "_written", half)
    batch = await submit(store, blobs, items(20), mode="native", **OPENAI)
    async with working(store, blobs, settings(provider.url)):
        progress = await until(lambda: ended(store, batch), 30)
    assert (progress.counts, len(direct(provider))) == (Counts(succeeded=20), ENDS[state])


async def test_a_batch_that_failed_is_told_on_each_item_without_the_provider_s_own_ids(
    store, blobs, provider, monkeypatch
):
    shown = OpenAIBatches._shown

    def failed(api, batch):
        problem = {"code": "invalid_json_line", "message": "Line 1 cannot be read.", "param": None}
        return {**shown(api, batch), "status": "failed", "errors": {"object": "list", "data": [problem]}}

    monkeypatch.setattr(OpenAIBatches, "_shown", failed)
    batch = await submit(store, blobs, items(20), mode="native", **OPENAI)
    async with working(store, blobs, settings(provider.url)):
        progress = await until(lambda: ended(store, batch), 30)
    assert (progress.counts, direct(provider)) == (Counts(errored=20), [])
    assert all("Line 1 cannot be read" in json.dumps(line) for line in await results(blobs, batch))


def no_room(monkeypatch, times):
    """The first so many batches fail once they were accepted, for too many tokens wait there: their ids."""
    shown, full = OpenAIBatches._shown, []

    def answer(api, batch):
        if batch.id not in full and len(full) < times:
            full.append(batch.id)
        if batch.id not in full:
            return shown(api, batch)
        said = "Enqueued token limit reached for m in organization org-1. Limit: 90,000 enqueued tokens."
        problem = {"code": "token_limit_exceeded", "message": said, "param": None, "line": None}
        files = {"output_file_id": None, "error_file_id": None}
        told = {"status": "failed", "errors": {"object": "list", "data": [problem]}, **files}
        return {**shown(api, batch), **told}

    monkeypatch.setattr(OpenAIBatches, "_shown", answer)
    monkeypatch.setattr(group, "AGAIN_MS", 100)
    return full


@pytest.mark.usefixtures("at_home")
@pytest.mark.parametrize("mode", ["native", "auto"])
async def test_a_batch_that_the_provider_has_no_room_for_is_sent_again_later(store, blobs, provider, monkeypatch, mode):
    full = no_room(monkeypatch, 2)
    batch = await submit(store, blobs, items(20), mode=mode, **OPENAI)
    async with working(store, blobs, settings(provider.url)):
        progress = await until(lambda: ended(store, batch), 30)
    assert (progress.counts, progress.spent.native, direct(provider)) == (Counts(succeeded=20), 20, [])
    assert (len(full), len(created(provider))) == (2, 3)


async def test_a_batch_sent_again_is_not_mistaken_for_the_one_there_was_no_room_for(
    store, blobs, provider, monkeypatch
):
    real, sent = Client.submit, []

    async def unheard(api, *asked):
        seen = await real(api, *asked)
        sent.append(seen.id)
        if len(sent) == 2:
            raise ProviderError("cut", provider="openai")
        return seen

    monkeypatch.setattr(Client, "submit", unheard)
    no_room(monkeypatch, 1)
    assert await settled(store, blobs, provider) == Counts(succeeded=20)
    assert (len(created(provider)), direct(provider)) == (2, [])


async def test_where_there_is_never_room_the_window_is_still_met(store, blobs, provider, monkeypatch):
    no_room(monkeypatch, 10**9)
    assert await settled(store, blobs, provider, created_ms=late()) == Counts(succeeded=20)
    assert len(direct(provider)) == 20


async def settled(store, blobs, provider, **facts):
    batch = await submit(store, blobs, items(20), **{"mode": "native", **OPENAI, **facts})
    async with working(store, blobs, settings(provider.url)):
        return (await until(lambda: ended(store, batch), 30)).counts
