import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import OpenAI, { toFile } from "openai";

const key = `sk-bf-${randomUUID()}`;
const client = new OpenAI({ baseURL: "http://localhost:8080/openai", apiKey: key, maxRetries: 0 });
const endpoint = "/v1/chat/completions";
const ask = (custom_id, model) => ({
  custom_id,
  method: "POST",
  url: endpoint,
  body: { model, max_tokens: 20, messages: [{ role: "user", content: `Grüße\u2028${custom_id}` }] },
});
const uploaded = async (requests) => {
  const lines = requests.map((request) => JSON.stringify(request)).join("\r\n");
  return (await client.files.create({ file: await toFile(Buffer.from(lines), "b.jsonl"), purpose: "batch" })).id;
};
const create = async (requests, more) => {
  const input_file_id = await uploaded(requests);
  return client.batches.create({ input_file_id, endpoint, completion_window: "24h", ...more });
};
const ended = async (id) => {
  for (;;) {
    const batch = await client.batches.retrieve(id);
    if (["completed", "failed", "expired", "cancelled"].includes(batch.status)) return batch;
    await sleep(50);
  }
};
const lines = async (id) => {
  const text = id ? await (await client.files.content(id)).text() : "";
  return text.split("\n").filter((line) => line).map((line) => JSON.parse(line));
};
const names = (rows) => rows.map((row) => row.custom_id).sort();
const ids = async (query) => {
  const found = [];
  for await (const batch of client.batches.list(query)) found.push(batch.id);
  return found;
};

const mixed = [ask("a", "gpt-4o-mini"), ask("b", "anthropic/claude-haiku-5-5"), ask("c", "sim-400")];
const made = await create(mixed, { metadata: { team: "a" } });
assert.deepEqual([made.object, made.endpoint, made.completion_window], ["batch", endpoint, "24h"]);
assert.deepEqual([made.errors, made.metadata], [null, { team: "a" }]);
assert.equal(made.expires_at, made.created_at + 86_400);
const done = await ended(made.id);
const { total, completed, failed } = done.request_counts;
assert.deepEqual([done.status, total, completed, failed], ["completed", 3, 2, 1]);
assert.ok(done.completed_at >= done.created_at);
const [out, err] = [await lines(done.output_file_id), await lines(done.error_file_id)];
assert.deepEqual([names(out), names(err)], [["a", "b"], ["c"]]);
for (const { custom_id, response, error } of out) {
  assert.deepEqual([response.status_code, error, response.body.object], [200, null, "chat.completion"]);
  const { content } = response.body.choices[0].message;
  assert.ok(content.includes(`Grüße\u2028${custom_id}`), content);
}
assert.equal(err[0].response.status_code, 400);
assert.equal((await client.files.retrieve(done.output_file_id)).purpose, "batch_output");

const many = Array.from({ length: 600 }, (_, at) => ask(`r${at}`, "sim-latency-2000"));
const running = await create(many);
assert.ok(["cancelling", "cancelled"].includes((await client.batches.cancel(running.id)).status));
const stopped = await ended(running.id);
assert.deepEqual([stopped.status, stopped.cancelled_at >= stopped.cancelling_at], ["cancelled", true]);
const rows = [...(await lines(stopped.output_file_id)), ...(await lines(stopped.error_file_id))];
assert.deepEqual(names(rows), names(many));

const third = await create([ask("a", "gpt-4o-mini")]);
await ended(third.id);
const newest = [third.id, running.id, made.id];
assert.deepEqual(await ids(), newest);
assert.deepEqual(await ids({ limit: 1 }), newest);

await assert.rejects(client.batches.retrieve("batch_unknown"), (error) => error instanceof OpenAI.NotFoundError);
const refused = (param) => (error) => error instanceof OpenAI.BadRequestError && error.param === param;
await assert.rejects(create([ask("a", "m"), ask("a", "m")]), refused("line 2.custom_id"));
await assert.rejects(create(mixed, { endpoint: "/v1/embeddings" }), refused("line 1.url"));
await assert.rejects(create(mixed, { input_file_id: "file-unknown" }), refused("input_file_id"));
assert.deepEqual(await ids(), newest);
console.log("ok");
