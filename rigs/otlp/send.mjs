// Sends spans by the exporter of OpenTelemetry for JavaScript. Run by `cargo xtask otlp`.
// Argument: the URL of the server.

import { OTLPTraceExporter as JsonExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as ProtobufExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";

const [url] = process.argv.slice(2);
const messages = (role, content) => JSON.stringify([{ role, parts: [{ type: "text", content }] }]);
for (const [name, Exporter] of [["json", JsonExporter], ["protobuf", ProtobufExporter]]) {
  const exporter = new Exporter({ url: `${url}/v1/traces`, compression: "gzip" });
  const provider = new BasicTracerProvider({
    resource: resourceFromAttributes({ "service.name": `js-${name}` }),
    spanProcessors: [new BatchSpanProcessor(exporter)],
  });
  const span = provider.getTracer("test").startSpan("chat gpt-4", {
    attributes: {
      "gen_ai.operation.name": "chat",
      "gen_ai.provider.name": "openai",
      "gen_ai.request.model": "gpt-4",
      "gen_ai.usage.input_tokens": 5,
      "gen_ai.input.messages": messages("user", `question of ${name}`),
      "gen_ai.output.messages": messages("assistant", `answer of ${name}`),
    },
  });
  span.end();
  await provider.shutdown();
  const found = await fetch(`${url}/v1/entries?metadata=service.name%3Djs-${name}`);
  const { entries } = await found.json();
  if (entries.length !== 1 || !entries[0].output_content.includes(`answer of ${name}`)) {
    throw new Error(`${name}: ${JSON.stringify(entries)}`);
  }
  console.log(`js ${name}: one entry`);
}
