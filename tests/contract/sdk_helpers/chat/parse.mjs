import assert from "node:assert/strict";
import OpenAI from "openai";
import { zodFunction, zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

const client = new OpenAI({ baseURL: "http://localhost:8080/openai", apiKey: "dummy-key" });
const response_format = zodResponseFormat(z.object({ name: z.string(), people: z.number() }), "city");
const weather = zodFunction({ name: "weather", description: "Tells it.", parameters: z.object({ city: z.string() }) });
for (const model of ["gpt-sim-large", "anthropic/claude-sim-large"]) {
  const asked = (content) => ({ model, messages: [{ role: "user", content }] });
  const question = { ...asked("Name a city."), response_format };
  const completion = await client.chat.completions.parse(question);
  assert.deepEqual(completion.choices[0].message.parsed, { name: "example", people: 1 });
  const streamed = await client.chat.completions.stream(question).finalChatCompletion();
  assert.deepEqual(streamed.choices[0].message.parsed, { name: "example", people: 1 });
  const wish = { ...asked("Please use the tool `weather`."), tools: [weather] };
  const [call] = (await client.chat.completions.parse(wish)).choices[0].message.tool_calls;
  assert.deepEqual(call.function.parsed_arguments, { city: "example" });
}
console.log("ok");
