import assert from "node:assert/strict";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: "http://localhost:8080/openai", apiKey: "dummy-key" });
const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const tools = [{ type: "function", name: "weather", parameters: { ...parameters, additionalProperties: false }, strict: true }];
for (const model of ["gpt-sim-large", "anthropic/claude-sim-large"]) {
  let text = "";
  const stream = client.responses.stream({ model, input: "Hello!" });
  stream.on("response.output_text.delta", (event) => (text += event.delta));
  const response = await stream.finalResponse();
  assert.equal(response.status, "completed");
  assert.ok(text);
  assert.equal(response.output[0].content[0].text, text);
  const called = client.responses.stream({ model, input: "Please use the tool `weather`.", tools });
  const [call] = (await called.finalResponse()).output;
  assert.deepEqual([call.type, call.name, call.status], ["function_call", "weather", "completed"]);
  assert.deepEqual(JSON.parse(call.arguments), { city: "example" });
}
console.log("ok");
