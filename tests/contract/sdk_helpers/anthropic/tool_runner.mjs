import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";
import { betaZodTool } from "@anthropic-ai/sdk/helpers/beta/zod";
import * as z from "zod/v4";

const client = new Anthropic({ baseURL: "http://localhost:8080/anthropic", apiKey: "dummy-key", maxRetries: 0 });
const cities = [];
const weather = betaZodTool({
  name: "weather",
  description: "Tells the weather.",
  inputSchema: z.object({ city: z.string() }),
  run: ({ city }) => {
    cities.push(city);
    return "thunderstorms";
  },
});
const messages = [{ role: "user", content: "Please use the tool `weather`." }];
for (const model of ["claude-sim-large", "openai/gpt-sim-large"]) {
  const wish = { model, max_tokens: 100, messages, tools: [weather], thread: false };
  const final = await client.beta.messages.toolRunner(wish).runUntilDone();
  assert.match(final.content[0].text, /thunderstorms/);
  const replies = [];
  for await (const stream of client.beta.messages.toolRunner({ ...wish, stream: true })) {
    replies.push(await stream.finalMessage());
  }
  assert.deepEqual(replies.map((reply) => reply.stop_reason), ["tool_use", "end_turn"]);
  assert.match(replies[1].content[0].text, /thunderstorms/);
}
assert.deepEqual(cities, Array(4).fill("example"));
console.log("ok");
