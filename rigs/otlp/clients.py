"""Calls a small model with an instrumentation that sends its telemetry to `attestry serve`, then checks that each call
is one entry whose hashes match the texts. Run by `cargo xtask otlp`; prints one line of JSON.
"""

import argparse
import hashlib
import json
import time
import urllib.request

QUESTION = "Name one colour of the rainbow. Answer with one word. Call {}."
SYSTEM = "You are brief."
MODEL = "smollm2"


def exporters(transport, http, grpc):
    if transport == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
        from grpc import Compression

        settings = {"endpoint": grpc, "insecure": True, "compression": Compression.Gzip}
        return OTLPSpanExporter(**settings), OTLPLogExporter(**settings)
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return (OTLPSpanExporter(http + "/v1/traces", compression=Compression.Gzip),
            OTLPLogExporter(http + "/v1/logs", compression=Compression.Gzip))


def providers(transport, http, grpc):
    """Batches, as services configure them."""
    from opentelemetry import trace
    from opentelemetry._logs import set_logger_provider
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    spans, records = exporters(transport, http, grpc)
    resource = Resource({"service.name": "client"})
    traces = TracerProvider(resource=resource)
    traces.add_span_processor(BatchSpanProcessor(spans))
    trace.set_tracer_provider(traces)
    logs = LoggerProvider(resource=resource)
    logs.add_log_record_processor(BatchLogRecordProcessor(records))
    set_logger_provider(logs)
    return traces, logs


def call_openai(kind, model, number):
    """A call, whole or streamed; returns its input and output."""
    import openai

    client = openai.OpenAI(base_url=model + "/v1", api_key="none")
    question = QUESTION.format(number)
    request = {"model": MODEL, "max_tokens": 8, "temperature": 0, "messages": [
        {"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]}
    if number % 2:
        chunks = list(client.chat.completions.create(stream=True, **request))
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    else:
        text = client.chat.completions.create(**request).choices[0].message.content
    return [("system", SYSTEM), ("user", question)], text


def call_anthropic(kind, model, number):
    import anthropic

    client = anthropic.Anthropic(base_url=model, api_key="none")
    question = QUESTION.format(number)
    answer = client.messages.create(model=MODEL, system=SYSTEM, max_tokens=8,
                                    messages=[{"role": "user", "content": question}])
    return [("system", SYSTEM), ("user", question)], answer.content[0].text


def canonical(messages):
    """The text that is hashed, as docs/metadata.md describes it."""
    parts = [{"parts": [{"content": text, "type": "text"}], "role": role} for role, text in messages]
    return json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def get(http, path):
    with urllib.request.urlopen(http + path) as answer:
        return json.load(answer)


def entries(http):
    return get(http, "/v1/entries?limit=1000")["entries"]


def check(entry, texts, output):
    wanted = hashlib.sha256(canonical(texts).encode()).hexdigest()
    assert entry["input_hash"] == wanted, (entry["input_content"], canonical(texts))
    messages = json.loads(entry["output_content"])
    stored = "".join(part["content"] for message in messages for part in message["parts"])
    assert stored == output, (stored, output)
    assert entry["output_hash"] == hashlib.sha256(entry["output_content"].encode()).hexdigest()
    assert entry["metadata"]["service.name"] == "client"
    assert "attestry.adds_to" not in entry["metadata"]


def instrument(kind):
    if kind == "anthropic-sdk":
        return call_anthropic
    if kind == "traceloop-anthropic":
        from opentelemetry.instrumentation.anthropic import AnthropicInstrumentor

        AnthropicInstrumentor().instrument()
        return call_anthropic
    if kind == "traceloop-openai":
        from opentelemetry.instrumentation.openai import OpenAIInstrumentor
    elif kind == "openinference-openai":
        from openinference.instrumentation.openai import OpenAIInstrumentor
    else:
        from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor
    OpenAIInstrumentor().instrument()
    return call_openai


def wait_for(model):
    """The model is loaded some seconds after its server was started."""
    for _ in range(300):
        try:
            with urllib.request.urlopen(model + "/health") as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.2)
    raise SystemExit("the model does not answer")


def main():
    arguments = argparse.ArgumentParser()
    for name in ("--model", "--http", "--grpc", "--transport", "--kind"):
        arguments.add_argument(name, required=True)
    arguments.add_argument("--calls", type=int, default=2)
    options = arguments.parse_args()
    wait_for(options.model)
    before = {entry["id"] for entry in entries(options.http)}
    call = instrument(options.kind)
    traces, logs = providers(options.transport, options.http, options.grpc)
    made = [call(options.kind, options.model, number) for number in range(options.calls)]
    traces.shutdown()
    logs.shutdown()
    # Parts that wait for one another are written when all of them are there.
    deadline = time.monotonic() + 60
    while True:
        new = [entry for entry in entries(options.http) if entry["id"] not in before]
        if len(new) >= len(made) or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    assert len(new) == len(made), f"{len(new)} entries of {len(made)} calls"
    for entry, (texts, output) in zip(sorted(new, key=lambda entry: entry["timestamp"]), made):
        check(entry, texts, output)
    print(json.dumps({"kind": options.kind, "transport": options.transport, "calls": len(made)}))


if __name__ == "__main__":
    main()
