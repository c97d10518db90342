import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import Anthropic, { toFile } from "@anthropic-ai/sdk";

const client = new Anthropic({ baseURL: "http://localhost:8080/anthropic", apiKey: `sk-bf-${randomUUID()}` });
const files = client.beta.files;
const ids = async (query) => {
  const found = [];
  for await (const file of files.list(query)) found.push(file.id);
  return found;
};

const file = await files.upload({ file: await toFile(Buffer.from("Grüße"), "notes.txt", { type: "text/plain" }) });
assert.deepEqual([file.type, file.filename, file.mime_type], ["file", "notes.txt", "text/plain"]);
assert.deepEqual([file.size_bytes, file.size, file.downloadable], [7, 7, true]);
const { _request_id: one, ...shown } = file;
const { _request_id: two, ...found } = await files.retrieveMetadata(file.id);
assert.deepEqual(found, shown);
assert.equal(await (await files.download(file.id)).text(), "Grüße");

const made = [file.id];
for (let number = 0; number < 4; number += 1) {
  made.unshift((await files.upload({ file: await toFile(Buffer.from("x"), `${number}.txt`) })).id);
}
assert.deepEqual(await ids({ limit: 2 }), made);
assert.deepEqual(await ids(), made);
for (const id of made) {
  const { _request_id: three, ...gone } = await files.delete(id);
  assert.deepEqual(gone, { id, type: "file_deleted" });
}
assert.deepEqual(await ids(), []);
await assert.rejects(files.retrieveMetadata(file.id), (error) => error.status === 404);
console.log("ok");
