"""Uploads in parts: put together byte for byte and once, checked, cancelled, and refused when something is wrong."""

import asyncio
import hashlib
import json

import pytest

from api import upload_store
from api.file_store import FileStore
from api.upload_store import UploadStore
from shared.errors import InvalidRequest
from shared.files import Files
from shared.ids import uuid_of
from shared.stores.folder import FolderBlobs
from shared.uploads import Uploads
from tests.integration.conftest import until
from tests.integration.test_files import (
    OPENAI,
    OPENAI_BASES,
    client,
    folder,
    form,
    objects,
    part,
    refused,
    small_url,
    url,
)

__all__ = ["client", "folder", "objects", "small_url", "url"]  # fixtures

PARTS = [b"first " * 1000, b"second", b"!"]
WHOLE = b"".join(PARTS)
UNKNOWN = "upload_" + "0" * 32


def order(**changes) -> dict:
    usual = {"filename": "dir/large.jsonl", "purpose": "user_data", "bytes": len(WHOLE), "mime_type": "text/jsonl"}
    return {name: value for name, value in {**usual, **changes}.items() if value is not None}


async def begun(client, base="/openai", **changes) -> str:
    answer = await client.post(f"{base}/uploads", json=order(**changes))
    assert answer.status_code == 200, answer.text
    return answer.json()["id"]


async def add(client, upload, data: bytes, base="/openai", headers=None):
    files = {"data": ("part", data)}
    return await client.post(f"{base}/uploads/{upload}/parts", files=files, headers=headers or {})


async def filled(client, upload, base="/openai", parts=PARTS) -> list[str]:
    answers = [await add(client, upload, data, base) for data in parts]
    assert {answer.status_code for answer in answers} == {200}, answers
    return [answer.json()["id"] for answer in answers]


async def complete(client, upload, parts, base="/openai", **more):
    return await client.post(f"{base}/uploads/{upload}/complete", json={"part_ids": parts, **more})


@pytest.mark.parametrize("base", OPENAI_BASES)
async def test_parts_are_put_together_in_the_order_that_completing_names(client, objects, base):
    created = (await client.post(f"{base}/uploads", json=order())).json()
    assert (
        created.items()
        >= {
            "object": "upload",
            "bytes": len(WHOLE),
            "filename": "large.jsonl",
            "purpose": "user_data",
            "status": "pending",
            "file": None,
        }.items()
    )
    assert created["expires_at"] - created["created_at"] == 3600
    upload = created["id"]
    assert upload.startswith("upload_")
    last, first, middle = await filled(client, upload, base, [PARTS[2], PARTS[0], PARTS[1]])
    assert len(objects.listed()) == 3
    answer = await complete(client, upload, [first, middle, last], base, md5=hashlib.md5(WHOLE).hexdigest().upper())  # noqa: S324 - the API's
    assert answer.status_code == 200, answer.text
    done = answer.json()
    assert done == {**created, "status": "completed", "file": done["file"]}
    assert done["file"] == (await client.get(f"{base}/files/{done['file']['id']}")).json()
    content = await client.get(f"{base}/files/{done['file']['id']}/content")
    assert (content.content, content.headers["content-type"]) == (WHOLE, "text/jsonl")
    assert [path.split("/")[0] for path in objects.listed()] == ["files"], "the parts are dropped"


async def test_a_part_says_what_it_is_part_of(client):
    upload = await begun(client)
    shown = (await add(client, upload, b"x")).json()
    assert shown["id"].startswith("part_")
    assert (shown["object"], shown["upload_id"]) == ("upload.part", upload)
    assert isinstance(shown["created_at"], int)


async def test_completing_again_is_the_same_answer_and_the_same_file(client):
    upload = await begun(client)
    parts = await filled(client, upload)
    first, second = await asyncio.gather(*(complete(client, upload, parts) for _ in range(2)))
    answers = [answer.json() for answer in (first, second) if answer.status_code == 200]
    assert answers
    assert {answer.status_code for answer in (first, second)} <= {200, 409}  # upon which the SDKs ask again
    again = (await complete(client, upload, parts)).json()
    assert again["file"]["id"] == answers[0]["file"]["id"]
    assert len((await client.get(OPENAI)).json()["data"]) == 1
    await client.delete(f"{OPENAI}/{again['file']['id']}")
    assert (await complete(client, upload, parts)).json()["file"] is None


async def test_a_file_expires_as_its_upload_asked(client):
    for asked, kept_s in (
        ({"purpose": "batch"}, 30 * 86_400),
        ({"expires_after": {"anchor": "created_at", "seconds": 3600}}, 3600),
    ):
        upload = await begun(client, **asked)
        file = (await complete(client, upload, await filled(client, upload))).json()["file"]
        assert file["expires_at"] - file["created_at"] == kept_s


async def test_a_cancelled_upload_is_dropped_and_takes_nothing_more(client, objects):
    upload = await begun(client)
    parts = await filled(client, upload)
    for _ in range(2):
        answer = await client.post(f"/openai/uploads/{upload}/cancel", headers={"content-type": "application/json"})
        assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    refused(await add(client, upload, b"x"), 400, "cancelled")
    refused(await complete(client, upload, parts), 400, "cancelled")
    assert objects.listed() == []


async def test_a_completed_upload_can_neither_be_added_to_nor_cancelled(client):
    upload = await begun(client)
    await complete(client, upload, await filled(client, upload))
    refused(await add(client, upload, b"x"), 400, "completed")
    refused(await client.post(f"/openai/uploads/{upload}/cancel"), 400, "completed")


async def test_an_upload_that_is_cancelled_while_a_part_is_on_its_way_does_not_keep_it(client, folder, objects):
    upload = await begun(client)
    body = form(part("data", b"y" * (3 << 20), b'; filename="a"'))
    held = asyncio.Event()

    async def slowly():
        yield body[: 2 << 20]
        await held.wait()
        yield body[2 << 20 :]

    headers = {"content-type": "multipart/form-data; boundary=e7c1bd"}
    adding = asyncio.create_task(client.post(f"/openai/uploads/{upload}/parts", content=slowly(), headers=headers))
    await until(lambda: any((folder / ".incoming").iterdir()))
    assert (await client.post(f"/openai/uploads/{upload}/cancel")).status_code == 200
    held.set()
    refused(await adding, 400, "ended")
    assert objects.listed() == []


class CancelledMeanwhile(FolderBlobs):
    """Once the file has been put together, the upload has been cancelled."""

    def __init__(self, folder, records, upload):
        super().__init__(folder)
        self._cancelling = records, upload

    async def put_stream(self, key, chunks, **facts):
        size = await super().put_stream(key, chunks, **facts)
        records, upload = self._cancelling
        assert await records.end(upload, "cancelled") == "cancelled"
        return size


async def test_an_upload_that_is_cancelled_while_it_is_put_together_leaves_no_file(client, store, folder, objects):
    shown = await begun(client)
    parts = await filled(client, shown)
    records, files = Uploads(store), Files(store)
    standing = await records.find(uuid_of(shown), "anonymous", shown)
    cancelling = CancelledMeanwhile(folder, records, standing.upload)
    with pytest.raises(InvalidRequest, match="cancelled"):
        await UploadStore(records, FileStore(files, cancelling)).complete(standing, json.dumps({"part_ids": parts}))
    await cancelling.close()
    assert (await client.get(OPENAI)).json()["data"] == []
    assert objects.listed() == []


async def test_an_expired_upload_is_unknown(client, store):
    upload = await begun(client)
    [key] = await store.call("KEYS", "hermod:upload:*")
    assert 3_500_000 < await store.call("PTTL", key) <= 3_600_000
    await store.call("DEL", key)  # as its expiry does
    refused(await add(client, upload, b"x"), 404, upload)


@pytest.mark.parametrize("upload", [UNKNOWN, "upload_x", None])
async def test_an_upload_that_is_unknown_or_anothers_looks_alike(client, upload):
    shown = upload or (await client.post("/openai/uploads", json=order(), headers={"x-bf-vk": "sk-bf-a"})).json()["id"]
    answers = [await add(client, shown, b"x"), await complete(client, shown, [])]
    answers.append(await client.post(f"/openai/uploads/{shown}/cancel"))
    assert {refused(answer, 404)["message"].replace(shown, "…") for answer in answers} == {
        "No such upload '…': unknown, expired, or not yours."
    }


async def test_the_operators_limit_holds_for_uploads_in_parts_too(client, small_url):
    for size, status in ((1 << 20, 200), ((1 << 20) + 1, 400)):
        answer = await client.post(f"{small_url}/openai/uploads", json=order(bytes=size))
        assert answer.status_code == status, answer.text


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (b"", None),
        (b"[]", None),
        (order(bytes=None), "bytes"),
        (order(bytes="7"), "bytes"),
        (order(bytes=0), "bytes"),
        (order(bytes=8 * 1024**3 + 1), "bytes"),
        (order(bytes=200 * 1024**2 + 1, purpose="batch"), "bytes"),
        (order(purpose=None), "purpose"),
        (order(purpose="batch_output"), "purpose"),
        (order(filename=None), "filename"),
        (order(filename="é" * 2049), "filename"),
        (order(expires_after={"anchor": "last_used_at", "seconds": 3600}), "expires_after.anchor"),
        (order(expires_after={"anchor": "created_at", "seconds": 60}), "expires_after.seconds"),
        (order(expires_after={"anchor": "created_at"}), "expires_after.seconds"),
    ],
    ids=lambda given: str(given)[:60],
)
async def test_a_wrong_order_is_refused_with_the_path_of_the_field(client, body, names):
    sent = {"content": body} if isinstance(body, bytes) else {"json": body}
    assert refused(await client.post("/openai/uploads", **sent), 400)["param"] == names


async def test_what_does_not_add_up_is_refused_and_can_be_put_right(client, objects):
    upload = await begun(client)
    parts = await filled(client, upload)
    for sent, names in (
        ({"part_ids": parts[:2]}, "part_ids"),
        ({"part_ids": []}, "part_ids"),
        ({"part_ids": [*parts[:2], "part_unknown"]}, "part_ids.2"),
        ({"part_ids": "x"}, "part_ids"),
        ({}, "part_ids"),
        ({"part_ids": parts, "md5": "0" * 32}, "md5"),
        ({"part_ids": parts, "md5": 5}, "md5"),
    ):
        answer = await client.post(f"/openai/uploads/{upload}/complete", json=sent)
        assert refused(answer, 400, names)["param"] == names
    assert {path.split("/")[0] for path in objects.listed()} == {"uploads"}
    assert (await complete(client, upload, parts)).json()["status"] == "completed"


async def test_a_wrong_part_is_refused_and_not_kept(client, objects, monkeypatch):
    upload = await begun(client)
    monkeypatch.setattr(upload_store, "PART_BYTES", 100)
    refused(await add(client, upload, b"x" * 101), 413, "data")
    assert (await add(client, upload, b"x" * 100)).status_code == 200
    kept = objects.listed()
    headers = {"content-type": "multipart/form-data; boundary=e7c1bd"}
    wrong = await client.post(f"/openai/uploads/{upload}/parts", content=form(part("file")), headers=headers)
    refused(wrong, 400, "data")
    assert objects.listed() == kept


async def test_no_route_has_an_async_form(client):
    for path in ("", "/x/parts", "/x/complete", "/x/cancel"):
        refused(await client.post(f"/openai/uploads{path}", headers={"x-bf-async": "true"}), 400, "x-bf-async")
