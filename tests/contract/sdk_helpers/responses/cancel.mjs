import assert from "node:assert/strict";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: "http://localhost:8080/openai", apiKey: "dummy-key", maxRetries: 0 });
for (const model of ["sim-latency-20000", "anthropic/sim-latency-20000"]) {
  const begun = await client.responses.create({ model, input: "Hello!", background: true });
  await client.responses.cancel(begun.id);
  await client.responses.cancel(begun.id);
  assert.equal((await client.responses.retrieve(begun.id)).status, "cancelled");
}
console.log("ok");
