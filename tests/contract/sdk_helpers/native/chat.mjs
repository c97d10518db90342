import assert from "node:assert/strict";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: "http://localhost:8080/v1", apiKey: "dummy-key", maxRetries: 0 });
const messages = [{ role: "user", content: "Hello!" }];
for (const model of ["openai/gpt-sim-large", "anthropic/claude-sim-large"]) {
  const completion = await client.chat.completions.create({ model, messages });
  assert.equal(completion.choices[0].finish_reason, "stop");
  assert.ok(completion._request_id);
  const streamed = await client.chat.completions.stream({ model, messages }).finalContent();
  assert.equal(streamed, completion.choices[0].message.content);
}
await assert.rejects(client.chat.completions.create({ model: "groq/llama", messages }), OpenAI.BadRequestError);
console.log("ok");
