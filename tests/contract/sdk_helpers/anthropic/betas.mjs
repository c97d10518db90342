import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({ baseURL: "http://localhost:8080/anthropic", apiKey: "dummy-key" });
const betas = ["context-1m-2025-08-07"];
for (const model of ["claude-sim-large", "openai/gpt-sim-large"]) {
  const question = { model, max_tokens: 100, messages: [{ role: "user", content: "Hello!" }], betas };
  const message = await client.beta.messages.create(question);
  assert.equal(message.stop_reason, "end_turn");
  const streamed = await client.beta.messages.stream(question).finalMessage();
  assert.equal(streamed.content[0].text, message.content[0].text);
  const kinds = [];
  for await (const event of await client.beta.messages.create({ ...question, stream: true })) kinds.push(event.type);
  assert.deepEqual([kinds[0], kinds.at(-1)], ["message_start", "message_stop"]);
}
console.log("ok");
