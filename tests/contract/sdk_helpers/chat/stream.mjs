import assert from "node:assert/strict";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: "http://localhost:8080/openai", apiKey: "dummy-key" });
const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const tools = [{ type: "function", function: { name: "weather", parameters } }];
for (const model of ["gpt-sim-large", "anthropic/claude-sim-large"]) {
  const asked = (content) => ({ model, messages: [{ role: "user", content }], stream_options: { include_usage: true } });
  let text = "";
  const stream = client.chat.completions.stream(asked("Hello!")).on("content", (piece) => (text += piece));
  assert.equal(await stream.finalContent(), text);
  const completion = await stream.finalChatCompletion();
  assert.equal(completion.choices[0].finish_reason, "stop");
  assert.ok(text && completion.usage.completion_tokens > 0);
  assert.equal((await stream.totalUsage()).completion_tokens, completion.usage.completion_tokens);

  const called = client.chat.completions.stream({ ...asked("Please use the tool `weather`."), tools });
  const [call] = (await called.finalMessage()).tool_calls;
  assert.deepEqual(JSON.parse(call.function.arguments), { city: "example" });
}
console.log("ok");
