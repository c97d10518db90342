import assert from "node:assert/strict";
import { setTimeout } from "node:timers/promises";
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({ baseURL: "http://localhost:8080/anthropic", apiKey: "dummy-key" });
const question = { model: "claude-haiku-5-5", max_tokens: 100, messages: [{ role: "user", content: "Hello!" }] };
const job = await client.messages.create(question, { headers: { "x-bf-async": "true" } });
assert.equal(job.content.length, 0);
const deadline = Date.now() + 60_000;
let answer = job;
while (answer.content.length === 0) {
  assert.ok(Date.now() < deadline);
  await setTimeout(100);
  answer = await client.messages.create(question, { headers: { "x-bf-async-id": job.id } });
}
assert.ok(answer.content[0].text);
console.log("ok");
