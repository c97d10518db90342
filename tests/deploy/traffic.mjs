// The clients of `traffic.py` in JavaScript: the same requests, the same words on stdout.
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";

const [url, perS, name, apiKey, slow, stream] = process.argv.slice(2);
const WORDS = { plain: 20, chat: 20, job: 20, streamed: 10, streamed_chat: 10 };
const POLLS_EVERY_MS = 500;
const MOST_AT_ONCE = 200;

const anthropic = new Anthropic({ baseURL: `${url}/anthropic`, apiKey });
const openai = new OpenAI({ baseURL: `${url}/openai/v1`, apiKey });
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const words = (text) => text.split(/\s+/).filter(Boolean).length;

let asked = 0;
// No two alike: a retry would join any job of an equal request, not only that of its own first try.
const messages = () => [{ role: "user", content: `Hello ${name} ${asked}?` }];

const kinds = {
  async plain() {
    const message = await anthropic.messages.create({ model: slow, max_tokens: 99, messages: messages() });
    return words(message.content[0].text);
  },
  async chat() {
    const answer = await openai.chat.completions.create({ model: slow, messages: messages() });
    return words(answer.choices[0].message.content);
  },
  async streamed() {
    const events = anthropic.messages.stream({ model: stream, max_tokens: 99, messages: messages() });
    return words(await events.finalText());
  },
  async streamed_chat() {
    let text = "";
    const chunks = await openai.chat.completions.create({ model: stream, messages: messages(), stream: true });
    for await (const chunk of chunks) text += chunk.choices[0]?.delta.content ?? "";
    return words(text);
  },
  async job() {
    const question = { model: slow, max_tokens: 99, messages: messages() };
    const job = await anthropic.messages.create(question, { headers: { "x-bf-async": "true" } });
    let answer = job;
    while (!answer.content.length) {
      await sleep(POLLS_EVERY_MS);
      answer = await anthropic.messages.create(question, { headers: { "x-bf-async-id": job.id } });
    }
    return words(answer.content[0].text);
  },
};

const done = {};
const errors = [];

async function counted(kind) {
  try {
    const found = await kinds[kind]();
    if (found === WORDS[kind]) done[kind] = (done[kind] ?? 0) + 1;
    else errors.push(`${kind}: ${found} words`);
  } catch (error) {
    errors.push(`${kind}: ${error} ${error.cause ?? ""}`);
  }
}

let stopping = false;
process.on("SIGTERM", () => (stopping = true));
console.log("asking");
const began = performance.now();
const asking = new Set();
for (let due = began; !stopping; ) {
  if (asking.size < MOST_AT_ONCE) {
    const task = counted(Object.keys(kinds)[asked++ % 5]);
    asking.add(task);
    task.finally(() => asking.delete(task));
  }
  due = Math.max(due + 1000 / perS, performance.now() - 1000);
  await sleep(due - performance.now());
}
const askedS = (performance.now() - began) / 1000;
await Promise.all(asking);
console.log(JSON.stringify({ done, errors, per_s: asked / askedS }));
