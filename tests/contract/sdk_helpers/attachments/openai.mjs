import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import OpenAI, { toFile } from "openai";

const PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const baseURL = "http://localhost:8080/openai";
const client = new OpenAI({ baseURL, apiKey: `sk-bf-${randomUUID()}`, maxRetries: 0 });
const upload = async (bytes, name) => client.files.create({ file: await toFile(bytes, name), purpose: "user_data" });
const forget = (id) => (client.files.delete ?? client.files.del).call(client.files, id);

const pdf = await upload(Buffer.from("%PDF-1.7"), "a.pdf");
const text = await upload(Buffer.from("Grüße"), "a.txt");
const pixel = await upload(Buffer.from(PIXEL, "base64"), "a.png");
const parts = [pdf, text].map((file) => ({ type: "file", file: { file_id: file.id } }));
const messages = [{ role: "user", content: [...parts, { type: "text", text: "Hello!" }] }];
const inputs = [pdf, text].map((file) => ({ type: "input_file", file_id: file.id }));
inputs.push({ type: "input_image", file_id: pixel.id, detail: "auto" }, { type: "input_text", text: "Hello!" });
const input = [{ role: "user", content: inputs }];
for (const model of ["gpt-sim-large", "anthropic/claude-sim-large"]) {
  const completion = await client.chat.completions.create({ model, messages });
  assert.equal(completion.choices[0].finish_reason, "stop");
  const first = await client.responses.create({ model, input });
  assert.equal(first.status, "completed");
  const second = await client.responses.create({ model, input: "And now?", previous_response_id: first.id });
  assert.equal(second.status, "completed");
}

await forget(pdf.id);
const model = "gpt-sim-large";
const names = (path) => (error) => error.status === 404 && error.param === path;
const asked = client.chat.completions.create({ model, messages });
await assert.rejects(asked, names("messages[0].content[0].file.file_id"));
await assert.rejects(client.responses.create({ model, input }), names("input[0].content[0].file_id"));
console.log("ok");
