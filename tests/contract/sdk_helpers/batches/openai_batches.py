import json
import time
import uuid

import openai

key = f"sk-bf-{uuid.uuid4()}"
client = openai.OpenAI(base_url="http://localhost:8080/openai", api_key=key, max_retries=0)
ENDPOINT = "/v1/chat/completions"


def ask(custom_id, model):
    body = {"model": model, "max_tokens": 20, "messages": [{"role": "user", "content": f"Grüße\u2028{custom_id}"}]}
    return {"custom_id": custom_id, "method": "POST", "url": ENDPOINT, "body": body}


def create(requests, **more):
    content = "\r\n".join(json.dumps(request, ensure_ascii=False) for request in requests).encode()
    file = client.files.create(file=("b.jsonl", content), purpose="batch")
    wanted = {"input_file_id": file.id, "endpoint": ENDPOINT, "completion_window": "24h"}
    return client.batches.create(**{**wanted, **more})


def ended(batch_id):
    while (batch := client.batches.retrieve(batch_id)).status not in {"completed", "failed", "expired", "cancelled"}:
        time.sleep(0.05)
    return batch


def lines(file_id):
    return [json.loads(line) for line in client.files.content(file_id).text.splitlines()] if file_id else []


def names(rows):
    return sorted(row["custom_id"] for row in rows)


mixed = [ask("a", "gpt-4o-mini"), ask("b", "anthropic/claude-haiku-5-5"), ask("c", "sim-400")]
made = create(mixed, metadata={"team": "a"})
assert (made.object, made.endpoint, made.errors, made.metadata) == ("batch", ENDPOINT, None, {"team": "a"}), made
assert made.expires_at == made.created_at + 86_400, made
done = ended(made.id)
counts = done.request_counts
assert (done.status, counts.total, counts.completed, counts.failed) == ("completed", 3, 2, 1), done
out, err = lines(done.output_file_id), lines(done.error_file_id)
assert (names(out), names(err)) == (["a", "b"], ["c"]), (out, err)
for row in out:
    assert (row["response"]["status_code"], row["error"]) == (200, None), row
    assert f"Grüße\u2028{row['custom_id']}" in row["response"]["body"]["choices"][0]["message"]["content"], row
assert err[0]["response"]["status_code"] == 400, err
assert client.files.retrieve(done.output_file_id).purpose == "batch_output"

many = [ask(f"r{at}", "sim-latency-2000") for at in range(600)]
running = create(many)
assert client.batches.cancel(running.id).status in {"cancelling", "cancelled"}
stopped = ended(running.id)
assert stopped.status == "cancelled", stopped
assert stopped.cancelled_at >= stopped.cancelling_at, stopped
assert names(lines(stopped.output_file_id) + lines(stopped.error_file_id)) == names(many)

third = create([ask("a", "gpt-4o-mini")])
ended(third.id)
newest = [third.id, running.id, made.id]
assert [each.id for each in client.batches.list()] == newest
assert [each.id for each in client.batches.list(limit=1)] == newest, "every page"

try:
    client.batches.retrieve("batch_unknown")
except openai.NotFoundError as error:
    assert error.request_id, error
else:
    raise AssertionError("a batch that does not exist")
for requests, more, param in (
    ([ask("a", "m"), ask("a", "m")], {}, "line 2.custom_id"),
    (mixed, {"endpoint": "/v1/embeddings"}, "line 1.url"),
    (mixed, {"input_file_id": "file-unknown"}, "input_file_id"),
):
    try:
        create(requests, **more)
    except openai.BadRequestError as error:
        assert error.param == param, error
    else:
        raise AssertionError(param)
assert [each.id for each in client.batches.list()] == newest
print("ok")
