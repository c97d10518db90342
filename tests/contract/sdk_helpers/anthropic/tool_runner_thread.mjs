import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";
import { betaTool } from "@anthropic-ai/sdk/helpers/beta/json-schema";

const client = new Anthropic({ baseURL: "http://localhost:8080/anthropic", apiKey: "dummy-key", maxRetries: 0 });
const cities = [];
const weather = betaTool({
  name: "weather",
  description: "Tells the weather.",
  inputSchema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  run: ({ city }) => {
    cities.push(city);
    return "thunderstorms";
  },
});
const messages = [{ role: "user", content: "Please use the tool `weather`." }];
const wish = { model: "openai/gpt-sim-large", max_tokens: 100, messages, tools: [weather] };
// The runner begins a thread, which this provider cannot keep: it must be told so in the words it waits for.
const final = await client.beta.messages.toolRunner(wish).runUntilDone();
assert.match(final.content[0].text, /thunderstorms/);
let last;
for await (const stream of client.beta.messages.toolRunner({ ...wish, stream: true })) last = await stream.finalMessage();
assert.match(last.content[0].text, /thunderstorms/);
assert.deepEqual(cities, ["example", "example"]);
console.log("ok");
