import assert from "node:assert/strict";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: "http://localhost:8080/v1", apiKey: "dummy-key", maxRetries: 0 });
const names = [];
for await (const model of client.models.list()) names.push(model.id);
assert.ok(names.includes("openai/gpt-sim-large") && names.includes("anthropic/claude-sim-large"));
assert.ok(names.every((name) => name.includes("/")));
console.log("ok");
