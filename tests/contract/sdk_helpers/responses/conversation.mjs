import assert from "node:assert/strict";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: "http://localhost:8080/openai", apiKey: "dummy-key" });
const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const tools = [{ type: "function", name: "weather", parameters, strict: false }];
for (const model of ["gpt-sim-large", "anthropic/claude-sim-large"]) {
  const first = await client.responses.create({ model, input: "Hello!" });
  const second = await client.responses.create({ model, input: "And now?", previous_response_id: first.id });
  assert.equal(second.previous_response_id, first.id);
  assert.equal(second.usage.input_tokens, first.usage.total_tokens + 2);

  const wish = await client.responses.create({ model, input: "Please use the tool `weather`.", tools });
  const result = { type: "function_call_output", call_id: wish.output[0].call_id, output: "thunderstorms" };
  const answered = { model, input: [result], tools, previous_response_id: wish.id };
  assert.match((await client.responses.create(answered)).output_text, /thunderstorms/);
  const streamed = await client.responses.stream(answered).finalResponse();
  assert.match(streamed.output[0].content[0].text, /thunderstorms/);
}
console.log("ok");
