import assert from "node:assert/strict";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: "http://localhost:8080/openai", apiKey: "dummy-key" });
for (const model of ["gpt-sim-large", "anthropic/claude-sim-large"]) {
  const counted = await client.responses.inputTokens.count({ model, input: "Hello!" });
  assert.equal(counted.object, "response.input_tokens");
  const { usage } = await client.responses.create({ model, input: "Hello!" });
  assert.equal(counted.input_tokens, usage.input_tokens);
}
console.log("ok");
