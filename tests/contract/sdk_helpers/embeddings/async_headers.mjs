import assert from "node:assert/strict";
import { setTimeout } from "node:timers/promises";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: "http://localhost:8080/openai", apiKey: "dummy-key" });
const asked = { model: "sim-latency-300", input: "Hello!" };
const job = await client.embeddings.create(asked, { headers: { "x-bf-async": "true" } });
assert.deepEqual(job.data.map((item) => item.embedding.length), [0]);
const deadline = Date.now() + 60_000;
let answer = job;
while (answer.data[0].embedding.length === 0) {
  assert.ok(Date.now() < deadline);
  await setTimeout(100);
  answer = await client.embeddings.create(asked, { headers: { "x-bf-async-id": job.id } });
}
const plain = await client.embeddings.create(asked);
assert.ok(plain.data[0].embedding.length > 1);
assert.deepEqual(answer.data[0].embedding, plain.data[0].embedding);
console.log("ok");
