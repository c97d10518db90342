import tempfile
import uuid
from pathlib import Path

import anthropic

key = f"sk-bf-{uuid.uuid4()}"
client = anthropic.Anthropic(base_url="http://localhost:8080/anthropic", api_key=key)
folder = Path(tempfile.mkdtemp())
(folder / "from a path.txt").write_bytes(b"from a path")

file = client.beta.files.upload(file=("../notes.txt", b"Gr\xc3\xbc\xc3\x9fe", "text/plain"))
assert (file.type, file.filename, file.mime_type) == ("file", "notes.txt", "text/plain"), file
assert file.size_bytes == file.size == 7, file
assert file.downloadable, file
assert file.created_at.tzinfo, file
found = client.beta.files.retrieve_metadata(file.id)
assert found == file, found

content = client.beta.files.download(file.id)
assert content.text() == "Grüße", content
assert client.beta.files.download(file.id).read() == b"Gr\xc3\xbc\xc3\x9fe"
client.beta.files.download(file.id).write_to_file(folder / "down.txt")
assert (folder / "down.txt").read_bytes() == b"Gr\xc3\xbc\xc3\x9fe"

more = [client.beta.files.upload(file=folder / "from a path.txt") for _ in range(4)]
assert {each.filename for each in more} == {"from a path.txt"}, more
made = [each.id for each in reversed([file, *more])]
first = client.beta.files.list(limit=2)
assert [each.id for each in first.data] == made[:2], first
assert [each.id for each in first] == made, "every page"
assert [each.size for each in client.beta.files.list()] == [11] * 4 + [7]

for each in client.beta.files.list(limit=2):
    gone = client.beta.files.delete(each.id)
    assert (gone.id, gone.type) == (each.id, "file_deleted"), gone
assert list(client.beta.files.list()) == []
for ask in (client.beta.files.retrieve_metadata, client.beta.files.download, client.beta.files.delete):
    try:
        ask(file.id)
    except anthropic.NotFoundError as error:
        assert error.request_id, error
    else:
        raise AssertionError(ask)
print("ok")
