import assert from "node:assert/strict";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: "http://localhost:8080/openai", apiKey: "dummy-key", maxRetries: 0 });
for (const model of ["gpt-sim-large", "anthropic/claude-sim-large"]) {
  const response = await client.responses.create({ model, input: "Hello!" });
  const found = await client.responses.retrieve(response.id);
  assert.deepEqual([found.id, found.status], [response.id, "completed"]);
  assert.equal(found.output[0].content[0].text, response.output_text);
  await client.responses.delete(response.id);
  await assert.rejects(client.responses.retrieve(response.id), OpenAI.NotFoundError);
}
console.log("ok");
