"""Where bodies name files, what is put there instead, and how often a file is read for it."""

import asyncio
import base64
import json

import msgspec
import pytest

from shared.errors import InvalidRequest
from shared.files import File, blob
from shared.stores.blobs import BlobMissing
from shared.stores.memory import MemoryBlobs
from worker.attachments import STEP_BYTES, Contents, media_type_of
from worker.mentions import mentions

ID = "file_6f0d2c1e8f5b4e0a9d532f1f7f0b7a11"
PDF, PNG, TEXT = "application/pdf", "image/png", "text/plain"


def document(source, **fields):
    return {"type": "document", "source": source, **fields}


def image(source):
    return {"type": "image", "source": source}


def by_id(file_id=ID):
    return {"type": "file", "file_id": file_id}


def anthropic(*blocks):
    return {"messages": [{"role": "user", "content": "x"}, {"role": "user", "content": list(blocks)}]}


def result(*blocks):
    return {"type": "tool_result", "tool_use_id": "t", "content": list(blocks)}


def chat(*parts):
    return {"messages": [{"role": "user", "content": list(parts)}]}


def part(**file):
    return {"type": "file", "file": file}


def responses(*items):
    return {"input": list(items)}


def said(*parts):
    return {"role": "user", "content": list(parts)}


def output(*parts):
    return {"type": "function_call_output", "call_id": "c", "output": list(parts)}


def input_file(**fields):
    return {"type": "input_file", **fields}


def input_image(**fields):
    return {"type": "input_image", **fields}


def found(body, dialect):
    return mentions(json.dumps(body).encode(), dialect)[1]


def filled(body, dialect, media_type):
    """The body with `"QQ=="` in the place of every file, which is called a.pdf."""
    fields, places = mentions(json.dumps(body).encode(), dialect)
    for place in places:
        place.put(b'"QQ=="', place.form(media_type), media_type, "a.pdf")
    return json.loads(msgspec.json.encode(fields))


# --- where ------------------------------------------------------------------------------------------------

PLACES = {
    "a document": ("anthropic", anthropic(document(by_id())), "messages.1.content.0.source.file_id"),
    "an image": ("anthropic", anthropic({"type": "text"}, image(by_id())), "messages.1.content.1.source.file_id"),
    "in a tool result": (
        "anthropic",
        anthropic(result({"type": "text"}, document(by_id()))),
        "messages.1.content.0.content.1.source.file_id",
    ),
    "a file of chat": ("openai_chat", chat({"type": "text"}, part(file_id=ID)), "messages[0].content[1].file.file_id"),
    "an input_file": ("openai_responses", responses(said(input_file(file_id=ID))), "input[0].content[0].file_id"),
    "an input_image": ("openai_responses", responses(said(input_image(file_id=ID))), "input[0].content[0].file_id"),
    "in an output": (
        "openai_responses",
        responses(said({"type": "input_text"}), output({"type": "input_text"}, input_file(file_id=ID))),
        "input[1].output[1].file_id",
    ),
}


@pytest.mark.parametrize("name", PLACES)
def test_a_file_is_found_and_its_place_told_as_the_surface_writes_it(name):
    dialect, body, path = PLACES[name]
    [place] = found(body, dialect)
    assert (place.path, place.shown) == (path, ID)


def test_files_are_found_in_their_order():
    places = found(anthropic(document(by_id("b")), result(image(by_id("a"))), image(by_id("c"))), "anthropic")
    assert [place.shown for place in places] == ["b", "a", "c"]


ELSEWHERE = {
    "a container's file": ("anthropic", anthropic({"type": "container_upload", "file_id": ID})),
    "a tool's files": ("anthropic", {"messages": [], "tools": [{"type": "x", "file_id": ID, "source": by_id()}]}),
    "a link": ("anthropic", anthropic(document({"type": "url", "url": "https://x", "file_id": ID}))),
    "text that looks like one": ("anthropic", anthropic({"type": "text", "text": json.dumps(document(by_id()))})),
    "the input of a call": ("anthropic", anthropic({"type": "tool_use", "input": document(by_id())})),
    "no id": ("openai_chat", chat(part(file_id=None, file_data="x"), part(file_id=""))),
    "another type of id": ("openai_chat", chat(part(file_id=7))),
    "a citation of an earlier answer": (
        "openai_responses",
        responses(said({"type": "output_text", "annotations": [{"type": "file_citation", "file_id": ID}]})),
    ),
    "a container's of OpenAI's": (
        "openai_responses",
        {**responses(said({"type": "input_text"})), "tools": [{"type": "code_interpreter", "file_id": ID}]},
    ),
    "no list": ("anthropic", {"messages": {"file_id": ID}}),
    "no list of objects": ("openai_chat", {"messages": [7, [ID, "file_id"], {"content": {"file_id": ID}}]}),
    "no object": ("anthropic", ["file_id"]),
    "a source that is none": ("anthropic", anthropic(document("file_id"), {"type": 1, "source": by_id()})),
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_ids_elsewhere_are_not_ours(name):
    dialect, body = ELSEWHERE[name]
    assert "file_id" in json.dumps(body)
    assert found(body, dialect) == []


NOT_JSON = {
    "cut short": b'{"messages":[{"content":[{"type":"document","source":{"file_id":"x"',
    "not UTF-8": b'{"messages":[{"content":[{"type":"document","source":{"type":"file","file_id":"\xff"}}]}]}',
    "half a surrogate": b'{"messages":[{"content":[{"type":"image","source":{"type":"file","file_id":"\\ud800"}}]}]}',
    "nested too deeply": b'{"file_id":1,"messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
}


@pytest.mark.parametrize("name", NOT_JSON)
def test_what_cannot_be_read_names_no_file_and_is_left_to_who_reads_it_next(name):
    assert mentions(NOT_JSON[name], "anthropic")[1] == []


# --- what stands there instead ----------------------------------------------------------------------------

SOURCE = {"type": "base64", "media_type": PDF, "data": "QQ=="}
WHOLE = {
    "a document": (
        "anthropic",
        anthropic(document(by_id(), title="T", citations={"enabled": True}), {"type": "text", "text": "x"}),
        anthropic(document(SOURCE, title="T", citations={"enabled": True}), {"type": "text", "text": "x"}),
    ),
    "one of a tool's": ("anthropic", anthropic(result(document(by_id()))), anthropic(result(document(SOURCE)))),
    "a file": (
        "openai_chat",
        chat(part(file_id=ID), part(file_id=ID, filename="own.pdf"), part(file_id=ID, filename=None)),
        chat(
            part(file_data="QQ==", filename="a.pdf"),
            part(file_data="QQ==", filename="own.pdf"),
            part(file_data="QQ==", filename="a.pdf"),
        ),
    ),
    "an input_file": (
        "openai_responses",
        responses(said(input_file(file_id=ID, file_data=None, detail="low"))),
        responses(said(input_file(file_data="QQ==", filename="a.pdf", detail="low"))),
    ),
}


@pytest.mark.parametrize("name", WHOLE)
def test_the_file_takes_the_place_of_its_id_and_everything_else_stays(name):
    dialect, given, wanted = WHOLE[name]
    assert filled(given, dialect, PDF) == wanted


def test_an_image_becomes_a_source_or_a_data_url_without_a_name():
    source = {"type": "base64", "media_type": PNG, "data": "QQ=="}
    assert filled(anthropic(image(by_id())), "anthropic", PNG) == anthropic(image(source))
    body = responses(said(input_image(file_id=ID, detail="high")))
    assert filled(body, "openai_responses", PNG) == responses(said(input_image(image_url="QQ==", detail="high")))


def test_what_names_no_file_is_written_as_it_came():
    closed = '{ "type" : "text", "text" : "\\u00e9 \\/", "n" : 1.50e+01, "n" : 2 }'
    turn = '{ "role":"user" ,"content": [ 1.0 ] }'
    body = '{"x":[ 1.50, {} ],"messages":[%s,{"content":[%s,%s]}],"y": 1e2}'
    named = json.dumps(document(by_id()), separators=(",", ":"))
    fields, [place] = mentions((body % (turn, closed, named)).encode(), "anthropic")
    place.put(b'"QQ=="', "base64", PDF, "a.pdf")
    wanted = json.dumps(document(SOURCE), separators=(",", ":"))
    assert msgspec.json.encode(fields).decode() == (body % (turn, closed, wanted)).replace('"y": ', '"y":')


FORMS = [
    ("a document", PDF, "base64"),
    ("a document", "text/x-python", "text"),
    ("a document", "application/json", "text"),
    ("a document", "text/csv", "text"),
    ("a document", "application/jsonl", "text"),
    ("a document", PNG, None),
    ("a document", "application/octet-stream", None),
    ("an image", PNG, "base64"),
    ("an image", "image/webp", "base64"),
    ("an image", "image/heic", None),
    ("an image", PDF, None),
    ("a file of chat", PDF, "data_url"),
    ("a file of chat", "text/csv", "data_url"),
    ("an input_file", "application/vnd.ms-excel", "data_url"),
    ("an input_image", "image/heic", "data_url"),
    ("an input_image", TEXT, None),
]


@pytest.mark.parametrize(("name", "media_type", "form"), FORMS)
def test_a_place_takes_certain_types_and_refuses_others_by_its_path(name, media_type, form):
    dialect, body, path = PLACES[name]
    [place] = found(body, dialect)
    if form:
        assert place.form(media_type) == form
        return
    with pytest.raises(InvalidRequest) as refused:
        place.form(media_type)
    assert refused.value.param == path
    assert path in refused.value.message
    assert media_type in refused.value.message


@pytest.mark.parametrize("beside", [{"file_data": "x"}, {"file_url": "https://x"}, {"image_url": "https://x"}])
def test_an_id_beside_other_content_is_refused(beside):
    with pytest.raises(InvalidRequest, match=f"input.*{next(iter(beside))}"):
        filled(responses(said(input_file(file_id=ID, **beside))), "openai_responses", PDF)


def test_a_text_is_named_plain_text_whatever_its_kind():
    source = {"type": "text", "media_type": TEXT, "data": "QQ=="}
    assert filled(anthropic(document(by_id())), "anthropic", "text/markdown") == anthropic(document(source))


# --- which type a file has --------------------------------------------------------------------------------

DECLARED = [
    ("application/pdf", "x", PDF),
    ("Application/PDF", "x", PDF),
    ("image/jpg", "x", "image/jpeg"),
    ("text/plain", "a.pdf", TEXT),
    ("application/octet-stream", "a.PDF", PDF),
    ("application/octet-stream", "a.png", PNG),
    ("application/octet-stream", "a.csv.gz", "application/octet-stream"),
    ("application/octet-stream", "unnamed", "application/octet-stream"),
]


@pytest.mark.parametrize(("declared", "filename", "known"), DECLARED)
def test_a_type_is_as_declared_or_what_the_name_says_where_mere_bytes_were_declared(declared, filename, known):
    file = a_file("x", filename=filename, mime_type=declared)
    assert media_type_of(file) == known


# --- reading ----------------------------------------------------------------------------------------------


class Counted(MemoryBlobs):
    """Counts how often something is read, and lets others run meanwhile."""

    reads = 0

    async def get(self, key, start=0, length=None):
        self.reads += 1
        await asyncio.sleep(0)
        return await super().get(key, start, length)


@pytest.fixture
async def blobs():
    store = Counted()
    for name in "abc":
        await store.put(blob(name), name.encode() * 300)  # 400 characters of base64 and two quotes
    return store


def a_file(file_id, **facts):
    usual = {"owner": "o", "filename": "a", "mime_type": PDF, "size": 1, "purpose": "user_data", "created_ms": 1}
    return File(id=file_id, **(usual | facts))


def quoted(data):
    return b'"%b"' % base64.b64encode(data)


@pytest.mark.parametrize("size", [0, 1, 2, 3, STEP_BYTES - 1, STEP_BYTES, STEP_BYTES + 1, 3 * STEP_BYTES + 2])
async def test_bytes_become_base64_whatever_their_number(size):
    blobs, data = MemoryBlobs(), bytes(range(256)) * (size // 256 + 1)
    await blobs.put(blob("x"), data[:size])
    assert await Contents(blobs, 1 << 30).get(a_file("x"), "base64", PDF) == quoted(data[:size])


async def test_text_becomes_what_it_is_in_json():
    blobs, text = MemoryBlobs(), 'é "quoted" \\ \n \x00 \u2028 😀'
    await blobs.put(blob("x"), text.encode())
    assert json.loads(await Contents(blobs, 1000).get(a_file("x"), "text", TEXT)) == text


async def test_a_file_that_many_ask_for_at_a_time_is_read_once(blobs):
    contents = Contents(blobs, 1000)
    got = await asyncio.gather(*(contents.get(a_file("a"), "base64", PDF) for _ in range(50)))
    assert (len(set(got)), blobs.reads) == (1, 1)
    await contents.get(a_file("a"), "base64", PDF)
    assert blobs.reads == 1


async def test_the_forms_of_one_file_are_told_apart(blobs):
    contents = Contents(blobs, 10_000)
    whole = quoted(b"a" * 300)
    for _ in range(2):
        assert await contents.get(a_file("a"), "base64", PDF) == whole
        assert await contents.get(a_file("a"), "data_url", PDF) == b'"data:application/pdf;base64,' + whole[1:]
        assert await contents.get(a_file("a"), "text", TEXT) == b'"%b"' % (b"a" * 300)
    assert blobs.reads == 3


async def test_only_so_many_bytes_are_kept_and_the_longest_unused_goes_first(blobs):
    contents = Contents(blobs, 804)  # two of them
    for name in ("a", "b", "a", "c"):
        await contents.get(a_file(name), "base64", PDF)
    assert blobs.reads == 3
    await contents.get(a_file("a"), "base64", PDF)
    assert blobs.reads == 3
    await contents.get(a_file("b"), "base64", PDF)
    assert blobs.reads == 4


async def test_a_file_larger_than_all_that_is_kept_is_read_and_not_kept(blobs):
    contents = Contents(blobs, 401)
    assert await contents.get(a_file("a"), "base64", PDF) == await contents.get(a_file("a"), "base64", PDF)
    assert blobs.reads == 2
    contents = Contents(blobs, 402)
    await contents.get(a_file("a"), "base64", PDF)
    await contents.get(a_file("a"), "base64", PDF)
    assert blobs.reads == 3


async def test_a_reading_that_failed_is_done_again(blobs):
    contents = Contents(blobs, 1000)
    with pytest.raises(BlobMissing):
        await contents.get(a_file("d"), "base64", PDF)
    await blobs.put(blob("d"), b"\xff")
    with pytest.raises(UnicodeDecodeError):
        await contents.get(a_file("d"), "text", TEXT)
    assert await contents.get(a_file("d"), "base64", PDF) == b'"/w=="'


async def test_who_gives_up_leaves_the_reading_to_the_others(blobs):
    contents = Contents(blobs, 1000)
    first, *others = [asyncio.create_task(contents.get(a_file("a"), "base64", PDF)) for _ in range(5)]
    await asyncio.sleep(0)
    first.cancel()
    assert set(await asyncio.gather(*others)) == {quoted(b"a" * 300)}
    assert first.cancelled()
    assert blobs.reads == 2
