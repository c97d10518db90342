import assert from "node:assert/strict";
import { setTimeout } from "node:timers/promises";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: "http://localhost:8080/openai", apiKey: "dummy-key" });
const question = { model: "gpt-4o-mini", messages: [{ role: "user", content: "Hello!" }] };
const job = await client.chat.completions.create(question, { headers: { "x-bf-async": "true" } });
assert.equal(job.choices.length, 0);
const deadline = Date.now() + 60_000;
let answer = job;
while (answer.choices.length === 0) {
  assert.ok(Date.now() < deadline);
  await setTimeout(100);
  answer = await client.chat.completions.create(question, { headers: { "x-bf-async-id": job.id } });
}
assert.ok(answer.choices[0].message.content);
console.log("ok");
