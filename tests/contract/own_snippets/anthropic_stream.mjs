import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({ baseURL: "http://localhost:8080/anthropic", apiKey: "dummy-key" });
for (const model of ["claude-haiku-5-5", "openai/gpt-4o-mini"]) {
  const question = { model, max_tokens: 100, messages: [{ role: "user", content: "Hello!" }] };
  let text = "";
  const message = await client.messages
    .stream(question)
    .on("text", (piece) => (text += piece))
    .finalMessage();
  assert.ok(text);
  assert.equal(text, message.content[0].text);
  assert.ok(message.usage.output_tokens > 0);
  const events = [];
  for await (const event of await client.messages.create({ ...question, stream: true })) events.push(event.type);
  assert.equal(events[0], "message_start");
  assert.equal(events.at(-1), "message_stop");
}
console.log("ok");
