import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({ baseURL: "http://localhost:8080/anthropic", apiKey: "dummy-key" });
for (const model of ["claude-sim-large", "openai/gpt-sim-large"]) {
  const question = { model, max_tokens: 100, messages: [{ role: "user", content: "Hello!" }] };
  const { data, response, request_id } = await client.messages.create(question).withResponse();
  assert.equal(data.stop_reason, "end_turn");
  assert.ok(response.headers.get("x-bf-job-id"));
  assert.equal(request_id, response.headers.get("request-id"));
  assert.equal(request_id, data._request_id);
  const raw = await client.messages.create(question).asResponse();
  assert.equal((await raw.json()).content[0].text, data.content[0].text);
  const streamed = await client.messages.create({ ...question, stream: true }).withResponse();
  assert.match(streamed.response.headers.get("content-type"), /^text\/event-stream/);
  const kinds = [];
  for await (const event of streamed.data) kinds.push(event.type);
  assert.equal(kinds.at(-1), "message_stop");
  const stream = client.messages.stream(question);
  assert.ok((await stream.withResponse()).request_id);
  await stream.done();
}
console.log("ok");
