"""How the console writes figures and draws charts, what its filters mean, and how a batch goes."""

import msgspec
import pytest

from api.console.batches import course
from api.console.charts import bars, dots, percentile
from api.console.failures import Failed, failures, read_line
from api.console.jobs import UNFINISHED, read_wanted
from api.console.overview import alert_of
from api.console.render import ago, dollars, period, query, saved, size, span, spent, unix_ms
from shared.batches import Batch, BatchState, Counts, Progress, Spent, blob
from shared.errors import InvalidRequest
from shared.gate_records import Gate
from shared.job_index import Standing
from shared.job_register import Place, Register
from shared.jobs import State
from shared.stores.envelopes import MasterKeys
from shared.stores.memory import MemoryBlobs
from shared.stores.sealed import SealedBlobs
from tests.made import a_job

NANO = 1_000_000_000


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (None, "-"),
        (0, "0 ms"),
        (999, "999 ms"),
        (1000, "1.0 s"),
        (9_990, "10.0 s"),
        (10_000, "10 s"),
        (119_000, "119 s"),
        (120_000, "2 min"),
        (7_200_000, "2 h"),
        (200_000_000, "2 d"),
    ],
)
def test_a_length_of_time_has_one_unit(ms, text):
    assert span(ms) == text


@pytest.mark.parametrize(
    ("past", "text"),
    [
        (0, "just now"),
        (999, "just now"),
        (1500, "1 s ago"),
        (180_000, "3 min ago"),
        (-50, "now"),
        (-30_000, "in 30 s"),
    ],
)
def test_a_time_is_told_from_now(past, text):
    assert ago(1_000_000_000 - past, 1_000_000_000) == text


@pytest.mark.parametrize(
    ("usd", "text"),
    [
        (None, "?"),
        (0, "$0.00"),
        (0.000159, "$0.00016"),
        (0.05, "$0.050"),
        (0.5, "$0.50"),
        (1234.5, "$1,234.50"),
    ],
)
def test_money_has_the_digits_that_say_something(usd, text):
    assert dollars(None if usd is None else round(usd * NANO)) == text


def test_the_cost_of_a_batch_is_unknown_only_when_no_item_has_a_price():
    assert spent(Spent()) == "$0.00"
    assert spent(Spent(direct=3, unpriced=3)) == "?"
    assert spent(Spent(direct=3, unpriced=2, cost=NANO)) == "$1.00"


def test_what_a_batch_has_saved_is_unknown_where_its_cost_is():
    assert saved(Spent(direct=3, cost=NANO)) == "-"
    assert saved(Spent(native=3, unpriced=3)) == "?"
    assert saved(Spent(native=3, unpriced=2, cost=NANO, saved=NANO)) == "$1.00"


def a_gate(**facts) -> Gate:
    known = {"shut_ms": 0, "why": "", "window": None, "calls": 0, "turns": 0, "latency_ms": None, "fails": 0}
    return Gate(provider="openai", key="one", model="gpt", buckets=[], **known | facts)


@pytest.mark.parametrize(
    ("facts", "text", "serious"),
    [
        ({"fails": 9, "why": "provider_failing", "shut_ms": 4999}, "", False),
        ({"fails": 10}, "openai: 10 calls in a row failed, key one, model gpt.", False),
        (
            {"fails": 10, "why": "provider_failing", "shut_ms": 5000},
            "openai: 10 calls in a row failed, key one, model gpt.",
            False,
        ),
        (
            {"why": "rate_limited", "shut_ms": 19_000},
            "openai: rate limited, key one, model gpt, for 19 s.",
            False,
        ),
        (
            {"why": "key_set_aside", "shut_ms": 5000},
            "openai: the provider refuses the key; it is set aside, key one, model gpt, for 5.0 s.",
            True,
        ),
    ],
)
def test_the_overview_tells_of_a_way_to_a_model_that_stays_shut_or_goes_on_failing(facts, text, serious):
    alert = alert_of(a_gate(**facts))
    assert (alert.text, alert.serious) == (text, serious) if alert else text == ""


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (2_345_678, "2.35 MB"), (8e9, "8 GB")]
)
def test_sizes_are_decimal(count, text):
    assert size(count) == text


def test_empty_values_are_left_out_of_an_address_and_others_are_quoted():
    assert query(a="", b=None, c="x&y=<z>") == "?c=x%26y%3D%3Cz%3E"
    assert query(a="") == ""


def test_the_highest_column_is_as_high_as_the_chart():
    low, none, high = bars([1, 0, 4], 300, 80)
    assert (low.x, low.y, low.height) == (0, 60, 20)
    assert none.height == 0
    assert (high.x, high.y, high.height) == (200, 0, 80)
    assert bars([], 300, 80) == []
    assert [bar.height for bar in bars([0, 0], 300, 80)] == [0, 0]


def test_dots_stand_in_the_chart_whatever_their_latency():
    slow, fast, only = dots([(0, 10**9, False), (100, 0, True), (50, 2449, False)], 320, 72)
    assert (slow.x, slow.y) == (0, 0)
    assert (fast.x, fast.y, fast.failed) == (320, 72, True)
    assert (only.x, only.y) == (160, 36.0)
    assert dots([], 320, 72) == []
    assert dots([(5, 100, False)], 320, 72)[0].x == 0


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.95, 95), (1.0, 100), (0.001, 1)])
def test_percentiles_are_values_that_occurred(share, value):
    assert percentile(list(range(100, 0, -1)), share) == value
    assert percentile([], share) is None


@pytest.mark.parametrize(
    ("query", "register"),
    [
        ({}, Register.RECENT),
        ({"state": UNFINISHED}, Register.UNFINISHED),
        ({"state": "running"}, Register.UNFINISHED),
        ({"state": "failed"}, Register.FAILURES),
        ({"state": "cancelled"}, Register.RECENT),
    ],
)
def test_jobs_of_a_state_are_looked_for_where_they_are(query, register):
    assert read_wanted(query).register is register


def test_a_filter_lets_through_what_matches_all_of_it():
    wanted = read_wanted({"state": "failed", "operation": "chat", "owner": "vk:a", "model": "GPT"})
    fits = {"owner": "vk:a", "model": "openai/gpt-4o-mini"}
    assert wanted(Standing(job=a_job(**fits), state=State.FAILED))
    for change in ({"owner": "vk:b"}, {"model": "claude"}, {"operation": "embeddings"}):
        assert not wanted(Standing(job=a_job(**{**fits, **change}), state=State.FAILED))
    assert not wanted(Standing(job=a_job(**fits), state=State.SUCCEEDED))


def test_the_link_to_the_next_page_leads_there_with_the_same_filters():
    wanted = read_wanted({"state": "failed", "model": "a b"})
    place = Place("1700000000000", "6f0d2c1e-8f5b-4e0a-9d53-2f1f7f0b7a11")
    assert wanted.path(place) == f"/console/jobs?state=failed&model=a+b&after={place.score}_{place.job_id}"
    assert read_wanted({"after": f"{place.score}_{place.job_id}"}).place == place


@pytest.mark.parametrize("asked", [{"state": "odd"}, {"after": "x_y"}])
def test_a_query_that_cannot_be_meant_is_refused(asked):
    with pytest.raises(InvalidRequest):
        read_wanted(asked)


def test_the_time_a_batch_still_takes_follows_from_its_rate():
    batch = Batch(
        id="b",
        owner="o",
        surface="openai",
        dialect="openai_chat",
        provider="openai",
        total=100,
        shards=1,
        created_ms=0,
    )
    running = Progress(batch=batch, state=BatchState.IN_PROGRESS, started_ms=1000)
    assert course(running, 2000).left_ms is None
    half = Progress(batch=batch, state=BatchState.IN_PROGRESS, started_ms=1000, counts=Counts(succeeded=50))
    assert (course(half, 11_000).rate, course(half, 11_000).left_ms) == (5.0, 10_000)
    done = Progress(
        batch=batch, state=BatchState.COMPLETED, started_ms=1000, ended_ms=21_000, counts=Counts(succeeded=100)
    )
    assert (course(done, 99_000).rate, course(done, 99_000).left_ms) == (5.0, None)


def test_a_time_is_read_as_the_administration_writes_it():
    assert unix_ms("2026-11-21T19:17:45.912Z") == 1_795_288_665_912
    assert unix_ms(None) is None


@pytest.mark.parametrize(
    ("text", "words"), [("1M", "month"), ("30d", "30 days"), ("1h", "hour"), ("5m", "5 minutes"), ("soon", "soon")]
)
def test_a_period_is_told_in_words(text, words):
    assert period(text) == words


def failed_line(name: str) -> bytes:
    return b'{"custom_id":"%b","result":{"type":"expired"}}' % name.encode()


A_BATCH = Batch(
    id="b", owner="o", surface="anthropic", dialect="anthropic", provider="p", total=9, shards=300, created_ms=0
)


def anthropic_error(kind: str, message: str) -> dict:
    return {"type": "errored", "error": {"type": "error", "error": {"type": kind, "message": message}}}


@pytest.mark.parametrize(
    ("row", "failed"),
    [
        ({"result": {"type": "canceled"}}, Failed("a", "canceled")),
        (
            {"result": anthropic_error("overloaded_error", "Overloaded")},
            Failed("a", "errored", "overloaded_error", 0, "Overloaded"),
        ),
        (
            {"result": anthropic_error("invalid_request_error", "not `a secret`")},
            Failed("a", "errored", "invalid_request_error"),
        ),
        (
            {"response": {"status_code": 429, "body": {"error": {"message": "Slow", "type": "rate_limit_error"}}}},
            Failed("a", "errored", "rate_limit_error", 429, "Slow"),
        ),
        ({"response": None, "error": {"code": "batch_expired", "message": "m"}}, Failed("a", "expired")),
        ({"response": {"status_code": 500, "body": "garbage"}}, Failed("a", "errored", "", 500)),
    ],
)
def test_what_failed_is_read_from_the_results_of_either_surface(row, failed):
    line = msgspec.json.encode({"custom_id": "a", **row})
    assert read_line(line, show_content=False) == failed
    assert ("secret" in read_line(line, show_content=True).message) == (b"secret" in line)


async def test_what_failed_comes_in_pages_that_go_on_within_a_shard_and_across_empty_ones():
    blobs = MemoryBlobs()
    names = [f"item-{number}" for number in range(90)]
    await blobs.put(blob("b", "err", 2), b"\n".join(map(failed_line, names[:70])) + b"\n")
    await blobs.put(blob("b", "err", 180), b"\n".join(map(failed_line, names[70:])) + b"\n")
    found, after, pages = [], "", 0
    while pages == 0 or after:
        page = await failures(blobs, A_BATCH, list(range(300)), after=after, count=50, show_content=False)
        found, after, pages = found + [row.custom_id for row in page.rows], page.next, pages + 1
    assert found == names
    assert pages < 6
    with pytest.raises(InvalidRequest):
        await failures(blobs, A_BATCH, [], after="1_x", count=50, show_content=False)


async def test_a_part_of_a_batch_that_cannot_be_read_is_a_row_and_hides_no_other():
    inner = MemoryBlobs()
    line = b'{"custom_id":"one","result":{"type":"canceled"}}\n'
    await SealedBlobs(inner, MasterKeys([b"1" * 32])).of(A_BATCH.owner).put(blob(A_BATCH.id, "err", 0), line)
    sealed = SealedBlobs(inner, MasterKeys([b"2" * 32]))
    await sealed.of(A_BATCH.owner).put(blob(A_BATCH.id, "err", 1), line)
    page = await failures(sealed, A_BATCH, [0, 1], after="", count=50, show_content=False)
    assert [(row.custom_id, row.ending) for row in page.rows] == [("", "errored"), ("one", "canceled")]
    assert "encryption.keys" in page.rows[0].message
