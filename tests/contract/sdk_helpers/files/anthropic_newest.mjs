import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import Anthropic, { toFile } from "@anthropic-ai/sdk";

const client = new Anthropic({ baseURL: "http://localhost:8080/anthropic", apiKey: `sk-bf-${randomUUID()}` });
const file = await client.files.upload({ file: await toFile(Buffer.from("content"), "a.txt"), expires_in_seconds: 3600 });
assert.equal(Date.parse(file.expires_at) - Date.parse(file.created_at), 3_600_000);
assert.equal(await (await client.files.download(file.id)).text(), "content");
const made = [file.id];
for (let number = 0; number < 4; number += 1) {
  made.unshift((await client.files.upload({ file: await toFile(Buffer.from("x"), `${number}.txt`) })).id);
}
const found = [];
for await (const each of client.files.list({ limit: 2 })) found.push(each.id);
assert.deepEqual(found, made);
const named = await client.files.list({ ids: [made[2], "file_unknown"] });
assert.deepEqual(named.data.map((each) => each.id), [made[2]]);
assert.equal((await client.files.delete(file.id)).type, "file_deleted");
await assert.rejects(client.files.download(file.id), (error) => error.status === 404);
console.log("ok");
