import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import Anthropic, { toFile } from "@anthropic-ai/sdk";

const PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const baseURL = "http://localhost:8080/anthropic";
const client = new Anthropic({ baseURL, apiKey: `sk-bf-${randomUUID()}`, maxRetries: 0 });
const upload = async (bytes, name) => client.beta.files.upload({ file: await toFile(bytes, name) });
const byId = (type, file) => ({ type, source: { type: "file", file_id: file.id } });
const question = (...blocks) => ({
  max_tokens: 100,
  messages: [{ role: "user", content: [...blocks, { type: "text", text: "Hello!" }] }],
});

const pdf = await upload(Buffer.from("%PDF-1.7"), "a.pdf");
const text = await upload(Buffer.from("Grüße"), "a.txt");
const pixel = await upload(Buffer.from(PIXEL, "base64"), "a.png");
const asked = question(byId("document", pdf), byId("document", text), byId("image", pixel));
for (const model of ["claude-sim-large", "openai/gpt-sim-large"]) {
  const message = await client.beta.messages.create({ model, betas: ["files-api-2025-04-14"], ...asked });
  assert.equal(message.stop_reason, "end_turn");
  const streamed = await client.messages.stream({ model, ...asked }).finalMessage();
  assert.equal(streamed.content[0].text, message.content[0].text);
}

const model = "claude-sim-large";
const names = (status) => (error) => error.status === status && /messages\.0\.content\.0\.source\.file_id/.test(error);
await assert.rejects(client.messages.create({ model, ...question(byId("image", pdf)) }), names(400));
await client.beta.files.delete(pdf.id);
await assert.rejects(client.messages.create({ model, ...asked }), names(404));
console.log("ok");
