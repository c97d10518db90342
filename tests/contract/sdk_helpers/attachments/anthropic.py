import base64
import uuid

import anthropic

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
key = f"sk-bf-{uuid.uuid4()}"
client = anthropic.Anthropic(base_url="http://localhost:8080/anthropic", api_key=key, max_retries=0)
upload = client.beta.files.upload


def question(*blocks):
    return {"max_tokens": 100, "messages": [{"role": "user", "content": [*blocks, {"type": "text", "text": "Hello!"}]}]}


def by_id(kind, file):
    return {"type": kind, "source": {"type": "file", "file_id": file.id}}


pdf = upload(file=("a.pdf", b"%PDF-1.7"))
text = upload(file=("a.txt", "Grüße".encode(), "text/plain"))
pixel = upload(file=("a.png", base64.b64decode(PIXEL)))
asked = question(by_id("document", pdf), by_id("document", text), by_id("image", pixel))
for model in ("claude-sim-large", "openai/gpt-sim-large"):
    message = client.beta.messages.create(model=model, betas=["files-api-2025-04-14"], **asked)
    assert message.stop_reason == "end_turn", message
    with client.messages.stream(model=model, **asked) as stream:
        assert stream.get_final_message().content[0].text == message.content[0].text, model

try:
    client.messages.create(model="claude-sim-large", **question(by_id("image", pdf)))
except anthropic.BadRequestError as error:
    assert "messages.0.content.0.source.file_id" in str(error), error
else:
    raise AssertionError("a PDF is no image")
client.beta.files.delete(pdf.id)
try:
    client.messages.create(model="claude-sim-large", **asked)
except anthropic.NotFoundError as error:
    assert "messages.0.content.0.source.file_id" in str(error), error
    assert pdf.id in str(error), error
else:
    raise AssertionError("the file is deleted")
print("ok")
