import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({ baseURL: "http://localhost:8080/anthropic", apiKey: "dummy-key", maxRetries: 0 });
const messages = [{ role: "user", content: "Hello!" }];
for await (const model of client.models.list()) {
  assert.equal((await client.models.retrieve(model.id)).id, model.id);
}
const counted = await client.messages.countTokens({ model: "claude-haiku-5-5", messages });
assert.ok(counted.input_tokens > 0);
await assert.rejects(client.messages.create({ model: "sim-404", max_tokens: 9, messages }), Anthropic.NotFoundError);
console.log("ok");
