import time
import uuid

import anthropic

key = f"sk-bf-{uuid.uuid4()}"
client = anthropic.Anthropic(base_url="http://localhost:8080/anthropic", api_key=key, max_retries=0)


def ask(custom_id, model):
    content = f"Grüße\u2028{custom_id}"
    params = {"model": model, "max_tokens": 20, "messages": [{"role": "user", "content": content}]}
    return {"custom_id": custom_id, "params": params}


def ended(batches, batch_id):
    while (batch := batches.retrieve(batch_id)).processing_status != "ended":
        time.sleep(0.05)
    return batch


def raised(kind, call, *words, **more):
    try:
        call(*words, **more)
    except kind as error:
        return str(error)
    raise AssertionError(call)


for batches in (client.messages.batches, client.beta.messages.batches):
    made = batches.create(requests=[ask("a", "claude-haiku-5-5"), ask("b", "openai/gpt-4o-mini"), ask("c", "sim-400")])
    assert (made.type, made.processing_status, made.ended_at) == ("message_batch", "in_progress", None), made
    assert made.request_counts.processing == 3, made
    assert (made.expires_at - made.created_at).total_seconds() == 86_400, made
    done = ended(batches, made.id)
    assert (done.request_counts.succeeded, done.request_counts.errored) == (2, 1), done
    assert done.ended_at, done
    assert done.results_url, done
    rows = [(row.custom_id, row.result) for row in batches.results(made.id)]
    assert sorted(name for name, _ in rows) == ["a", "b", "c"], rows
    for name, result in rows:
        if name == "c":
            assert result.error.error.type == "invalid_request_error", result
        else:
            assert (result.message.role, result.message.stop_reason) == ("assistant", "end_turn"), result
            assert f"Grüße\u2028{name}" in result.message.content[0].text, result

    running = batches.create(requests=[ask(f"r{at}", "sim-latency-2000") for at in range(600)])
    raised(anthropic.AnthropicError, batches.results, running.id)
    raised(anthropic.BadRequestError, batches.delete, running.id)
    assert batches.cancel(running.id).processing_status in {"canceling", "ended"}
    stopped = ended(batches, running.id)
    assert stopped.cancel_initiated_at, stopped
    assert stopped.request_counts.canceled, stopped
    assert len({row.custom_id for row in batches.results(running.id)}) == 600

    third = batches.create(requests=[ask("a", "claude-haiku-5-5")])
    ended(batches, third.id)
    newest = [third.id, running.id, made.id]
    assert [each.id for each in batches.list()] == newest
    assert [each.id for each in batches.list(limit=1)] == newest, "every page"
    assert [each.id for each in batches.list(before_id=made.id, limit=1).data] == [running.id]
    for each in newest:
        assert batches.delete(each).type == "message_batch_deleted"
    assert list(batches.list()) == []
    raised(anthropic.NotFoundError, batches.retrieve, made.id)

    raised(anthropic.BadRequestError, batches.create, requests=[])
    twice = raised(anthropic.BadRequestError, batches.create, requests=[ask("a", "m"), ask("a", "m")])
    assert "requests.1.custom_id" in twice, twice
    assert list(batches.list()) == []
print("ok")
