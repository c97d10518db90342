import assert from "node:assert/strict";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: "http://localhost:8080/openai", apiKey: "dummy-key" });
const turns = [
  { role: "developer", content: "Be brief." },
  { role: "user", content: [{ type: "input_text", text: "Hello!" }] },
];
for (const model of ["gpt-sim-large", "anthropic/claude-sim-large"]) {
  for (const asked of [{ input: "Hello!", instructions: "Be brief." }, { input: turns }]) {
    const response = await client.responses.create({ model, ...asked });
    assert.deepEqual([response.object, response.status, response.error], ["response", "completed", null]);
    assert.deepEqual(response.output.map((item) => [item.type, item.role]), [["message", "assistant"]]);
    assert.ok(response.output_text);
    assert.equal(response.usage.input_tokens, 3);
    assert.equal(response.usage.total_tokens, 3 + response.usage.output_tokens);
  }
}
for (const model of ["sim-words-100", "anthropic/sim-words-100"]) {
  const response = await client.responses.create({ model, input: "Hello!", max_output_tokens: 20 });
  assert.deepEqual([response.status, response.incomplete_details.reason], ["incomplete", "max_output_tokens"]);
  assert.equal(response.output_text.split(" ").length, 20);
}
console.log("ok");
