import assert from "node:assert/strict";
import { createHash, randomUUID } from "node:crypto";
import OpenAI, { toFile } from "openai";

const client = new OpenAI({ baseURL: "http://localhost:8080/openai", apiKey: `sk-bf-${randomUUID()}` });
const whole = Buffer.alloc(256_000, "0123456789");
const order = { filename: "large.bin", bytes: whole.length, mime_type: "application/octet-stream", purpose: "user_data" };

const upload = await client.uploads.create(order);
assert.deepEqual([upload.status, upload.expires_at], ["pending", upload.created_at + 3600]);
const parts = [];
for (const piece of [whole.subarray(0, 100_000), whole.subarray(100_000)]) {
  parts.push((await client.uploads.parts.create(upload.id, { data: await toFile(piece, "part") })).id);
}
const md5 = createHash("md5").update(whole).digest("hex");
const done = await client.uploads.complete(upload.id, { part_ids: parts, md5 });
assert.deepEqual([done.status, done.file.bytes], ["completed", whole.length]);
const content = await client.files.content(done.file.id);
assert.ok(Buffer.from(await content.arrayBuffer()).equals(whole));

const dropped = await client.uploads.create(order);
assert.equal((await client.uploads.cancel(dropped.id)).status, "cancelled");
console.log("ok");
