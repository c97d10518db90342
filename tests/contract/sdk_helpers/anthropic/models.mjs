import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({ baseURL: "http://localhost:8080/anthropic", apiKey: "dummy-key" });
const all = async (page) => {
  const names = [];
  for await (const model of page) names.push(model.id);
  return names;
};
const names = await all(client.models.list({ limit: 1000 }));
assert.ok(names.includes("claude-sim-large") && names.includes("openai/gpt-sim-large"));
assert.deepEqual(await all(client.models.list({ limit: 1 })), names);
assert.deepEqual(await all(client.beta.models.list({ limit: 3 })), names);
for (const name of ["claude-sim-large", "openai/gpt-sim-large"]) {
  const model = await client.models.retrieve(name);
  assert.deepEqual([model.type, model.id], ["model", name]);
  assert.ok(model.display_name && Date.parse(model.created_at) >= 0);
}
console.log("ok");
