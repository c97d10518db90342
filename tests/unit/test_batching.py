"""How a batch is cut into items, whatever the chunks, and what refuses it."""

import asyncio
import hashlib
import json
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import batch_intake, batch_splitting, batching
from api.batch_intake import Intake
from api.batch_shards import Cutter
from api.batch_splitting import Lines, Splitter
from api.batching import AnthropicRequests, InputFile, OpenAIRequests
from shared.batches import SHARD_ITEMS, Item, blob, items_of, plan
from shared.errors import GatewayError, InvalidRequest, StoreError, TooLarge
from shared.stores.memory import MemoryBlobs
from tests.unit.fuzz.often import often

PARAMS = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": 'a "quoted" [word] {here} \\'}]}
CHAT = "/v1/chat/completions"

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.text('"\\[]{},: \n'),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('ab"\\{}[]'), inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(st.text('ab"\\{}[]'), values, max_size=4)
beside = st.dictionaries(st.text('xy"\\[').filter(lambda name: name != "requests"), values, max_size=3)


def cut(data, places):
    """The data in chunks that end at these places."""
    ends = sorted({place % (len(data) + 1) for place in places})
    return [data[start:end] for start, end in zip([0, *ends], [*ends, len(data)], strict=True)]


def fed(source, data, places=()):
    items = [item for chunk in cut(data, places) for item in source.feed(chunk)]
    return items + source.close()


def refused(source, data, places=()):
    with pytest.raises(GatewayError) as caught:
        fed(source, data, places)
    return caught.value


def item(number=0, **more):
    return {"custom_id": f"request-{number}", "params": PARAMS} | more


def body(*items, **more):
    return json.dumps({"requests": items} | more).encode()


def line(number=0, **more):
    return json.dumps({"custom_id": f"request-{number}", "method": "POST", "url": CHAT, "body": PARAMS} | more).encode()


def openai(*items, **more):
    return body(*items, **({"endpoint": CHAT, "completion_window": "24h"} | more))


# --- splitting ------------------------------------------------------------------------------------------


@often(100)
@given(
    st.lists(objects, max_size=5),
    beside,
    beside,
    st.lists(st.integers(0, 10**6), max_size=30),
    st.sampled_from([None, 1]),
    st.booleans(),
)
def test_items_come_out_as_they_went_in_however_the_body_is_cut(items, before, after, places, indent, ascii_):
    document = {**before, "requests": items, **{name: after[name] for name in after if name not in before}}
    data = json.dumps(document, indent=indent, ensure_ascii=ascii_).encode(errors="replace")
    splitter = Splitter()
    raws = [raw for chunk in cut(data, places) for raw in splitter.feed(chunk)]
    rest = json.loads(splitter.close())
    assert [json.loads(raw) for raw in raws] == json.loads(data)["requests"]
    assert rest == {**json.loads(data), "requests": []}


@often(200)
@given(st.text('{}[]",:\\ ab0').map(str.encode), st.lists(st.integers(0, 100), max_size=8))
def test_what_is_no_json_is_refused_wherever_the_splitter_cuts_it(text, places):
    """Decoding pieces and rest accepts no more than decoding the whole would."""
    data = b'{"requests":[' + text
    try:
        whole = json.loads(data)
    except ValueError:
        whole = None
    splitter = Splitter()
    try:
        raws = [raw for chunk in cut(data, places) for raw in splitter.feed(chunk)]
        pieces = [json.loads(raw) for raw in raws], json.loads(splitter.close())
    except (ValueError, InvalidRequest):
        proper = whole is not None and all(isinstance(one, dict) for one in whole["requests"])
        assert not proper or len(whole) < data.count(b'"requests"'), "only what is given twice"
    else:
        assert whole is not None
        assert pieces[0] == whole["requests"]


def test_every_cut_of_a_body_gives_the_same_items():
    data = openai({"custom_id": 'a\\"b', "params": {"text": '\\\\" \\ [{ \\u0022 é'}}, item(1))
    whole = fed(OpenAIRequests(), data)
    assert len(whole) == 2
    for place in range(len(data) + 1):
        assert fed(OpenAIRequests(), data, [place, place + 1]) == whole


def test_a_string_that_spans_many_chunks_is_not_held_twice_or_lost():
    text = ('x\\"' * 1000 + "\\\\") * 100
    data = b'{"requests":[{"custom_id":"a","params":{"text":"%s"}}]}' % text.encode()
    [only] = fed(AnthropicRequests(), data, range(0, len(data), 1001))
    assert json.loads(bytes(only.body))["text"] == json.loads(f'"{text}"')


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_lines_come_out_whole_however_the_file_is_cut(ending):
    rows = [b"a" * 10, "é\u2028b".encode(), b"c"]
    for last in (b"", ending):
        data = ending.join(rows) + last
        for place in range(len(data) + 1):
            lines = Lines()
            found = [row for chunk in cut(data, [place]) for row in lines.feed(chunk)]
            assert [row.removesuffix(b"\r") for row in found + lines.close()] == rows


# --- Anthropic's body -----------------------------------------------------------------------------------


def test_an_item_keeps_its_index_name_and_body():
    [first, second] = fed(AnthropicRequests(), body(item(1), item(2)))
    assert (first.index, first.custom_id, second.index, second.custom_id) == (0, "request-1", 1, "request-2")
    assert json.loads(bytes(first.body)) == PARAMS
    assert first.problem == ""


def test_a_body_over_several_lines_makes_shards_of_one_line_an_item():
    data = json.dumps({"requests": [item(1), item(2)]}, indent=2).encode()
    [shard] = plan(fed(AnthropicRequests(), data))
    assert [json.loads(bytes(one.body)) for one in items_of(shard)] == [PARAMS, PARAMS]


LONG = "n" * 65
BAD_BODIES = [
    (b"", "", "Not valid JSON"),
    (b"nonsense", "", "Not valid JSON"),
    (b"[]", "", "must be a JSON object"),
    (b'"requests"', "", "must be a JSON object"),
    (b"{}", "requests", "Field required"),
    (b'{"requests":null}', "requests", "array"),
    (b'{"requests":{}}', "requests", "array"),
    (b'{"requests":[]}', "requests", "at least one"),
    (b'{"\\u0072equests":[{}]}', "requests.0", "Expected"),
    (body(item()) + b"x", "", "trailing characters"),
    (body(item())[:-1], "", "Not valid JSON"),
    (body(item())[:-2], "requests.1", "ends here"),
    (body(item(), item(1))[:-40], "requests.1", "ends here"),
    (body(item())[:-2] + b"}}", "requests.1", "Expected an object"),
    (b'{"requests":[%b%b]}' % (body(item())[14:-2], body(item(1))[14:-2]), "requests.1", "comma"),
    (b'{"requests":[%b,]}' % body(item())[14:-2], "requests.1", "comma"),
    (b'{"requests":[,%b]}' % body(item())[14:-2], "requests.0", "comma"),
    (body(5), "requests.0", "Expected an object"),
    (body(item(), "text"), "requests.1", "Expected an object"),
    (body(item(), [item()]), "requests.1", "Expected an object"),
    (body(item(), None), "requests.1", "Expected an object"),
    (b'{"requests":[{"custom_id":"a","params":{"x":01}}]}', "requests.0", "Not valid JSON"),
    (b'{"requests":[{"custom_id":"a","params":{"x":[1}]}}]}', "requests.0", "Not valid JSON"),
    (b'{"requests":[{"custom_id":"a","params":{"x":"a\nb"}}]}', "requests.0", "Not valid JSON"),
    (b'{"requests":[{"custom_id":"a","params":{"x":"\xff"}}]}', "requests.0", "UTF-8"),
    (b'{"requests":[{"custom_id":"a","params":%b1%b}]}' % (b'{"x":' * 4000, b"}" * 4000), "requests.0", "nested"),
    (body({"params": PARAMS}), "requests.0.custom_id", "Field required"),
    (body(item(custom_id=5)), "requests.0.custom_id", "Expected str"),
    (body(item(), item(custom_id="")), "requests.1.custom_id", "1 to 64"),
    (body(item(custom_id=LONG)), "requests.0.custom_id", "1 to 64"),
    (body(item(custom_id="a.b")), "requests.0.custom_id", "1 to 64"),
    (body(item(custom_id="a\n")), "requests.0.custom_id", "1 to 64"),
    (body(item(1), item(2), item(1)), "requests.2.custom_id", "Already used by requests.0"),
    (body({"custom_id": "a"}), "requests.0.params", "Field required"),
    (body(item(params=None)), "requests.0.params", "Expected object"),
    (body(item(params=[])), "requests.0.params", "Expected object"),
    (body(item(params="{}")), "requests.0.params", "Expected object"),
    (body(item(body={})), "requests.0.body", "not known"),
    (body(item(), modle="m"), "modle", "not known"),
    (b'{"requests":[{"custom_id":"a","params":{}}],"requests":[]}', "requests", "more than once"),
]


@pytest.mark.parametrize(("data", "path", "message"), BAD_BODIES)
def test_a_bad_body_is_a_400_that_names_index_and_field(data, path, message):
    for places in ([], [3, 17, 40], range(len(data) if len(data) < 1000 else 0)):
        error = refused(AnthropicRequests(), data, places)
        assert isinstance(error, InvalidRequest)
        assert (error.param or "") == path
        assert message in error.message
        assert error.message.startswith(path)


def test_a_batch_may_have_so_many_items_and_no_more(monkeypatch):
    monkeypatch.setattr(batching, "ANTHROPIC_LIMITS", batching.Limits(3, 1000))
    assert len(fed(AnthropicRequests(), body(*map(item, range(3))))) == 3
    error = refused(AnthropicRequests(), body(*map(item, range(4))))
    assert (error.status, error.param) == (400, "requests.3")
    assert "at most 3" in error.message


@pytest.mark.parametrize("step", [10, 1000, 100_000])
def test_an_item_that_is_too_large_is_a_413_before_it_is_whole(monkeypatch, step):
    monkeypatch.setattr(batch_splitting, "MAX_ITEM", 20_000)
    for source, data, where in (
        (AnthropicRequests(), body(item(1), item(2, params={"x": "y" * 30_000})), "requests.1"),
        (InputFile(CHAT), line(1) + b"\n" + line(2, body={"x": "y" * 30_000}), "line 2"),
    ):
        error = refused(source, data, range(0, len(data), step))
        assert isinstance(error, TooLarge)
        assert error.param == where


def test_what_stands_beside_the_items_is_bounded():
    assert isinstance(refused(AnthropicRequests(), body(item(), x="y" * batch_splitting.MAX_BESIDE)), TooLarge)


# --- OpenAI's body --------------------------------------------------------------------------------------


def test_a_request_for_a_file_has_no_items_and_its_fields():
    source = OpenAIRequests()
    more = {"metadata": {"a": "b"}, "output_expires_after": {"anchor": "created_at", "seconds": 3600}}
    data = {"completion_window": "24h", "endpoint": CHAT, "input_file_id": "file-1", "provider": "openai", **more}
    assert fed(source, json.dumps(data).encode(), [20]) == []
    assert source.fields.input_file_id == "file-1"
    assert source.fields.metadata == {"a": "b"}
    assert source.fields.output_expires_after.seconds == 3600
    assert source.fields.provider == "openai"


@pytest.mark.parametrize(
    "items",
    [
        [{"custom_id": "a b", "body": PARAMS}, {"custom_id": "é", "method": "POST", "url": CHAT, "body": PARAMS}],
        [{"custom_id": "a b", "params": PARAMS}, {"custom_id": "é", "params": PARAMS}],
    ],
)
def test_items_may_come_in_the_request_in_both_of_bifrosts_forms(items):
    """The Python SDK puts them last, others first."""
    rest = {"endpoint": CHAT, "completion_window": "24h", "input_file_id": ""}
    for document in ({**rest, "requests": items}, {"requests": items, **rest}):
        found = fed(OpenAIRequests(), json.dumps(document).encode())
        assert [one.custom_id for one in found] == ["a b", "é"]
        assert [json.loads(bytes(one.body)) for one in found] == [PARAMS, PARAMS]


INLINE = {"custom_id": "a", "body": PARAMS}
BAD_OPENAI = [
    (openai(INLINE, endpoint="/v1/images"), "endpoint", "/v1/embeddings"),
    (openai(INLINE, completion_window="1h"), "completion_window", "24h"),
    (openai(), "input_file_id", "one of them"),
    (openai(INLINE, input_file_id="file-1"), "input_file_id", "one of them"),
    (b'{"completion_window":"24h","input_file_id":"f"}', "endpoint", "Field required"),
    (openai(INLINE, metadata=dict.fromkeys(map(str, range(17)), "")), "metadata", "at most 16"),
    (openai(INLINE, metadata={"a": 5}), "metadata", "Expected str"),
    (openai(INLINE, metadata={"a": "v" * 513}), "metadata.a", "at most 512"),
    (
        openai(INLINE, output_expires_after={"anchor": "created_at", "seconds": 5}),
        "output_expires_after.seconds",
        "3600",
    ),
    (
        openai(INLINE, output_expires_after={"anchor": "now", "seconds": 3600}),
        "output_expires_after.anchor",
        "enum",
    ),
    (openai(INLINE, output_expires_after={"second": 5}), "output_expires_after", ""),
    (openai(INLINE, s3="bucket"), "s3", "not known"),
    (openai({"custom_id": "", "body": {}}), "requests.0.custom_id", "1 to 512"),
    (openai({"custom_id": "n" * 513, "body": {}}), "requests.0.custom_id", "1 to 512"),
    (openai(INLINE, INLINE), "requests.1.custom_id", "requests.0"),
    (openai({"custom_id": "a"}), "requests.0.body", "Expected"),
    (openai({"custom_id": "a", "body": {}, "params": {}}), "requests.0.body", "Expected"),
    (openai({"custom_id": "a", "params": 5}), "requests.0.params", "object"),
    (openai({"custom_id": "a", "body": {}, "method": "GET"}), "requests.0.method", "POST"),
    (openai(INLINE, {"custom_id": "b", "body": {}, "url": "/v1/x"}), "requests.1.url", CHAT),
    (openai(INLINE | {"url": CHAT}, {"custom_id": "b", "body": {}, "url": "/v1/x"}), "requests.1.url", CHAT),
]


@pytest.mark.parametrize(("data", "path", "message"), BAD_OPENAI)
def test_a_bad_openai_request_is_a_400_that_names_the_field(data, path, message):
    error = refused(OpenAIRequests(), data, [9, 30])
    assert isinstance(error, InvalidRequest)
    assert (error.param or "").startswith(path)
    assert message in error.message


# --- OpenAI's file --------------------------------------------------------------------------------------


def test_a_file_may_begin_with_a_byte_order_mark_and_end_its_lines_with_crlf():
    data = b"\xef\xbb\xbf" + line(1) + b"\r\n" + line(2, custom_id="a\u2028b") + b"\r\n"
    for places in ([], [3], range(0, len(data), 50)):
        found = fed(InputFile(CHAT), data, places if places != [3] else [])
        assert [one.custom_id for one in found] == ["request-1", "a\u2028b"]


def test_one_line_may_have_10_megabytes():
    data = line(1) + b"\n" + line(2, body={"x": "y" * 10_000_000}) + b"\n" + line(3)
    found = fed(InputFile(CHAT), data, range(0, len(data), 1 << 20))
    assert [one.custom_id for one in found] == ["request-1", "request-2", "request-3"]
    assert len(found[1].body) > 10_000_000


BAD_FILES = [
    (b"", "input_file_id", "empty"),
    (b"\n", "line 1", "blank"),
    (line() + b"\n\n", "line 2", "blank"),
    (line() + b"\n \r\n" + line(1), "line 2", "blank"),
    (line() + b"\n{", "line 2", "Not valid JSON"),
    (line() + b"\nnonsense\n", "line 2", "Not valid JSON"),
    (line() + b"\n[]\n", "line 2", "object"),
    (line() + line(1), "line 1", "trailing characters"),
    (line() + b"\n" + line(1).replace(b'"m"', b'"\xff"'), "line 2", "UTF-8"),
    (line() + b"\n" + line(0), "line 2.custom_id", "line 1"),
    (line(custom_id=""), "line 1.custom_id", "1 to 512"),
    (line(custom_id=None), "line 1.custom_id", "Expected str"),
    (b'{"method":"POST"}', "line 1.custom_id", "Field required"),
    (line(method="GET"), "line 1.method", "POST"),
    (line(url="/v1/embeddings"), "line 1.url", CHAT),
    (line(body="x"), "line 1.body", "object"),
    (line(extra=1), "line 1.extra", "not known"),
]


@pytest.mark.parametrize(("data", "path", "message"), BAD_FILES)
def test_a_bad_file_is_a_400_that_names_line_and_field(data, path, message):
    for places in ([], range(0, len(data), 7)):
        error = refused(InputFile(CHAT), data, places)
        assert isinstance(error, InvalidRequest)
        assert error.param == path
        assert message in error.message


def test_a_file_may_have_so_many_lines_and_no_more(monkeypatch):
    monkeypatch.setattr(batching, "OPENAI_LIMITS", batching.Limits(3, 1000))
    rows = [line(number) for number in range(4)]
    assert len(fed(InputFile(CHAT), b"\n".join(rows[:3]))) == 3
    error = refused(InputFile(CHAT), b"\n".join(rows))
    assert (error.status, error.param) == (400, "line 4")


# --- cutting --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [[10] * 1000, [1_500_000] * 20, [5_000_000, 10, 10, 5_000_000]])
@pytest.mark.parametrize("step", [1, 7, 250])
def test_shards_are_those_that_a_plan_of_all_items_makes(sizes, step):
    items = [
        Item(number, str(number), batching.Raw(b'{"x":"%b"}' % (b"y" * size))) for number, size in enumerate(sizes)
    ]
    cutter, shards = Cutter(), []
    for start in range(0, len(items), step):
        shards += cutter.feed(items[start : start + step])
    shards += cutter.close()
    assert shards == list(plan(items))
    assert all(len(items_of(shard)) <= SHARD_ITEMS for shard in shards)


# --- writing --------------------------------------------------------------------------------------------


class Frail(MemoryBlobs):
    """A store that is away from its n-th write on, and then comes back."""

    def __init__(self, writes):
        super().__init__()
        self._writes = writes

    async def put(self, key, data, **facts):
        self._writes -= 1
        if self._writes < 0:
            raise StoreError("away")
        await super().put(key, data, **facts)


def intake(blobs):
    return Intake(SimpleNamespace(bodies=SimpleNamespace(blobs=blobs)), None, None)


async def chunks_of(data, size=100_000, *, stalls=False):
    for start in range(0, len(data), size):
        yield data[start : start + size]
    if stalls:
        await asyncio.Event().wait()


async def test_shards_are_written_while_the_body_is_read():
    blobs, data = MemoryBlobs(), body(*(item(number, params={"x": "y" * 20_000}) for number in range(450)))
    async with intake(blobs)._writing("anonymous") as shards:
        digest = await shards.take(chunks_of(data), AnthropicRequests())
        assert shards.count == len(blobs._blobs) > 1, "before the end is known"
        await shards.close()
    assert digest == hashlib.sha256(data).digest()
    assert shards.items == 450
    written = [blobs._blobs[blob(shards.batch_id, "in", number)][0] for number in range(shards.count)]
    assert [one.index for shard in written for one in items_of(shard)] == list(range(450))


@pytest.mark.parametrize("writes", [0, 1, 3])
async def test_a_store_that_fails_leaves_nothing_and_is_told(writes):
    blobs, data = Frail(writes), body(*map(item, range(850)))
    with pytest.raises(StoreError):
        async with intake(blobs)._writing("anonymous") as shards:
            await shards.take(chunks_of(data, len(data)), AnthropicRequests())
    assert blobs._blobs == {}


async def test_a_body_that_never_ends_is_given_up(monkeypatch):
    monkeypatch.setattr(batch_intake, "INTAKE_S", 1.0)
    blobs, data = MemoryBlobs(), body(*(item(number, params={"x": "y" * 20_000}) for number in range(210)))[:-2]
    with pytest.raises(GatewayError) as refused:
        async with intake(blobs)._writing("anonymous") as shards:
            await shards.take(chunks_of(data, stalls=True), AnthropicRequests())
    assert refused.value.status == 408
    assert shards.count > 0
    assert blobs._blobs == {}
