import assert from "node:assert/strict";
import { setTimeout } from "node:timers/promises";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: "http://localhost:8080/openai", apiKey: "dummy-key" });
for (const model of ["openai/sim-latency-300", "anthropic/sim-latency-300"]) {
  const asked = { model, input: "Hello!" };
  const job = await client.responses.create(asked, { headers: { "x-bf-async": "true" } });
  assert.ok(["queued", "in_progress"].includes(job.status));
  assert.deepEqual([job.object, job.output, job.output_text], ["response", [], ""]);
  const deadline = Date.now() + 60_000;
  let answer = job;
  while (answer.status !== "completed") {
    assert.ok(Date.now() < deadline);
    await setTimeout(100);
    answer = await client.responses.create(asked, { headers: { "x-bf-async-id": job.id } });
  }
  assert.equal(answer.output_text, (await client.responses.create(asked)).output_text);
}
console.log("ok");
