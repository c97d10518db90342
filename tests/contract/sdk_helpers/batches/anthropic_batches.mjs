import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import Anthropic from "@anthropic-ai/sdk";

const key = `sk-bf-${randomUUID()}`;
const client = new Anthropic({ baseURL: "http://localhost:8080/anthropic", apiKey: key, maxRetries: 0 });
const ask = (custom_id, model) => ({
  custom_id,
  params: { model, max_tokens: 20, messages: [{ role: "user", content: `Grüße\u2028${custom_id}` }] },
});
const status = (wanted) => (error) => error instanceof Anthropic.APIError && error.status === wanted;

for (const batches of [client.messages.batches, client.beta.messages.batches]) {
  const ended = async (id) => {
    for (;;) {
      const batch = await batches.retrieve(id);
      if (batch.processing_status === "ended") return batch;
      await sleep(50);
    }
  };
  const rows = async (id) => {
    const found = new Map();
    for await (const row of await batches.results(id)) {
      assert.ok(!found.has(row.custom_id), row.custom_id);
      found.set(row.custom_id, row.result);
    }
    return found;
  };
  const ids = async (query) => {
    const found = [];
    for await (const batch of batches.list(query)) found.push(batch.id);
    return found;
  };

  const requests = [ask("a", "claude-haiku-5-5"), ask("b", "openai/gpt-4o-mini"), ask("c", "sim-400")];
  const made = await batches.create({ requests });
  assert.deepEqual([made.type, made.processing_status, made.ended_at], ["message_batch", "in_progress", null]);
  assert.equal(made.request_counts.processing, 3);
  assert.equal(Date.parse(made.expires_at) - Date.parse(made.created_at), 86_400_000);
  const done = await ended(made.id);
  assert.deepEqual(done.request_counts, { processing: 0, succeeded: 2, errored: 1, canceled: 0, expired: 0 });
  assert.ok(done.ended_at && done.results_url);
  const results = await rows(made.id);
  assert.deepEqual([...results.keys()].sort(), ["a", "b", "c"]);
  for (const name of ["a", "b"]) {
    const { type, message } = results.get(name);
    assert.deepEqual([type, message.role, message.stop_reason], ["succeeded", "assistant", "end_turn"]);
    assert.ok(message.content[0].text.includes(`Grüße\u2028${name}`), message.content[0].text);
  }
  assert.equal(results.get("c").error.error.type, "invalid_request_error");

  const running = await batches.create({ requests: Array.from({ length: 600 }, (_, at) => ask(`r${at}`, "sim-latency-2000")) });
  await assert.rejects(batches.results(running.id), /ended|results_url/);
  await assert.rejects(batches.delete(running.id), status(400));
  assert.ok(["canceling", "ended"].includes((await batches.cancel(running.id)).processing_status));
  const stopped = await ended(running.id);
  assert.ok(stopped.cancel_initiated_at && stopped.request_counts.canceled > 0);
  assert.equal((await rows(running.id)).size, 600);

  const third = await batches.create({ requests: [ask("a", "claude-haiku-5-5")] });
  await ended(third.id);
  const newest = [third.id, running.id, made.id];
  assert.deepEqual(await ids(), newest);
  assert.deepEqual(await ids({ limit: 1 }), newest);
  assert.deepEqual((await batches.list({ before_id: made.id, limit: 1 })).data.map((each) => each.id), [running.id]);
  for (const id of newest) assert.equal((await batches.delete(id)).type, "message_batch_deleted");
  assert.deepEqual(await ids(), []);
  await assert.rejects(batches.retrieve(made.id), (error) => error instanceof Anthropic.NotFoundError);

  await assert.rejects(batches.create({ requests: [] }), status(400));
  await assert.rejects(batches.create({ requests: [ask("a", "m"), ask("a", "m")] }), /requests\.1\.custom_id/);
  assert.deepEqual(await ids(), []);
}
console.log("ok");
