import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";
import { betaZodOutputFormat } from "@anthropic-ai/sdk/helpers/beta/zod";
import { jsonSchemaOutputFormat } from "@anthropic-ai/sdk/helpers/json-schema";
import { zodOutputFormat } from "@anthropic-ai/sdk/helpers/zod";
import * as z from "zod/v4";

const client = new Anthropic({ baseURL: "http://localhost:8080/anthropic", apiKey: "dummy-key" });
const city = z.object({ name: z.string(), people: z.number() });
const schema = { type: "object", properties: { name: { type: "string" } }, required: ["name"], additionalProperties: false };
for (const model of ["claude-sim-large", "openai/gpt-sim-large"]) {
  const asked = (format) => ({
    model,
    max_tokens: 100,
    messages: [{ role: "user", content: "Name a city." }],
    output_config: { format },
  });
  const found = { name: "example", people: 1 };
  assert.deepEqual((await client.messages.parse(asked(zodOutputFormat(city)))).parsed_output, found);
  assert.deepEqual((await client.messages.parse(asked(jsonSchemaOutputFormat(schema)))).parsed_output, { name: "example" });
  assert.deepEqual((await client.beta.messages.parse(asked(betaZodOutputFormat(city)))).parsed_output, found);
  const streamed = await client.messages.stream(asked(zodOutputFormat(city))).finalMessage();
  assert.deepEqual(streamed.parsed_output, found);
}
console.log("ok");
