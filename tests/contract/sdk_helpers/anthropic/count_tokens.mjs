import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({ baseURL: "http://localhost:8080/anthropic", apiKey: "dummy-key" });
const asked = (content) => ({ model: "claude-sim-large", messages: [{ role: "user", content }] });
for (const messages of [client.messages, client.beta.messages]) {
  const few = (await messages.countTokens(asked("Hello!"))).input_tokens;
  const many = (await messages.countTokens(asked("Hello, hello, hello!"))).input_tokens;
  const told = (await messages.countTokens({ ...asked("Hello!"), system: "Be brief." })).input_tokens;
  assert.ok(0 < few && few < many && few < told);
  assert.equal((await client.messages.create({ ...asked("Hello!"), max_tokens: 9 })).usage.input_tokens, few);
}
console.log("ok");
