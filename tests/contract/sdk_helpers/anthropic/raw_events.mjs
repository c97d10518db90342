import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({ baseURL: "http://localhost:8080/anthropic", apiKey: "dummy-key" });
for (const model of ["claude-sim-large", "openai/gpt-sim-large"]) {
  const question = { model, max_tokens: 100, messages: [{ role: "user", content: "Hello!" }] };
  const events = [];
  for await (const event of await client.messages.create({ ...question, stream: true })) events.push(event);
  const kinds = events.map((event) => event.type);
  assert.deepEqual(kinds.slice(0, 2), ["message_start", "content_block_start"]);
  assert.deepEqual(kinds.slice(-3), ["content_block_stop", "message_delta", "message_stop"]);
  assert.deepEqual([...new Set(kinds.slice(2, -3))], ["content_block_delta"]);
  assert.match(events.slice(2, -3).map((event) => event.delta.text).join(""), /^You said: "Hello!"/);
  assert.deepEqual(events[0].message.content, []);
  assert.equal(events.at(-2).delta.stop_reason, "end_turn");
  assert.ok(events.at(-2).usage.output_tokens > 0);
}
console.log("ok");
