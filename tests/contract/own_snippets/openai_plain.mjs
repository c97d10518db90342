import assert from "node:assert/strict";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: "http://localhost:8080/openai", apiKey: "dummy-key" });
const completion = await client.chat.completions.create({
  model: "gpt-4o-mini",
  messages: [{ role: "user", content: "Hello!" }],
});
assert.ok(completion.choices[0].message.content);
assert.equal(completion.choices[0].finish_reason, "stop");
assert.ok(completion._request_id);
console.log("ok");
