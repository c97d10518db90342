import uuid
from datetime import timedelta

import anthropic

key = f"sk-bf-{uuid.uuid4()}"
client = anthropic.Anthropic(base_url="http://localhost:8080/anthropic", api_key=key)
file = client.files.upload(file=("a.txt", b"content"), expires_in_seconds=3600)
assert file.expires_at - file.created_at == timedelta(hours=1), file
assert client.files.retrieve_metadata(file.id) == file
assert client.files.download(file.id).text() == "content"
made = [client.files.upload(file=(f"{number}.txt", b"x")).id for number in range(4)]
newest_first = [*reversed(made), file.id]
assert [each.id for each in client.files.list(limit=2)] == newest_first
assert [each.id for each in client.files.list(ids=[made[1], made[0], "file_unknown"])] == [made[1], made[0]]
assert client.files.delete(file.id).type == "file_deleted"
for wrong in (3599, 7_776_001):
    try:
        client.files.upload(file=b"x", expires_in_seconds=wrong)
    except anthropic.BadRequestError as error:
        assert "expires_in_seconds" in str(error), error
    else:
        raise AssertionError(wrong)
assert len(list(client.files.list())) == 4
print("ok")
