import hashlib
import uuid

import openai

key = f"sk-bf-{uuid.uuid4()}"
client = openai.OpenAI(base_url="http://localhost:8080/openai", api_key=key)
whole = bytes(range(256)) * 1000
order = {"filename": "large.bin", "bytes": len(whole), "mime_type": "application/octet-stream", "purpose": "user_data"}

upload = client.uploads.create(**order)
assert (upload.object, upload.status, upload.file) == ("upload", "pending", None), upload
assert upload.expires_at == upload.created_at + 3600, upload
later, sooner = (client.uploads.parts.create(upload.id, data=data) for data in (whole[100_000:], whole[:100_000]))
assert (later.object, later.upload_id) == ("upload.part", upload.id), later
done = client.uploads.complete(upload.id, part_ids=[sooner.id, later.id], md5=hashlib.md5(whole).hexdigest())  # noqa: S324
assert done.status == "completed", done
assert (done.file.bytes, done.file.filename, done.file.status) == (len(whole), "large.bin", "processed"), done
assert client.files.content(done.file.id).content == whole

again = client.uploads.upload_file_chunked(file=whole, part_size=100_000, **order)
assert (again.status, client.files.content(again.file.id).content) == ("completed", whole), again
assert {file.id for file in client.files.list()} == {done.file.id, again.file.id}

dropped = client.uploads.create(**order)
assert client.uploads.cancel(dropped.id).status == "cancelled"
try:
    client.uploads.parts.create(dropped.id, data=b"x")
except openai.BadRequestError as error:
    assert "cancelled" in str(error), error
else:
    raise AssertionError("a part of a cancelled upload")
print("ok")
