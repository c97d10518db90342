"""What every store of blobs promises, over memory, a folder and a real S3 server.

Over a server of one's own, which gets a bucket of its own for each test:

    HERMOD_TEST_S3=<host:port>,<access key>,<secret key>[,insecure] pytest tests/conformance/test_blobs.py -k s3

`insecure` is for one without TLS. The tests of files and batches over HTTP (tests/integration) then run over it too.
"""

import asyncio
import contextlib
import json
import os
import sys
import time
import traceback
import tracemalloc
import uuid
from pathlib import Path

import pytest
from minio import Minio

from shared.errors import StoreError
from shared.masked import SettingsError
from shared.settings import ObjectStoreSettings
from shared.stores.blobs import BlobMissing, open_blobs
from shared.stores.folder import FolderBlobs
from shared.stores.memory import MemoryBlobs
from shared.stores.s3 import PART_BYTES, S3Blobs
from tests.conformance import s3_server
from tests.contract.process import eventually

MIB = 1 << 20
STORES = ["memory", "folder", "sealed", "s3"]


@pytest.fixture(scope="session")
def s3(tmp_path_factory, request):
    server = s3_server.start(tmp_path_factory.mktemp("s3"))
    if server is None:
        pytest.skip("no S3 server: set HERMOD_TEST_S3, or have Go or moto[server]")
    plugins = request.config.pluginmanager
    with plugins.get_plugin("capturemanager").global_and_fixture_disabled():
        plugins.get_plugin("terminalreporter").write_line(f"\nS3: {server.name} at {server.endpoint}")
    yield server
    server.stop()


@pytest.fixture
def bucket(s3):
    """A name that nobody has; the bucket is removed if the test made it."""
    name = f"hermod-{uuid.uuid4().hex[:16]}"
    yield name
    client = Minio(s3.endpoint, s3.access_key, s3.secret_key, secure=s3.secure)
    if client.bucket_exists(name):
        for row in client.list_objects(name, recursive=True):
            client.remove_object(name, row.object_name)
        client.remove_bucket(name)


def in_bucket(s3, bucket, **changes):
    facts = {"access_key": s3.access_key, "secret_key": s3.secret_key, "secure": s3.secure, "endpoint": s3.endpoint}
    return open_blobs(ObjectStoreSettings(bucket=bucket, **{**facts, **changes}))


@pytest.fixture(params=STORES)
async def blobs(request, tmp_path):
    if request.param == "memory":
        store = MemoryBlobs()
    elif request.param == "folder":
        store = open_blobs(ObjectStoreSettings(path=str(tmp_path / "new" / "objects")))
    elif request.param == "sealed":
        store = open_blobs(ObjectStoreSettings(path=str(tmp_path / "new" / "objects")), [b"k" * 32]).of("me")
    else:
        store = in_bucket(request.getfixturevalue("s3"), request.getfixturevalue("bucket"))
    await store.ready()
    yield store
    await store.close()


async def chunks(*parts):
    for part in parts:
        yield part


async def pieces(count, size=MIB):
    """Different bytes in each, never all in memory."""
    for number in range(count):
        yield bytes([number % 251]) * size


async def breaks_off(error, count=20):
    async for piece in pieces(count):
        yield piece
    raise error


async def keys(store, prefix=""):
    return sorted([info.key async for info in store.list(prefix)])


@pytest.mark.parametrize(
    "data", [b"", b"x", bytes(range(256)) * 5000, b"n" * PART_BYTES, b"m" * (PART_BYTES + 1)], ids=len
)
async def test_what_was_put_is_read_back(blobs, data):
    await blobs.put("a/b.json", data, content_type="application/json")
    assert await blobs.get("a/b.json") == data
    assert await blobs.size("a/b.json") == len(data)
    read = [chunk async for chunk in blobs.read("a/b.json")]
    assert b"".join(read) == data
    assert all(0 < len(chunk) <= MIB for chunk in read)


@pytest.mark.parametrize("parts", [[], [b""], [b"a", b"", b"bc"], [b"d" * (3 * MIB), b"e"]], ids=len)
async def test_a_stream_is_its_chunks_in_order(blobs, parts):
    assert await blobs.put_stream("s", chunks(*parts)) == sum(map(len, parts))
    assert await blobs.get("s") == b"".join(parts)


RANGES = [
    (0, None),
    (0, 4),
    (3, 4),
    (3, None),
    (9, 1),
    (9, 50),
    (10, None),
    (10, 1),
    (11, 5),
    (99, None),
    (0, 0),
    (4, 0),
]


@pytest.mark.parametrize(("start", "length"), RANGES)
async def test_a_range_is_a_slice(blobs, start, length):
    data = b"0123456789"
    await blobs.put("digits", data)
    wanted = data[start:] if length is None else data[start : start + length]
    assert await blobs.get("digits", start, length) == wanted
    assert b"".join([chunk async for chunk in blobs.read("digits", start, length)]) == wanted


@pytest.mark.parametrize(("start", "length"), [(0, None), (0, 5), (7, 2)])
async def test_a_range_of_an_empty_blob_is_empty(blobs, start, length):
    await blobs.put("empty", b"")
    assert await blobs.get("empty", start, length) == b""


@pytest.mark.parametrize(("start", "length"), [(-1, None), (0, -1)])
async def test_a_range_from_the_end_is_refused(blobs, start, length):
    await blobs.put("digits", b"0123456789")
    with pytest.raises(ValueError, match="a range"):
        await blobs.get("digits", start, length)
    with pytest.raises(ValueError, match="a range"):
        await anext(blobs.read("digits", start, length))


async def test_a_range_across_chunks_is_read_in_order(blobs):
    await blobs.put_stream("long", pieces(4))
    middle = b"".join([chunk async for chunk in blobs.read("long", MIB - 1, 2 * MIB + 2)])
    assert middle == b"\0" + b"\1" * MIB + b"\2" * MIB + b"\3"


async def test_a_write_replaces_what_was_there(blobs):
    await blobs.put("k", b"a long first version")
    await blobs.put("k", b"second")
    assert await blobs.get("k") == b"second"
    await blobs.put_stream("k", chunks(b"third"))
    assert await blobs.get("k") == b"third"
    assert await keys(blobs) == ["k"]


MISSING = {
    "get": lambda store, key: store.get(key),
    "get a range": lambda store, key: store.get(key, 5, 5),
    "get nothing": lambda store, key: store.get(key, 0, 0),
    "read": lambda store, key: anext(store.read(key)),
    "size": lambda store, key: store.size(key),
}


@pytest.mark.parametrize("ask", MISSING.values(), ids=MISSING)
@pytest.mark.parametrize("key", ["absent", "here/absent", "here"])
async def test_what_is_not_there_is_missing(blobs, ask, key):
    await blobs.put("here/really", b"")
    with pytest.raises(BlobMissing) as caught:
        await ask(blobs, key)
    assert caught.value.key == key


async def test_deleting_twice_is_fine(blobs):
    await blobs.put("a/b/c", b"1")
    await blobs.put("a/d", b"2")
    for _ in range(2):
        await blobs.delete("a/b/c")
    await blobs.delete("never/was")
    assert await keys(blobs) == ["a/d"]
    with pytest.raises(BlobMissing):
        await blobs.get("a/b/c")


LISTED = ["batch-1/in", "batch-1/out/0", "batch-1/out/1", "batch-10/in", "files/x", "top"]


@pytest.mark.parametrize(
    "prefix", ["", "b", "batch-1", "batch-1/", "batch-1/o", "batch-1/out/1", "batch-1/out/1/", "t", "none/at/all"]
)
async def test_list_gives_the_keys_with_the_prefix(blobs, prefix):
    for key in LISTED:
        await blobs.put(key, key.encode())
    found = {info.key: info async for info in blobs.list(prefix)}
    assert sorted(found) == [key for key in LISTED if key.startswith(prefix)]
    for key, info in found.items():
        assert info.size == len(key)
        assert abs(info.modified_s - time.time()) < 60


async def test_list_goes_on_after_a_page(blobs):
    many = [f"p/{number:04}" for number in range(1005)]
    for begin in range(0, len(many), 50):
        await asyncio.gather(*[blobs.put(key, b"") for key in many[begin : begin + 50]])
    assert await keys(blobs, "p/") == many


BAD_KEYS = [
    "",
    "/a",
    "a/",
    "a//b",
    "..",
    "a/../b",
    "./a",
    ".hidden",
    "a/.b",
    "a b",
    "a\\b",
    "ä",
    "a\n",
    "a\0",
    "x" * 256,
]


@pytest.mark.parametrize("key", [*BAD_KEYS, "/".join(["x" * 255] * 5)], ids=lambda key: repr(key[:8]))
async def test_a_malformed_key_is_refused_everywhere(blobs, key):
    calls = [
        blobs.put(key, b""),
        blobs.put_stream(key, chunks()),
        blobs.get(key),
        anext(blobs.read(key)),
        blobs.size(key),
        blobs.delete(key),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="malformed"):
            await call
    assert await keys(blobs) == []


@pytest.mark.parametrize("prefix", ["/", "../", "a//", ".incoming/", "a/../b"])
async def test_a_malformed_prefix_is_refused(blobs, prefix):
    with pytest.raises(ValueError, match="malformed"):
        await keys(blobs, prefix)


@pytest.mark.parametrize("error", [RuntimeError("client went away"), OSError("socket broke")], ids=repr)
async def test_a_stream_that_breaks_off_leaves_nothing(blobs, error):
    await blobs.put("old", b"as it was")
    for key in ("new", "old"):
        with pytest.raises(type(error)) as caught:
            await blobs.put_stream(key, breaks_off(error))
        assert caught.value is error  # the source's own, not made into the store's
    assert await keys(blobs) == ["old"]
    assert await blobs.get("old") == b"as it was"


async def test_a_cancelled_stream_leaves_nothing(blobs):
    waits = asyncio.Event()

    async def stalls():
        async for piece in pieces(3):
            yield piece
        waits.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(blobs.put_stream("k", stalls()))
    await waits.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await keys(blobs) == []


async def test_nothing_is_seen_of_a_stream_before_its_end(blobs):
    async def looks():
        yield b"a" * (2 * MIB)
        assert await keys(blobs) == []
        yield b"b"

    await blobs.put_stream("k", looks())
    assert await keys(blobs) == ["k"]


async def test_concurrent_puts_of_different_keys_all_stay(blobs):
    many = {f"c/{number}": bytes([number]) * 100_000 for number in range(60)}
    await asyncio.gather(*[blobs.put(key, data) for key, data in many.items()])
    assert await keys(blobs, "c/") == sorted(many)
    assert await asyncio.gather(*[blobs.get(key) for key in many]) == list(many.values())


async def test_concurrent_puts_of_one_key_leave_one_of_them_whole(blobs):
    versions = [bytes([number]) * 300_000 for number in range(20)]
    streams = [blobs.put_stream("k", chunks(data[:1000], data[1000:])) for data in versions[10:]]
    await asyncio.gather(*[blobs.put("k", data) for data in versions[:10]], *streams)
    assert await blobs.get("k") in versions
    assert await keys(blobs) == ["k"]


async def test_a_put_survives_deletes_beside_it(blobs):
    """The folder must not be taken away between its making and the blob's arrival."""
    for round_number in range(20):
        neighbours = [f"r{round_number}/d/{number}" for number in range(8)]
        await asyncio.gather(*[blobs.put(key, b"") for key in neighbours])
        kept = f"r{round_number}/d/kept"
        await asyncio.gather(*[blobs.delete(key) for key in neighbours], blobs.put(kept, b"kept"))
        assert await blobs.get(kept) == b"kept"


def open_below(folder):
    """The files of this process that are open below `folder`."""
    links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    return [link for link in links if str(link.readlink()).startswith(str(folder))]


async def test_leaving_a_read_early_leaves_the_store_usable(blobs):
    await blobs.put_stream("long", pieces(5))
    for _ in range(40):
        async with contextlib.aclosing(blobs.read("long")) as stream:
            assert len(await anext(stream)) > 0
    assert await blobs.size("long") == 5 * MIB


@pytest.mark.parametrize("blobs", ["folder", "sealed"], indirect=True)
async def test_a_file_is_closed_when_a_read_is_left(blobs, tmp_path):
    await blobs.put_stream("long", pieces(5))
    async with contextlib.aclosing(blobs.read("long")) as stream:
        await anext(stream)
        assert open_below(tmp_path)
    assert not open_below(tmp_path)


@pytest.mark.parametrize("blobs", ["folder", "sealed", "s3"], indirect=True)
async def test_a_large_stream_takes_bounded_memory(blobs):
    count = 24
    tracemalloc.start()
    try:
        assert await blobs.put_stream("large", pieces(count)) == count * MIB
        written = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        size = 0
        async for chunk in blobs.read("large"):
            assert chunk[:1] == chunk[-1:] or len(chunk) < MIB
            size += len(chunk)
        read = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size == count * MIB
    assert written < 2 * PART_BYTES + 3 * MIB  # measured: two parts and a chunk
    assert read < 4 * MIB


async def test_ready_twice_is_fine(blobs):
    await blobs.put("k", b"1")
    await blobs.ready()
    assert await blobs.get("k") == b"1"


# The folder


@pytest.fixture
async def folder(tmp_path):
    store = FolderBlobs(tmp_path / "objects")
    await store.ready()
    yield tmp_path / "objects", store
    await store.close()


async def test_files_and_folders_are_the_owners_alone(folder):
    root, store = folder
    before = os.umask(0)
    try:
        await store.put("a/b/c", b"1")
        await store.put_stream("a/b/d", chunks(b"2"))
    finally:
        os.umask(before)
    modes = {path.relative_to(root).as_posix(): path.stat().st_mode & 0o777 for path in root.rglob("*")}
    assert modes == {".incoming": 0o700, "a": 0o700, "a/b": 0o700, "a/b/c": 0o600, "a/b/d": 0o600}
    assert root.stat().st_mode & 0o777 == 0o700


async def test_no_file_or_folder_stays_behind(folder):
    root, store = folder
    await store.put("a/b/c", b"1")
    with pytest.raises(RuntimeError):
        await store.put_stream("a/b/d", breaks_off(RuntimeError("gone"), 2))
    await store.delete("a/b/c")
    assert [path.name for path in root.rglob("*")] == [".incoming"]


async def test_what_a_killed_writer_has_left_is_forgotten_once_it_is_old(folder):
    root, store = folder
    await store.put("kept", b"whole")
    async with writing(path=str(root)) as process:
        await until(lambda: list((root / ".incoming").iterdir()))
        process.kill()
    assert await store.forget_unfinished(time.time() - 60) == 0, "another may still be at it"
    assert len(list((root / ".incoming").iterdir())) == 1
    assert await store.forget_unfinished(time.time() + 60) == 1
    assert list((root / ".incoming").iterdir()) == []
    assert await keys(store) == ["kept"]


async def test_a_folder_that_cannot_be_made_is_a_store_error(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    store = FolderBlobs(tmp_path / "file" / "objects")
    for call in (store.ready(), store.put("k", b""), store.put_stream("k", chunks(b"x"))):
        with pytest.raises(StoreError) as caught:
            await call
        assert isinstance(caught.value.__cause__, OSError)
    await store.close()


# S3


async def test_ready_makes_the_bucket_that_several_processes_miss(s3, bucket):
    stores = [in_bucket(s3, bucket) for _ in range(4)]
    with pytest.raises(StoreError, match="NoSuchBucket"):
        await stores[0].put("k", b"")
    await asyncio.gather(*[store.ready() for store in stores])
    await stores[0].put("k", b"1")
    assert await stores[3].get("k") == b"1"
    await asyncio.gather(*[store.close() for store in stores])


async def test_only_a_bucket_that_we_make_gets_rules_and_a_server_without_them_does(tmp_path, caplog):
    server = s3_server.start_moto(tmp_path)
    if server is None:
        pytest.skip("moto's server is not installed")
    try:
        client = Minio(server.endpoint, server.access_key, server.secret_key, secure=server.secure)
        client.make_bucket("theirs")
        for bucket in ("ours", "theirs"):
            store = in_bucket(server, bucket)
            await store.ready()
            await store.close()
        [rule] = client.get_bucket_lifecycle("ours").rules
        assert rule.abort_incomplete_multipart_upload.days_after_initiation == 2
        assert client.get_bucket_lifecycle("theirs") is None
        assert not caplog.records
    finally:
        server.stop()


async def test_the_content_type_is_kept(s3, bucket):
    store = in_bucket(s3, bucket)
    await store.ready()
    await store.put("put", b"{}", content_type="application/json")
    await store.put_stream("stream", pieces(9), content_type="application/jsonl")
    client = Minio(s3.endpoint, s3.access_key, s3.secret_key, secure=s3.secure)
    assert client.stat_object(bucket, "put").content_type == "application/json"
    assert client.stat_object(bucket, "stream").content_type == "application/jsonl"
    await store.close()


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"access_key": "wrong-access-key"}, "access_key"),
        ({"secret_key": "wrong-secret-key"}, "secret_key"),
        ({"region": "nowhere-1"}, "region"),
    ],
    ids=["access", "secret", "region"],
)
async def test_a_refusal_names_the_setting_and_no_credential(s3, bucket, wrong, named):
    if s3.name != "versitygw":
        pytest.skip("moto refuses nobody, and which code others refuse with differs")
    store = in_bucket(s3, bucket, **wrong)
    with pytest.raises(StoreError, match=f"check object_store.{named}") as caught:
        await store.ready()
    shown = "".join(traceback.format_exception(caught.value))
    assert not [
        value for value in (s3.access_key, s3.secret_key, "wrong-access-key", "wrong-secret-key") if value in shown
    ]
    await store.close()


def calls(store):
    return {
        "ready": store.ready(),
        "put": store.put("k", b"1"),
        "put_stream": store.put_stream("k", pieces(9)),
        "get": store.get("k"),
        "read": anext(store.read("k")),
        "size": store.size("k"),
        "delete": store.delete("k"),
        "list": keys(store),
    }


async def test_a_server_that_is_not_there_is_a_store_error_within_seconds():
    async with peer(lambda _reader, _writer: None) as endpoint:
        pass  # nobody listens there now
    store = S3Blobs(endpoint, "bucket", access_key="an-access-key", secret_key="a-secret-key", secure=False)
    began = time.monotonic()
    outcomes = await asyncio.gather(*calls(store).values(), return_exceptions=True)
    assert time.monotonic() - began < 10
    for outcome in outcomes:
        assert isinstance(outcome, StoreError), repr(outcome)
        assert outcome.__cause__ is not None
        assert "a-secret-key" not in "".join(traceback.format_exception(outcome))
    await store.close()


async def test_a_server_that_says_nothing_is_not_ready_within_seconds():
    async def silent(reader, _writer):
        await reader.read()

    async with peer(silent) as endpoint:
        store = S3Blobs(endpoint, "bucket", access_key="a", secret_key="b", secure=False)
        began = time.monotonic()
        with pytest.raises(StoreError, match="does not answer"):
            await store.ready()
        assert time.monotonic() - began < 10
    await store.close()


async def test_an_answer_that_is_not_s3_is_a_store_error():
    async def web_server(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\nconnection: close\r\n\r\n<html>"
        )
        await writer.drain()
        writer.close()

    async with peer(web_server) as endpoint:
        store = S3Blobs(endpoint, "bucket", access_key="a", secret_key="b", secure=False)
        with pytest.raises(StoreError, match="is not S3"):
            await store.ready()
        await store.close()


async def test_a_connection_that_breaks_during_an_upload_leaves_nothing(s3, bucket):
    if s3.secure:
        pytest.skip("the relay does not speak TLS")
    direct = in_bucket(s3, bucket)
    await direct.ready()
    await direct.put("old", b"as it was")
    async with peer(relay(s3.endpoint, allowed=12 * MIB)) as endpoint:
        broken = in_bucket(s3, bucket, endpoint=endpoint)
        for key in ("new", "old"):
            with pytest.raises(StoreError):
                await broken.put_stream(key, pieces(24))
        await broken.close()
    assert await keys(direct) == ["old"]
    assert await direct.get("old") == b"as it was"
    await direct.close()


async def test_a_multipart_upload_of_a_killed_writer_is_forgotten_once_it_is_old(s3, bucket):
    if s3.secure:
        pytest.skip("the relay does not speak TLS")
    store = in_bucket(s3, bucket)
    await store.ready()
    await store.put("kept", b"x" * (2 * PART_BYTES))
    client = Minio(s3.endpoint, s3.access_key, s3.secret_key, secure=s3.secure)
    unfinished = lambda: client._list_multipart_uploads(bucket).uploads  # noqa: E731 - a question
    async with peer(relay(s3.endpoint, allowed=2 * PART_BYTES, breaks=False)) as endpoint:
        place = {"endpoint": endpoint, "bucket": bucket, "secure": False}
        async with writing(**place, access_key=s3.access_key, secret_key=s3.secret_key) as process:
            await until(unfinished)
            process.kill()
    assert await store.forget_unfinished(time.time() - 60) == 0, "another may still be at it"
    assert [upload.object_name for upload in unfinished()] == ["half"]
    assert await store.forget_unfinished(time.time() + 60) == 1
    assert not unfinished()
    assert await keys(store) == ["kept"]
    await store.close()


async def test_a_connection_that_breaks_during_a_download_is_not_a_short_blob(s3, bucket):
    if s3.secure:
        pytest.skip("the relay does not speak TLS")
    direct = in_bucket(s3, bucket)
    await direct.ready()
    await direct.put("k", b"x" * (6 * MIB))
    async with peer(relay(s3.endpoint, allowed=3 * MIB)) as endpoint:
        broken = in_bucket(s3, bucket, endpoint=endpoint)
        with pytest.raises(StoreError):
            await broken.get("k")
        with pytest.raises(StoreError):
            _ = [chunk async for chunk in broken.read("k")]
        await broken.close()
    await direct.close()


@contextlib.asynccontextmanager
async def peer(serve):
    """A TCP server on a port of its own; every connection ends with it."""
    tasks = set()

    async def accept(reader, writer):
        tasks.add(asyncio.current_task())
        try:
            if (served := serve(reader, writer)) is not None:
                await served
        except (asyncio.CancelledError, OSError):
            pass  # the end of the test, or of the connection
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)


WRITER = """
import asyncio, json, sys
from shared.settings import ObjectStoreSettings
from shared.stores.blobs import open_blobs

async def pieces(whole):
    for _ in range(20):
        yield bytes(1 << 20)
    if not whole:
        await asyncio.Event().wait()

settings = ObjectStoreSettings(**json.loads(sys.argv[1]))
asyncio.run(open_blobs(settings).put_stream("half", pieces(bool(settings.endpoint))))
"""
"""A stream of 20 MiB under the key `half`; that into a folder never ends."""


@contextlib.asynccontextmanager
async def writing(**settings):
    """A process of its own at WRITER."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-P", "-c", WRITER, json.dumps(settings))
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def until(found):
    await asyncio.to_thread(eventually, found, 20, "nothing is being written")


def relay(endpoint, allowed, *, breaks=True):
    """Passes bytes on, in both directions, until `allowed` have passed in all; then connections break, or hang."""
    host, port = endpoint.split(":")
    passed = 0

    async def copy(reader, writer):
        nonlocal passed
        while data := await reader.read(65536):
            passed += len(data)
            if passed > allowed:
                if not breaks:
                    await asyncio.Event().wait()
                return
            writer.write(data)
            await writer.drain()

    async def serve(reader, writer):
        upstream_reader, upstream_writer = await asyncio.open_connection(host, int(port))
        copies = [
            asyncio.create_task(copy(reader, upstream_writer)),
            asyncio.create_task(copy(upstream_reader, writer)),
        ]
        try:
            await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in copies:
                task.cancel()
            await asyncio.gather(*copies, return_exceptions=True)
            upstream_writer.transport.abort()

    return serve


def test_a_store_must_be_named():
    with pytest.raises(SettingsError, match="path or an endpoint"):
        open_blobs(ObjectStoreSettings())
