import assert from "node:assert/strict";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: "http://localhost:8080/openai", apiKey: "dummy-key" });
for (const model of ["gpt-sim-large", "anthropic/claude-sim-large"]) {
  const plain = await client.responses.create({ model, input: "Hello!" });
  const events = [];
  const stream = await client.responses.create({ model, input: "Hello!", stream: true });
  for await (const event of stream) events.push(event);
  assert.deepEqual(events.map((event) => event.sequence_number), [...events.keys()]);
  assert.equal(events[0].type, "response.created");
  assert.equal(events.at(-1).type, "response.completed");
  const deltas = events.filter((event) => event.type === "response.output_text.delta");
  assert.equal(deltas.map((event) => event.delta).join(""), plain.output_text);
  const final = events.at(-1).response;
  assert.equal(final.output[0].content[0].text, plain.output_text);
  assert.equal(final.usage.output_tokens, plain.usage.output_tokens);
  assert.equal(final.id, events[0].response.id);
}
console.log("ok");
