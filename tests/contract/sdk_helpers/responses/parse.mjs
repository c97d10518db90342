import assert from "node:assert/strict";
import OpenAI from "openai";
import { zodResponsesFunction, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

const client = new OpenAI({ baseURL: "http://localhost:8080/openai", apiKey: "dummy-key" });
const text = { format: zodTextFormat(z.object({ name: z.string(), people: z.number() }), "city") };
const weather = zodResponsesFunction({ name: "weather", parameters: z.object({ city: z.string() }) });
for (const model of ["gpt-sim-large", "anthropic/claude-sim-large"]) {
  const question = { model, input: "Name a city.", text };
  assert.deepEqual((await client.responses.parse(question)).output_parsed, { name: "example", people: 1 });
  const streamed = await client.responses.stream(question).finalResponse();
  assert.deepEqual(streamed.output_parsed, { name: "example", people: 1 });
  const wish = { model, input: "Please use the tool `weather`.", tools: [weather] };
  const [call] = (await client.responses.parse(wish)).output;
  assert.deepEqual(call.parsed_arguments, { city: "example" });
}
console.log("ok");
