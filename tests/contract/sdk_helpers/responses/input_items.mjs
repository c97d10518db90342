import assert from "node:assert/strict";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: "http://localhost:8080/openai", apiKey: "dummy-key" });
const input = ["One.", "Two.", "Three."].map((content, index) => ({ role: index % 2 ? "assistant" : "user", content }));
for (const model of ["gpt-sim-large", "anthropic/claude-sim-large"]) {
  const { id } = await client.responses.create({ model, input });
  const list = async (query) => {
    const items = [];
    for await (const item of client.responses.inputItems.list(id, query)) items.push(item);
    return items;
  };
  const items = await list({ order: "asc" });
  assert.deepEqual(items.map((item) => item.content[0].text), ["One.", "Two.", "Three."]);
  assert.deepEqual(items.map((item) => item.role), ["user", "assistant", "user"]);
  const ids = items.map((item) => item.id);
  assert.deepEqual((await list({})).map((item) => item.id), ids.toReversed());
  assert.deepEqual((await list({ order: "asc", limit: 1 })).map((item) => item.id), ids);
}
console.log("ok");
