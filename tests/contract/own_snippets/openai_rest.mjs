import assert from "node:assert/strict";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: "http://localhost:8080/openai", apiKey: "dummy-key", maxRetries: 0 });
const messages = [{ role: "user", content: "Hello!" }];
for await (const model of client.models.list()) {
  assert.equal((await client.models.retrieve(model.id)).id, model.id);
}
await assert.rejects(client.chat.completions.create({ model: "sim-404", messages }), OpenAI.NotFoundError);
console.log("ok");
