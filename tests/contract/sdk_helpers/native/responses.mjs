import assert from "node:assert/strict";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: "http://localhost:8080/v1", apiKey: "dummy-key", maxRetries: 0 });
for (const model of ["openai/gpt-sim-large", "anthropic/claude-sim-large"]) {
  const response = await client.responses.create({ model, input: "Hello!" });
  assert.equal(response.status, "completed");
  const streamed = await client.responses.stream({ model, input: "Hello!" }).finalResponse();
  assert.equal(streamed.output[0].content[0].text, response.output_text);
}
console.log("ok");
