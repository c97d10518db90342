import assert from "node:assert/strict";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: "http://localhost:8080/openai", apiKey: "dummy-key" });
for (const model of ["gpt-sim-large", "anthropic/claude-sim-large"]) {
  const chunksOf = async (options) => {
    const messages = [{ role: "user", content: "Hello!" }];
    const chunks = [];
    const stream = await client.chat.completions.create({ model, messages, stream: true, ...options });
    for await (const chunk of stream) chunks.push(chunk);
    return chunks;
  };
  const chunks = await chunksOf({});
  const counted = await chunksOf({ stream_options: { include_usage: true } });
  for (const told of [chunks, counted.slice(0, -1)]) {
    assert.ok(told.every((chunk) => chunk.choices.length === 1 && !chunk.usage));
    assert.equal(told[0].choices[0].delta.role, "assistant");
    assert.equal(told.at(-1).choices[0].finish_reason, "stop");
    assert.match(told.map((chunk) => chunk.choices[0].delta.content ?? "").join(""), /^You said: "Hello!"/);
  }
  assert.deepEqual(counted.at(-1).choices, []);
  assert.ok(counted.at(-1).usage.completion_tokens > 0);
}
console.log("ok");
