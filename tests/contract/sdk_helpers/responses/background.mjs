import assert from "node:assert/strict";
import { setTimeout } from "node:timers/promises";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: "http://localhost:8080/openai", apiKey: "dummy-key" });
for (const model of ["sim-latency-300", "anthropic/sim-latency-300"]) {
  const begun = await client.responses.create({ model, input: "Hello!", background: true });
  assert.ok(["queued", "in_progress"].includes(begun.status));
  assert.deepEqual(begun.output, []);
  const deadline = Date.now() + 60_000;
  let response = begun;
  while (["queued", "in_progress"].includes(response.status)) {
    assert.ok(Date.now() < deadline);
    await setTimeout(100);
    response = await client.responses.retrieve(begun.id);
  }
  assert.deepEqual([response.id, response.status], [begun.id, "completed"]);
  const plain = await client.responses.create({ model, input: "Hello!" });
  assert.equal(response.output[0].content[0].text, plain.output_text);
}
console.log("ok");
