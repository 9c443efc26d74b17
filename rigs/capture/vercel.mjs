// Records the spans of the Vercel AI SDK as OTLP/JSON. Run by `cargo xtask capture`.
// Arguments: the URL of the model, and the folder for the fixtures.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { JsonTraceSerializer } from "@opentelemetry/otlp-transformer";
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { generateText, streamText, tool } from "ai";
import { z } from "zod";

const [url, out] = process.argv.slice(2);
const { version } = JSON.parse(readFileSync("node_modules/ai/package.json", "utf8"));
const exporter = new InMemorySpanExporter();
const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
const telemetry = {
  isEnabled: true,
  tracer: provider.getTracer("ai"),
  metadata: { userId: "u-1", sessionId: "s-1" },
};
const model = createOpenAICompatible({ name: "local", baseURL: `${url}/v1` })("smollm2");
const call = {
  model,
  system: "You are brief.",
  prompt: "Name one colour of the rainbow. Answer with one word.",
  maxOutputTokens: 8,
  temperature: 0,
  experimental_telemetry: telemetry,
};
await generateText(call);
await streamText(call).consumeStream();
await generateText({
  ...call,
  maxOutputTokens: 48,
  toolChoice: "required",
  tools: {
    colour: tool({
      description: "The colour of a thing.",
      inputSchema: z.object({ thing: z.string() }),
      execute: async () => "blue",
    }),
  },
}).catch(() => {});
const folder = `${out}/vercel-ai-${version}`;
mkdirSync(folder, { recursive: true });
const batch = JsonTraceSerializer.serializeRequest(exporter.getFinishedSpans());
// Without the paths of this machine, in stack traces.
const text = new TextDecoder().decode(batch).replace(/(file:\/\/)?\/[^\s"\\]*\/(?=[^/\s"\\]+\.(m?js|ts))/g, "");
writeFileSync(`${folder}/spans.jsonl`, `${text}\n`);
console.log("captured vercel");
