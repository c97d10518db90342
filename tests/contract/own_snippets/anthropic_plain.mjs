import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({ baseURL: "http://localhost:8080/anthropic", apiKey: "dummy-key" });
const message = await client.messages.create({
  model: "claude-haiku-5-5",
  max_tokens: 100,
  messages: [{ role: "user", content: "Hello!" }],
});
assert.ok(message.content[0].text);
assert.equal(message.stop_reason, "end_turn");
assert.ok(message._request_id);
console.log("ok");
