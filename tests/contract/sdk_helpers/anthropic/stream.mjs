import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({ baseURL: "http://localhost:8080/anthropic", apiKey: "dummy-key" });
const schema = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const tools = [{ name: "weather", description: "Tells the weather.", input_schema: schema }];
for (const model of ["claude-sim-large", "openai/gpt-sim-large"]) {
  const asked = (content) => ({ model, max_tokens: 100, messages: [{ role: "user", content }] });
  const pieces = [];
  const stream = client.messages.stream(asked("Hello!")).on("text", (piece, all) => pieces.push([piece, all]));
  const message = await stream.finalMessage();
  assert.ok(pieces.length > 1, model);
  assert.equal(pieces.map(([piece]) => piece).join(""), message.content[0].text);
  assert.equal(await stream.finalText(), message.content[0].text);
  assert.equal(message.stop_reason, "end_turn");
  assert.ok(message.usage.input_tokens > 0, model);

  const kinds = [];
  for await (const event of client.messages.stream(asked("Hello!"))) kinds.push(event.type);
  assert.equal(kinds[0], "message_start");
  assert.equal(kinds.at(-1), "message_stop");

  let json = "";
  const wish = { ...asked("Please use the tool `weather`."), tools };
  const called = client.messages.stream(wish).on("inputJson", (piece) => (json += piece));
  const [call] = (await called.finalMessage()).content;
  assert.deepEqual(JSON.parse(json), { city: "example" });
  assert.deepEqual([call.name, call.input], ["weather", { city: "example" }]);
}
console.log("ok");
