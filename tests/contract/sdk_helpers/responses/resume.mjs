import assert from "node:assert/strict";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: "http://localhost:8080/openai", apiKey: "dummy-key" });
for (const model of ["sim-rate-50+words-60", "anthropic/sim-rate-50+words-60"]) {
  const seen = [];
  const begun = await client.responses.create({ model, input: "Hello!", background: true, stream: true });
  for await (const event of begun) {
    seen.push(event);
    if (seen.length === 20) break;
  }
  const { id } = seen[0].response;
  const rest = { stream: true, starting_after: seen.at(-1).sequence_number };
  for await (const event of await client.responses.retrieve(id, rest)) seen.push(event);
  assert.deepEqual(seen.map((event) => event.sequence_number), [...seen.keys()]);
  assert.equal(seen.at(-1).type, "response.completed");
  const text = seen.map((event) => (event.type === "response.output_text.delta" ? event.delta : "")).join("");
  assert.equal(text, (await client.responses.retrieve(id)).output[0].content[0].text);

  const late = [];
  const stream = client.responses.stream({ response_id: id, ...rest });
  stream.on("event", (event) => late.push(event.sequence_number));
  assert.equal((await stream.finalResponse()).output[0].content[0].text, text);
  assert.equal(late[0], rest.starting_after + 1);
}
console.log("ok");
