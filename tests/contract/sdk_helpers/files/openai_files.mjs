import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import OpenAI, { toFile } from "openai";

const client = new OpenAI({ baseURL: "http://localhost:8080/openai", apiKey: `sk-bf-${randomUUID()}` });
const forget = (id) => (client.files.delete ?? client.files.del).call(client.files, id);
const ids = async (query) => {
  const found = [];
  for await (const file of client.files.list(query)) found.push(file.id);
  return found;
};

const lines = await toFile(Buffer.from('{"a": 1}\n'), "lines.jsonl");
const file = await client.files.create({ file: lines, purpose: "batch" });
assert.deepEqual([file.object, file.filename, file.purpose, file.bytes], ["file", "lines.jsonl", "batch", 9]);
assert.deepEqual([file.status, file.expires_at], ["processed", file.created_at + 30 * 86_400]);
assert.equal((await client.files.retrieve(file.id)).id, file.id);
assert.equal((await client.files.waitForProcessing(file.id)).status, "processed");
assert.equal(await (await client.files.content(file.id)).text(), '{"a": 1}\n');

const made = [file.id];
for (let number = 0; number < 4; number += 1) {
  made.unshift((await client.files.create({ file: await toFile(Buffer.from("x"), "x"), purpose: "user_data" })).id);
}
assert.deepEqual(await ids(), made);
assert.deepEqual(await ids({ limit: 2 }), made);
assert.deepEqual(await ids({ order: "asc", limit: 3 }), [...made].reverse());
assert.deepEqual(await ids({ purpose: "batch" }), [file.id]);
for (const id of made) assert.equal((await forget(id)).deleted, true);
assert.deepEqual(await ids(), []);
await assert.rejects(client.files.retrieve(file.id), (error) => error.status === 404);
console.log("ok");
