import assert from "node:assert/strict";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: "http://localhost:8080/openai", apiKey: "dummy-key", maxRetries: 0 });
const cities = [];
const weather = {
  type: "function",
  function: {
    name: "weather",
    description: "Tells the weather.",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
    parse: JSON.parse,
    function: ({ city }) => {
      cities.push(city);
      return "thunderstorms";
    },
  },
};
const messages = [{ role: "user", content: "Please use the tool `weather`." }];
for (const model of ["gpt-sim-large", "anthropic/claude-sim-large"]) {
  for (const stream of [false, true]) {
    const runner = client.chat.completions.runTools({ model, messages, tools: [weather], stream });
    assert.match(await runner.finalContent(), /thunderstorms/);
    assert.deepEqual(runner.messages.map((message) => message.role), ["user", "assistant", "tool", "assistant"]);
  }
}
assert.deepEqual(cities, Array(4).fill("example"));
console.log("ok");
