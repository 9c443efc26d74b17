// The real packages, an endpoint that follows a script, and a real server.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { createOpenAI } from "@ai-sdk/openai";
import { generateText } from "ai";
import OpenAI from "openai";
import { recordingFetch } from "./attestry.mjs";

const store = mkdtempSync(join(tmpdir(), "attestry-"));
const serve = spawn(process.env.ATTESTRY, [
  "--store", join(store, "audit"), "serve", "--store-content", "--listen", "127.0.0.1:0",
]);
let printed = "";
for (const output of [serve.stdout, serve.stderr]) output.on("data", (data) => (printed += data));
while (!/http:\/\/127\.0\.0\.1:\d+/.test(printed)) {
  assert.equal(serve.exitCode, null, printed);
  await new Promise((resolve) => setTimeout(resolve, 20));
}
const url = printed.match(/http:\/\/127\.0\.0\.1:\d+/)[0];

const chunk = (delta, finish_reason = null) =>
  `data: ${JSON.stringify({ id: "c", object: "chat.completion.chunk", created: 1, model: "m", choices: [{ index: 0, delta, finish_reason }] })}\n\n`;
const provider = createServer(async (request, response) => {
  let body = "";
  for await (const part of request) body += part;
  const { stream, model } = JSON.parse(body);
  if (model === "busy") {
    response.writeHead(429, { "content-type": "application/json" });
    response.end('{"error": {"message": "slow down"}}');
    return;
  }
  if (stream) {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(chunk({ content: "for" }));
    if (model === "endless") return;
    response.end(chunk({ content: "ty" }) + chunk({}, "stop") + "data: [DONE]\n\n");
    return;
  }
  response.writeHead(200, { "content-type": "application/json" });
  const choices = [{ index: 0, finish_reason: "stop", message: { role: "assistant", content: "4" } }];
  const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 };
  response.end(JSON.stringify({ id: "c", object: "chat.completion", created: 1, model: "m", choices, usage }));
});
provider.listen(0, "127.0.0.1");
await once(provider, "listening");
const baseURL = `http://127.0.0.1:${provider.address().port}/v1`;

test.after(() => {
  serve.kill("SIGTERM");
  provider.closeAllConnections();
  provider.close();
});

const ends = async (model) => {
  const response = await fetch(`${url}/v1/entries?phase=end&model=${model}`);
  return (await response.json()).entries;
};
const messages = [{ role: "user", content: "2+2?" }];
const record = recordingFetch({ url, metadata: () => ({ "user.id": "ada" }) });
const client = new OpenAI({ apiKey: "secret", baseURL, fetch: record, maxRetries: 0 });

test("openai: an answer", async () => {
  const answer = await client.chat.completions.create({ model: "plain", messages });
  assert.equal(answer.choices[0].message.content, "4");
  const [entry] = await ends("plain");
  assert.equal(entry.metadata["user.id"], "ada");
  assert.match(entry.input_content, /2\+2\?/);
  assert.match(entry.output_content, /"content":"4"/);
  assert.ok(!JSON.stringify(entry).includes("secret"));
});

test("openai: a stream", async () => {
  let text = "";
  const stream = await client.chat.completions.create({ model: "streamed", messages, stream: true });
  for await (const part of stream) text += part.choices[0].delta.content ?? "";
  assert.equal(text, "forty");
  const [entry] = await ends("streamed");
  assert.match(entry.output_content, /\[DONE\]/);
});

test("openai: a stream that the client leaves", async () => {
  const stream = await client.chat.completions.create({ model: "endless", messages, stream: true });
  for await (const part of stream) {
    assert.equal(part.choices[0].delta.content, "for");
    break;
  }
  for (let i = 0; i < 200 && (await ends("endless")).length === 0; i++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const [entry] = await ends("endless");
  assert.equal(entry.metadata["attestry.outcome"], "cut_off");
});

test("openai: an error", async () => {
  await assert.rejects(client.chat.completions.create({ model: "busy", messages }), /429/);
  const [entry] = await ends("busy");
  assert.equal(entry.metadata["error.type"], "429");
});

test("ai: an answer", async () => {
  const openai = createOpenAI({ apiKey: "x", baseURL, fetch: record });
  const { text } = await generateText({ model: openai.chat("vercel"), prompt: "2+2?" });
  assert.equal(text, "4");
  assert.equal((await ends("vercel")).length, 1);
});

test("what cannot be recorded is not sent", async () => {
  const broken = recordingFetch({ url: "http://127.0.0.1:1" });
  const client = new OpenAI({ apiKey: "x", baseURL, fetch: broken, maxRetries: 0 });
  await assert.rejects(client.chat.completions.create({ model: "unseen", messages }));
});
