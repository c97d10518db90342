"""Files over real HTTP on both surfaces: what is stored, what is refused, and that nothing refused is kept."""

import asyncio
import contextlib
import json
import logging
import threading
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from litestar.exceptions import LitestarDeprecationWarning

from api import forms
from api.app import build_app
from shared.settings import ClientSettings, RedisSettings, Settings
from tests.integration.conftest import until
from tests.integration.test_up_processes import eventually
from tests.object_stores import Folder, Objects, opened

ANTHROPIC, OPENAI = "/anthropic/v1/files", "/openai/v1/files"
OPENAI_BASES = ["/openai", "/openai/v1", "/v1"]
BOTH = pytest.mark.parametrize("path", [ANTHROPIC, OPENAI])
BYTES = bytes(range(256)) * 10
DAY_S = 86_400
MIB = 1 << 20
EDGE = "e7c1bd"
FORM = {"content-type": f"multipart/form-data; boundary={EDGE}"}


@contextlib.contextmanager
def serving(redis_url: str, objects: Objects, **client: object) -> Iterator[str]:
    """The API on a port of this machine, in a thread: its URL; keywords are settings of `client`."""
    redis, rules = RedisSettings(url=redis_url), ClientSettings(**client)
    settings = Settings(redis=redis, object_store=objects.settings, client=rules)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LitestarDeprecationWarning)  # of path parameters; the process says it too
        app = build_app(settings)
    running = uvicorn.Server(uvicorn.Config(app, port=0, http="httptools", ws="none", log_config=None))
    thread = threading.Thread(target=running.run)
    thread.start()
    try:
        eventually(lambda: running.started)
        yield f"http://127.0.0.1:{running.servers[0].sockets[0].getsockname()[1]}"
    finally:
        running.should_exit = True
        thread.join()


@pytest.fixture(scope="module", params=["folder", "s3"])
def objects(request, tmp_path_factory) -> Iterator[Objects]:
    yield from opened(request.param, tmp_path_factory.mktemp("files"))


@pytest.fixture
def folder(objects) -> Path:
    """For what only a folder shows."""
    if not isinstance(objects, Folder):
        pytest.skip("an S3 server does not show it")
    return objects.path


@pytest.fixture(scope="module")
def url(server, objects) -> Iterator[str]:
    with serving(server.url, objects) as served:
        yield served


@pytest.fixture
async def client(url, store, objects) -> AsyncIterator[httpx.AsyncClient]:  # noqa: ARG001 - the store empties Redis
    for key in objects.listed():
        objects.drop(key)
    async with httpx.AsyncClient(base_url=url, timeout=30) as opened:
        yield opened


async def upload(client, path=OPENAI, content=BYTES, name="a.bin", kind="application/x-test", headers=None, **fields):
    usual = {} if path == ANTHROPIC else {"purpose": "user_data"}
    files = {"file": (name, content, kind)}
    return await client.post(path, files=files, data={**usual, **fields}, headers=headers or {})


async def uploaded(client, path=OPENAI, **facts) -> dict:
    answer = await upload(client, path, **facts)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def nothing_is_kept(client, objects) -> bool:
    shown = [(await client.get(path)).json()["data"] for path in (ANTHROPIC, OPENAI)]
    return shown == [[], []] and objects.listed() == []


def part(name: str, content: bytes = b"x", more: bytes = b"") -> bytes:
    head = f'--{EDGE}\r\nContent-Disposition: form-data; name="{name}"'.encode()
    return head + more + b"\r\n\r\n" + content + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{EDGE}--\r\n".encode()


NAMED = b'; filename="a.txt"'
FILE = part("file", b"content", NAMED)
PURPOSE = part("purpose", b"user_data")


def refused(answer, status: int, names: str = "") -> dict:
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert names in error["message"]
    if str(answer.url.path).startswith("/anthropic"):
        assert answer.json()["request_id"] == answer.headers["request-id"]
    else:
        assert error.keys() == {"message", "type", "param", "code"}
        assert answer.headers["x-request-id"]
    return error


# --- what is stored ----------------------------------------------------------------------------------------


async def test_an_uploaded_file_is_the_same_file_on_both_surfaces(client):
    shown = await uploaded(client, ANTHROPIC, name="report.pdf", kind="application/pdf")
    uuid = shown["id"].removeprefix("file_")
    assert (
        shown.items()
        >= {
            "type": "file",
            "filename": "report.pdf",
            "mime_type": "application/pdf",
            "size_bytes": len(BYTES),
            "size": len(BYTES),
            "downloadable": True,
            "expires_at": None,
        }.items()
    )
    assert (await client.get(f"{ANTHROPIC}/file_{uuid}")).json() == shown
    for base in OPENAI_BASES:
        [listed] = (await client.get(f"{base}/files")).json()["data"]
        assert listed == (await client.get(f"{base}/files/file-{uuid}")).json()
        assert (
            listed.items()
            >= {
                "id": f"file-{uuid}",
                "object": "file",
                "bytes": len(BYTES),
                "filename": "report.pdf",
                "purpose": "user_data",
                "status": "processed",
                "expires_at": None,
            }.items()
        )
        assert (await client.get(f"{base}/files/file_{uuid}/content")).content == BYTES


@pytest.mark.parametrize("path", [ANTHROPIC, *(f"{base}/files" for base in OPENAI_BASES)])
async def test_content_is_sent_as_an_attachment_of_its_own_type_and_length(client, path):
    shown = await uploaded(client, path, name='a "b" é.html', kind="text/html")
    answer = await client.get(f"{path}/{shown['id']}/content", headers={"accept": "application/binary"})
    assert (answer.status_code, answer.content) == (200, BYTES)
    assert answer.headers["content-type"] == "text/html"
    assert answer.headers["content-length"] == str(len(BYTES))
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["accept-ranges"] == "bytes"
    disposition = "attachment; filename=\"a _b_ _.html\"; filename*=UTF-8''a%20%22b%22%20%C3%A9.html"
    assert answer.headers["content-disposition"] == disposition
    assert answer.headers["request-id" if path == ANTHROPIC else "x-request-id"]


async def test_a_large_and_an_empty_file_come_back_byte_for_byte(client):
    large = bytes(range(251)) * 20_000
    for content in (large, b""):
        shown = await uploaded(client, content=content)
        assert shown["bytes"] == len(content)
        assert (await client.get(f"{OPENAI}/{shown['id']}/content")).content == content


@pytest.mark.parametrize("parts", [(PURPOSE, FILE), (FILE, PURPOSE)], ids=["file last", "file first"])
@pytest.mark.parametrize("step", [1, 7, 10_000])
async def test_parts_may_come_in_any_order_and_in_any_pieces(client, parts, step):
    body = form(part("provider", b"openai"), *parts)

    async def pieces():
        for at in range(0, len(body), step):
            yield body[at : at + step]

    answer = await client.post(OPENAI, content=pieces(), headers=FORM)
    assert answer.status_code == 200, answer.text
    assert (await client.get(f"{OPENAI}/{answer.json()['id']}/content")).content == b"content"


@pytest.mark.parametrize(
    ("path", "fields", "kept_s"),
    [
        (ANTHROPIC, {}, None),
        (ANTHROPIC, {"expires_in_seconds": "3600"}, 3600),
        (ANTHROPIC, {"expires_in_seconds": str(90 * DAY_S)}, 90 * DAY_S),
        (OPENAI, {}, None),
        (OPENAI, {"expires_after[anchor]": "created_at", "expires_after[seconds]": "7200"}, 7200),
        (OPENAI, {"purpose": "batch"}, 30 * DAY_S),
        (OPENAI, {"purpose": "batch", "expires_after[seconds]": "3600"}, 3600),
    ],
    ids=str,
)
async def test_a_file_is_kept_as_long_as_asked(client, store, path, fields, kept_s):
    shown = await uploaded(client, path, **fields)
    [key] = await store.call("KEYS", "hermod:file:*")
    left_ms = await store.call("PTTL", key)
    if kept_s is None:
        assert (shown["expires_at"], left_ms) == (None, -1)
        return
    assert 0 <= kept_s * 1000 - left_ms < 30_000
    if path == OPENAI:
        assert shown["expires_at"] - shown["created_at"] == kept_s
    else:
        assert shown["expires_at"] > shown["created_at"]
    await store.call("DEL", key)  # as its expiry does
    refused(await client.get(f"{path}/{shown['id']}"), 404)
    assert (await client.get(path)).json()["data"] == []


# --- ranges ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-9", 0, 10),
        ("bytes=100-", 100, 2560),
        ("bytes=-5", 2555, 2560),
        ("BYTES = 2559-99999", 2559, 2560),
        ("bytes=-99999", 0, 2560),
    ],
)
@BOTH
async def test_a_range_of_the_content_can_be_read(client, path, asked, start, end):
    shown = await uploaded(client, path)
    answer = await client.get(f"{path}/{shown['id']}/content", headers={"range": asked})
    assert (answer.status_code, answer.content) == (206, BYTES[start:end])
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/2560"
    assert answer.headers["content-length"] == str(end - start)


@pytest.mark.parametrize("asked", ["bytes=", "bytes=-", "bytes=a-b", "bytes=9-3", "lines=1-2", "bytes=0-1,4-5", "x"])
async def test_a_range_that_cannot_be_read_is_as_if_it_were_not_there(client, asked):
    shown = await uploaded(client)
    answer = await client.get(f"{OPENAI}/{shown['id']}/content", headers={"range": asked})
    assert (answer.status_code, answer.content) == (200, BYTES)


@pytest.mark.parametrize(
    ("size", "asked"), [(2560, "bytes=2560-"), (2560, "bytes=-0"), (0, "bytes=0-"), (0, "bytes=-1")]
)
@BOTH
async def test_a_range_beyond_the_end_is_refused_with_the_size(client, path, size, asked):
    shown = await uploaded(client, path, content=BYTES[:size])
    answer = await client.get(f"{path}/{shown['id']}/content", headers={"range": asked})
    refused(answer, 416, "Range")
    assert answer.headers["content-range"] == f"bytes */{size}"


# --- what is refused ---------------------------------------------------------------------------------------

WRONG_FORMS: list[tuple[bytes, str]] = [
    (b"", "multipart"),
    (b"no form at all", "multipart"),
    (form(), "file"),
    (form(PURPOSE), "file"),
    (form(PURPOSE, FILE, FILE), "file"),
    (form(PURPOSE, PURPOSE, FILE), "purpose"),
    (form(part("purpose", b"\xff"), FILE), "purpose"),
    (form(part("purpose", b"x" * 70_000), FILE), "purpose"),
    (form(FILE, part("purpose", b"x" * 70_000)), "purpose"),
    (PURPOSE + FILE, "file"),
    (PURPOSE + FILE[:-4], "file"),
    (PURPOSE + FILE + f"--{EDGE}".encode(), "file"),
    (form(PURPOSE, part("file", b"x", b'; filename="' + b"n" * 9000 + b'"')), "multipart"),
    (form(PURPOSE, b"--" + EDGE.encode() + b"\r\n\r\nx\r\n", FILE), "multipart"),
    (form(*(part(f"f{number}") for number in range(101)), FILE), "multipart"),
]


@pytest.mark.parametrize(("body", "names"), WRONG_FORMS, ids=[str(number) for number in range(len(WRONG_FORMS))])
@BOTH
async def test_a_form_that_is_malformed_or_cut_short_is_refused_by_its_part_and_not_kept(
    client, objects, path, body, names
):
    refused(await client.post(path, content=body, headers=FORM), 400, names)
    assert await nothing_is_kept(client, objects)


@BOTH
async def test_what_is_wrong_between_two_parts_is_not_blamed_on_the_first(client, path):
    body = form(PURPOSE, part("file", b"x", b'; filename="' + b"n" * 9000 + b'"'))
    error = refused(await client.post(path, content=body, headers=FORM), 400, "header length")
    assert "purpose" not in error["message"]


WRONG_FIELDS = [
    (OPENAI, "purpose", None),
    (OPENAI, "purpose", "batch_output"),
    (OPENAI, "purpose", ""),
    (ANTHROPIC, "purpose", "no such"),
    *((ANTHROPIC, "expires_in_seconds", value) for value in ("3599", "7776001", "-1", "1e4", "", "9" * 30)),
    *((OPENAI, "expires_after[seconds]", value) for value in ("3599", "2592001", "x")),
    (OPENAI, "expires_after[anchor]", "last_used_at"),
    (OPENAI, "expires_after[anchor]", "created_at"),
]


@pytest.mark.parametrize(("path", "name", "value"), WRONG_FIELDS, ids=str)
@pytest.mark.parametrize("order", ["before", "after"])
async def test_a_wrong_field_is_refused_by_name_wherever_it_stands_and_nothing_is_kept(
    client, objects, path, name, value, order
):
    fields = [part(name, value.encode())] if value is not None else []
    if path == OPENAI and name != "purpose":
        fields.append(PURPOSE)
    body = form(*fields, FILE) if order == "before" else form(FILE, *fields)
    refused(await client.post(path, content=body, headers=FORM), 400, "seconds" if value == "created_at" else name)
    assert await nothing_is_kept(client, objects)


@pytest.mark.parametrize("kind", [None, "application/json", "multipart/form-data", "multipart/mixed; boundary=x"])
@BOTH
async def test_another_content_type_is_refused(client, path, kind):
    headers = {"content-type": kind} if kind else {}
    refused(await client.post(path, content=form(PURPOSE, FILE), headers=headers), 400, "content-type")


BATCH = part("purpose", b"batch")
LIMITED = [
    (ANTHROPIC, lambda file: (file,)),
    (OPENAI, lambda file: (PURPOSE, file)),
    (OPENAI, lambda file: (file, PURPOSE)),
    (OPENAI, lambda file: (BATCH, file)),
    (OPENAI, lambda file: (file, BATCH)),
]


@pytest.fixture(scope="module")
def small_url(server, objects) -> Iterator[str]:
    """Of an API whose operator lets files have a MiB."""
    with serving(server.url, objects, max_file_mb=1) as served:
        yield served


@pytest.mark.parametrize(("path", "parts"), LIMITED, ids=range(len(LIMITED)))
async def test_a_file_over_its_limit_is_refused_and_one_at_the_limit_is_not(client, small_url, objects, path, parts):
    most, over = (form(*parts(part("file", b"x" * size, NAMED))) for size in (MIB, MIB + 1))
    refused(await client.post(small_url + path, content=over, headers=FORM), 413, "file")
    assert await nothing_is_kept(client, objects)
    answer = await client.post(small_url + path, content=most, headers=FORM)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("declared", [True, False])
async def test_no_more_of_a_body_is_kept_than_the_limit_and_a_megabyte(client, small_url, objects, declared):
    sent = 0

    async def endless():
        nonlocal sent
        while sent < 64 << 20:
            sent += 65_536
            yield b"-" * 65_536

    if declared:
        answer = await client.post(small_url + OPENAI, content=b"-" * (3 * MIB), headers=FORM)
    else:
        answer = await client.post(small_url + OPENAI, content=endless(), headers=FORM)
    refused(answer, 413, "file")
    assert await nothing_is_kept(client, objects)


@pytest.mark.parametrize(
    ("method", "path"), [("POST", ""), ("GET", ""), ("GET", "/x"), ("DELETE", "/x"), ("GET", "/x/content")]
)
@pytest.mark.parametrize("base", [ANTHROPIC, OPENAI])
@pytest.mark.parametrize("header", ["x-bf-async", "x-bf-async-id"])
async def test_no_route_has_an_async_form(client, base, method, path, header):
    refused(await client.request(method, base + path, headers={header: "true"}), 400, header)


# --- uploads that do not come to their end -----------------------------------------------------------------


async def connected(client):
    return await asyncio.open_connection(client.base_url.host, client.base_url.port)


async def begin_upload(client, path=OPENAI, sent=5 << 20):
    """A connection on which `sent` of 100 MB of a file have been sent."""
    reader, writer = await connected(client)
    head = (
        f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 100000000\r\ncontent-type: {FORM['content-type']}\r\n\r\n"
    )
    writer.write(head.encode() + PURPOSE + part("file", b"y" * sent, b'; filename="a.txt"')[:-2])
    await writer.drain()
    return reader, writer


@BOTH
async def test_a_client_that_stops_sending_is_told_so_and_its_upload_is_dropped(client, objects, monkeypatch, path):
    monkeypatch.setattr(forms, "SILENCE_S", 0.3)
    reader, writer = await begin_upload(client, path)
    answer = (await asyncio.wait_for(reader.read(), 20)).decode()  # to the end of the connection
    assert answer.startswith("HTTP/1.1 408 ")
    assert "connection: close" in answer.lower()
    assert json.loads(answer.partition("\r\n\r\n")[2])["error"]["message"]
    writer.close()
    assert await nothing_is_kept(client, objects)


async def test_an_upload_whose_client_goes_away_leaves_nothing(client, folder, objects, caplog):
    _, writer = await begin_upload(client)
    await until(lambda: any((folder / ".incoming").iterdir()))
    writer.transport.abort()
    await until(lambda: not any((folder / ".incoming").iterdir()))
    assert await nothing_is_kept(client, objects)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="reads /proc")
async def test_a_download_whose_client_goes_away_is_read_no_further(client, folder, caplog):
    shown = await uploaded(client, content=bytes(50 << 20))
    reader, writer = await connected(client)
    writer.write(f"GET {OPENAI}/{shown['id']}/content HTTP/1.1\r\nhost: x\r\n\r\n".encode())
    await reader.readexactly(100_000)
    assert is_open(folder)
    writer.transport.abort()
    await until(lambda: not is_open(folder))
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def is_open(folder) -> bool:
    """Whether this process, which is the API too, has a blob open."""
    open_now = []
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            open_now.append(link.readlink())
    return any(folder / "files" in path.parents for path in open_now)


# --- owners and deletion -----------------------------------------------------------------------------------


@BOTH
async def test_a_file_is_its_owners_alone(client, path):
    mine = (await uploaded(client, path, headers={"x-bf-vk": "sk-bf-mine"}))["id"]
    for headers in ({}, {"x-bf-vk": "sk-bf-other"}):
        for method, end in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
            told = refused(await client.request(method, f"{path}/{mine}{end}", headers=headers), 404)["message"]
            unknown = refused(await client.request(method, f"{path}/file-abc123{end}", headers=headers), 404)["message"]
            assert told.replace(mine, "file-abc123") == unknown
        assert (await client.get(path, headers=headers)).json()["data"] == []
        assert (await client.get(path, params={"ids[]": mine}, headers=headers)).json()["data"] == []
    kept = await client.get(f"{path}/{mine}/content", headers={"x-bf-vk": "sk-bf-mine"})
    assert kept.content == BYTES


@pytest.mark.parametrize(
    ("path", "said"), [(ANTHROPIC, {"type": "file_deleted"}), (OPENAI, {"object": "file", "deleted": True})]
)
async def test_a_deleted_file_is_gone_with_its_bytes(client, objects, path, said):
    shown = (await uploaded(client, path))["id"]
    answer = await client.request("DELETE", f"{path}/{shown}", headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()) == (200, {"id": shown, **said})
    assert await nothing_is_kept(client, objects)
    for method, end in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
        refused(await client.request(method, f"{path}/{shown}{end}"), 404, shown)


@BOTH
async def test_a_file_whose_bytes_are_lost_is_not_found(client, objects, path):
    shown = (await uploaded(client, path))["id"]
    [key] = objects.listed()
    objects.drop(key)
    refused(await client.get(f"{path}/{shown}/content"), 404, shown)
