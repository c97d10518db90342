import assert from "node:assert/strict";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: "http://localhost:8080/openai", apiKey: "dummy-key" });
const model = "text-embedding-3-small";
const whole = await client.embeddings.create({ model, input: ["Hello!", "Good night."] });
assert.deepEqual(whole.data.map((item) => item.index), [0, 1]);
assert.ok(whole.usage.prompt_tokens > 0);
const [first, second] = whole.data.map((item) => item.embedding);
assert.ok(first.length > 1 && first.length === second.length);
assert.notDeepEqual(first, second);
const exact = await client.embeddings.create({ model, input: "Hello!", encoding_format: "float" });
assert.ok(exact.data[0].embedding.every((number, index) => Math.abs(number - first[index]) < 1e-6));
const short = await client.embeddings.create({ model, input: "Hello!", dimensions: 8 });
assert.equal(short.data[0].embedding.length, 8);
console.log("ok");
