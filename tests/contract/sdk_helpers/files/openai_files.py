import tempfile
import uuid
import warnings
from pathlib import Path

import openai

key = f"sk-bf-{uuid.uuid4()}"
client = openai.OpenAI(base_url="http://localhost:8080/openai", api_key=key)
folder = Path(tempfile.mkdtemp())
(folder / "lines.jsonl").write_bytes(b'{"a": 1}\n')

file = client.files.create(file=folder / "lines.jsonl", purpose="batch")
assert (file.object, file.filename, file.purpose, file.bytes) == ("file", "lines.jsonl", "batch", 9), file
assert file.status == "processed", file
assert file.expires_at == file.created_at + 30 * 86_400, file
assert client.files.retrieve(file.id) == file
assert client.files.wait_for_processing(file.id) == file

content = client.files.content(file.id)
assert content.text == '{"a": 1}\n', content
assert content.read() == content.content == b'{"a": 1}\n'
client.files.content(file.id).write_to_file(folder / "down.jsonl")
assert (folder / "down.jsonl").read_bytes() == b'{"a": 1}\n'
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    assert client.files.retrieve_content(file.id) == '{"a": 1}\n'
part = client.files.content(file.id, extra_headers={"range": "bytes=1-3"})
assert (part.response.status_code, part.content) == (206, b'"a"'), part

expires = {"anchor": "created_at", "seconds": 3600}
more = [client.files.create(file=b"x", purpose="user_data", expires_after=expires) for _ in range(4)]
assert {each.expires_at - each.created_at for each in more} == {3600}, more
made = [each.id for each in reversed([file, *more])]
assert [each.id for each in client.files.list()] == made
assert [each.id for each in client.files.list(limit=2)] == made, "every page"
assert [each.id for each in client.files.list(order="asc", limit=3)] == made[::-1]
assert [each.id for each in client.files.list(purpose="batch")] == [file.id]

for each in client.files.list(limit=2):
    gone = client.files.delete(each.id)
    assert (gone.id, gone.object, gone.deleted) == (each.id, "file", True), gone
assert list(client.files.list()) == []
for ask in (client.files.retrieve, client.files.content, client.files.delete):
    try:
        ask(file.id)
    except openai.NotFoundError as error:
        assert error.request_id, error
        assert error.code == "file_not_found", error
    else:
        raise AssertionError(ask)
try:
    client.files.create(file=b"x", purpose="unheard-of")
except openai.BadRequestError as error:
    assert error.param == "purpose", error
else:
    raise AssertionError("a purpose that does not exist")
print("ok")
