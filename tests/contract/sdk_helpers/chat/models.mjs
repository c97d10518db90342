import assert from "node:assert/strict";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: "http://localhost:8080/openai", apiKey: "dummy-key" });
const names = [];
for await (const model of client.models.list()) names.push(model.id);
for (const name of ["gpt-sim-large", "anthropic/claude-sim-large"]) {
  assert.ok(names.includes(name));
  const model = await client.models.retrieve(name);
  assert.deepEqual([model.object, model.id], ["model", name]);
  assert.ok(model.owned_by);
}
console.log("ok");
