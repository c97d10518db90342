import assert from "node:assert/strict";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: "http://localhost:8080/v1", apiKey: "dummy-key", maxRetries: 0 });
const found = await client.embeddings.create({ model: "openai/text-embedding-3-small", input: "Hello!" });
assert.ok(found.data[0].embedding.length > 1);
console.log("ok");
