import base64
import uuid

import openai

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
key = f"sk-bf-{uuid.uuid4()}"
client = openai.OpenAI(base_url="http://localhost:8080/openai", api_key=key, max_retries=0)


def upload(name, data):
    return client.files.create(file=(name, data), purpose="user_data")


pdf, text = upload("a.pdf", b"%PDF-1.7"), upload("a.txt", "Grüße".encode())
pixel = upload("a.png", base64.b64decode(PIXEL))
parts = [{"type": "file", "file": {"file_id": file.id}} for file in (pdf, text)]
messages = [{"role": "user", "content": [*parts, {"type": "text", "text": "Hello!"}]}]
inputs = [{"type": "input_file", "file_id": file.id} for file in (pdf, text)]
inputs += [{"type": "input_image", "file_id": pixel.id, "detail": "auto"}, {"type": "input_text", "text": "Hello!"}]
items = [{"role": "user", "content": inputs}]
for model in ("gpt-sim-large", "anthropic/claude-sim-large"):
    completion = client.chat.completions.create(model=model, messages=messages)
    assert completion.choices[0].finish_reason == "stop", completion
    chunks = list(client.chat.completions.create(model=model, messages=messages, stream=True))
    assert chunks[-1].choices[0].finish_reason == "stop", chunks
    first = client.responses.create(model=model, input=items)
    assert first.status == "completed", first
    second = client.responses.create(model=model, input="And now?", previous_response_id=first.id)
    assert second.status == "completed", second

client.files.delete(pdf.id)
model = "gpt-sim-large"
for ask, path in (
    (lambda: client.chat.completions.create(model=model, messages=messages), "messages[0].content[0].file.file_id"),
    (lambda: client.responses.create(model=model, input=items), "input[0].content[0].file_id"),
    (
        lambda: client.responses.create(model=model, input="And now?", previous_response_id=first.id),
        "input[0].content[0].file_id",
    ),
):
    try:
        ask()
    except openai.NotFoundError as error:
        assert (error.param, error.code) == (path, "file_not_found"), error
        assert pdf.id in str(error), error
    else:
        raise AssertionError(path)
print("ok")
