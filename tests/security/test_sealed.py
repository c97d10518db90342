"""Blobs under a key: what is stored tells nothing, and what was touched is refused."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import AsyncIterator

import pytest

from shared.config_file import load
from shared.errors import GatewayError
from shared.masked import SettingsError
from shared.sealing import open_seal
from shared.stores.blobs import BlobMissing, open_blobs
from shared.stores.envelopes import Envelopes, MasterKeys
from shared.stores.folder import FolderBlobs
from shared.stores.memory import MemoryBlobs
from shared.stores.sealed import FRAME_BYTES, SealedBlobs
from tests.security.place import OWNER, SECRET, running

OLD, NEW, OTHER = (bytes([number]) * 32 for number in range(3))
SIZES = [0, 1, FRAME_BYTES - 1, FRAME_BYTES, FRAME_BYTES + 1, 3 * FRAME_BYTES, 3 * FRAME_BYTES + 7]


def store(*keys: bytes, inner: MemoryBlobs | None = None, owner: str = "me") -> tuple[SealedBlobs, MemoryBlobs]:
    inner = inner or MemoryBlobs()
    return SealedBlobs(inner, MasterKeys(keys), owner), inner


async def pieces(data: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("streamed", [0, 1000, 100_000])
async def test_what_was_written_is_read_whole_and_in_ranges(size: int, streamed: int):
    sealed, inner = store(NEW)
    data = os.urandom(size)
    if streamed:
        assert await sealed.put_stream("a/b", pieces(data, streamed)) == size
    else:
        await sealed.put("a/b", data)
    assert await sealed.get("a/b") == data
    assert await sealed.size("a/b") == size
    assert [(info.key, info.size) async for info in sealed.list("a/")] == [("a/b", size)]
    for start in (0, 1, FRAME_BYTES - 1, FRAME_BYTES, 2 * FRAME_BYTES + 5, size, size + 1):
        for length in (None, 0, 1, FRAME_BYTES, FRAME_BYTES + 1, 10 * FRAME_BYTES):
            assert await sealed.get("a/b", start, length) == data[start : None if length is None else start + length]
    if size > 100:
        assert data[:50] not in await inner.get("a/b")


async def test_the_same_content_is_never_stored_alike_twice():
    sealed, inner = store(NEW)
    await sealed.put("a", b"the same")
    before = await inner.get("a")
    await sealed.put("a", b"the same")
    assert (await inner.get("a"))[16:] != before[16:]


async def test_old_keys_open_until_they_are_no_longer_listed():
    old, inner = store(OLD)
    await old.put("a", b"content")
    both, _ = store(NEW, OLD, inner=inner)
    assert await both.get("a") == b"content"
    await both.put("b", b"newer")
    new, _ = store(NEW, inner=inner)
    assert await new.get("b") == b"newer"
    with pytest.raises(GatewayError, match=r"encryption\.keys: it was encrypted with a key that is not listed"):
        await new.get("a")


@pytest.mark.parametrize("size", [10, 3 * FRAME_BYTES + 7])
async def test_whatever_is_changed_cut_or_swapped_is_refused(size: int):
    sealed, inner = store(NEW)
    data = os.urandom(size)
    await sealed.put("one", data)
    await sealed.put("two", os.urandom(size))
    kept, other = await inner.get("one"), await inner.get("two")
    frame = FRAME_BYTES + 16
    touched = {
        "another's": other,
        "another's frame": kept[:32] + other[32:],
        "another's head": other[:32] + kept[32:],
        "plain": data,
        "empty": b"",
        "the head alone": kept[:32],
        "cut": kept[:-1],
        "longer": kept + b"\0",
        "another key's": bytes(kept[:8]) + b"\0" * 8 + kept[16:],
        **{f"bit {at}": kept[:at] + bytes([kept[at] ^ 1]) + kept[at + 1 :] for at in (0, 4, 9, 20, 33, len(kept) - 1)},
    }
    if size > FRAME_BYTES:
        touched["without the last frame"] = kept[: 32 + 3 * frame]
        touched["without the first"] = kept[:32] + kept[32 + frame :]
        touched["in another order"] = (
            kept[:32] + kept[32 + frame : 32 + 2 * frame] + kept[32 : 32 + frame] + kept[32 + 2 * frame :]
        )
    for what, stored in touched.items():
        await inner.put("one", stored)
        with pytest.raises(GatewayError) as caught:
            await sealed.get("one")
        assert caught.value.code == "blob_unreadable", what
        assert caught.value.should_retry is False


@pytest.mark.parametrize("size", [0, 10, FRAME_BYTES + 7])
async def test_nobody_reads_a_blob_but_its_owner(size: int):
    whole, inner = store(NEW)
    data = os.urandom(size)
    await whole.of("me").put("a", data)
    assert await whole.of("me").get("a") == data
    for other in ("", "m", "me2", "me\0a", "anonymous"):
        with pytest.raises(GatewayError, match="changed, cut, or is another's"):
            await whole.of(other).get("a")
        with pytest.raises(GatewayError, match="changed, cut, or is another's"):
            await anext(whole.of(other).read("a"))
    assert [info.size async for info in whole.list("")] == [size], "which takes no owner"
    assert b"me" not in (await inner.get("a"))[:32], "nor is one named"


async def test_what_is_not_there_is_missing_and_not_unreadable():
    sealed, _ = store(NEW)
    with pytest.raises(BlobMissing):
        await sealed.get("a")
    await sealed.put("a", b"x")
    await sealed.delete("a")
    with pytest.raises(BlobMissing):
        await sealed.size("a")


async def test_sealing_costs_little_beside_the_disk(tmp_path):
    plain = FolderBlobs(tmp_path)
    await plain.ready()
    sealed = SealedBlobs(plain, MasterKeys([NEW]), "me")
    data = os.urandom(16 * 1024 * 1024)
    taken = {}
    for name, blobs in (("plain", plain), ("sealed", sealed)) * 6:
        began = time.perf_counter()
        await blobs.put(name, data)
        assert len(await blobs.get(name)) == len(data)
        taken[name] = min(taken.get(name, 60.0), time.perf_counter() - began)  # without what else the disk does
    await plain.close()
    print(f"16 MiB written and read: {taken['plain'] * 1000:.0f} ms plain, {taken['sealed'] * 1000:.0f} ms sealed")
    assert taken["sealed"] < taken["plain"] + 0.5


def config(*keys: str) -> dict[str, object]:
    return {"object_store": {"path": "objects"}, "encryption": {"keys": list(keys)}}


def test_keys_come_from_the_environment_and_are_shown_nowhere(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config("env.NEW_KEY", "env.OLD_KEY")))
    text = {"NEW_KEY": base64.b64encode(NEW).decode(), "OLD_KEY": base64.b64encode(OLD).decode()}
    loaded = load(str(path), text, secrets=False).settings
    keys = loaded.encryption.master_keys
    assert keys == (NEW, OLD)
    assert repr(NEW) not in repr(loaded)
    assert isinstance(open_blobs(loaded.object_store, keys), SealedBlobs)
    assert isinstance(open_seal(keys), Envelopes)


@pytest.mark.parametrize("wrong", ["short", base64.b64encode(b"k" * 31).decode(), "é", ""])
def test_a_wrong_key_stops_the_start_without_being_shown(tmp_path, wrong: str):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config(wrong)))
    with pytest.raises(SettingsError, match=r"encryption\.keys\[0\]") as caught:
        load(str(path), {}, secrets=False)
    assert not wrong or wrong not in str(caught.value)


def test_nothing_that_callers_send_lies_readable_in_the_object_store(empty, tmp_path):
    objects = tmp_path / "objects"
    key = base64.b64encode(NEW).decode()
    settings = {"path": str(objects), "inline_bytes": 0}
    with running(empty.url, tmp_path, object_store=settings, encryption={"keys": [key]}) as place:
        file, batch, job = place.file(), place.batch("anthropic"), place.job()
        place.upload()
        assert place.ask("GET", f"/v1/files/{file}/content", OWNER).content == SECRET.encode()
        assert place.ask("GET", f"/v1/files/{file}/content", OWNER, headers={"range": "bytes=5-9"}).text == SECRET[5:10]
        results = place.ask("GET", f"/anthropic/v1/messages/batches/{batch}/results", OWNER).text
        answer = place.ask("POST", "/anthropic/v1/messages", OWNER, headers={"x-bf-async-id": job}).json()
        stored = [path.read_bytes() for path in objects.rglob("*") if path.is_file()]
        assert len(stored) > 3
        assert all(content.startswith(b"HRMD\x02") for content in stored)
        assert answer["content"][0]["text"]
        assert len(results.splitlines()) == 2
        for path in [path for path in objects.rglob("*") if path.is_file()]:
            *rest, last = path.read_bytes()
            path.write_bytes(bytes([*rest, last ^ 1]))
        assert place.ask("GET", f"/v1/files/{file}/content", OWNER).status_code >= 500
        refused = place.ask("POST", "/anthropic/v1/messages", OWNER, headers={"x-bf-async-id": job})
        assert refused.status_code == 500
        assert "changed, cut, or is another's" in refused.text
