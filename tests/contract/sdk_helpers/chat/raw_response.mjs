import assert from "node:assert/strict";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: "http://localhost:8080/openai", apiKey: "dummy-key" });
for (const model of ["gpt-sim-large", "anthropic/claude-sim-large"]) {
  const question = { model, messages: [{ role: "user", content: "Hello!" }] };
  const { data, response, request_id } = await client.chat.completions.create(question).withResponse();
  assert.ok(response.headers.get("x-bf-job-id"));
  assert.equal(request_id, response.headers.get("x-request-id"));
  assert.equal(request_id, data._request_id);
  const raw = await client.chat.completions.create(question).asResponse();
  assert.equal((await raw.json()).choices[0].message.content, data.choices[0].message.content);
  const streamed = await client.chat.completions.create({ ...question, stream: true }).withResponse();
  assert.match(streamed.response.headers.get("content-type"), /^text\/event-stream/);
  const [one, other] = streamed.data.tee();
  const [first, second] = [[], []];
  for await (const chunk of one) first.push(chunk);
  for await (const chunk of other) second.push(chunk);
  assert.equal(first.at(-1).choices[0].finish_reason, "stop");
  assert.deepEqual(first, second);
}
console.log("ok");
