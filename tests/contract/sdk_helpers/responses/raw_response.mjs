import assert from "node:assert/strict";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: "http://localhost:8080/openai", apiKey: "dummy-key" });
for (const model of ["gpt-sim-large", "anthropic/claude-sim-large"]) {
  const asked = { model, input: "Hello!" };
  const { data, response, request_id } = await client.responses.create(asked).withResponse();
  assert.ok(response.headers.get("x-bf-job-id"));
  assert.equal(request_id, response.headers.get("x-request-id"));
  assert.equal(request_id, data._request_id);
  const raw = await client.responses.create(asked).asResponse();
  assert.equal((await raw.json()).output[0].content[0].text, data.output_text);
  const streamed = await client.responses.create({ ...asked, stream: true }).withResponse();
  assert.match(streamed.response.headers.get("content-type"), /^text\/event-stream/);
  let last;
  for await (const event of streamed.data) last = event;
  assert.equal(last.response.output[0].content[0].text, data.output_text);
}
console.log("ok");
