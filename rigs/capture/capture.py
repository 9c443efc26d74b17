"""Records what real clients send and what their telemetry says, as fixtures of attestry-genai.

Starts a small model (llama.cpp's server), a proxy that keeps the bodies that pass it, and a receiver of OTLP/HTTP.
Each client then makes the same calls. Run by `cargo xtask capture`; CONTRIBUTING.md says when.
"""

import argparse
import base64
import http.server
import importlib.metadata
import json
import os
import pathlib
import re
import threading
import time
import urllib.request

QUESTION = "Name one colour of the rainbow. Answer with one word."
SYSTEM = "You are brief."
MODEL = "smollm2"


class Model:
    """llama.cpp's own server with the model in the file `path`."""

    def __init__(self, path):
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.hostnames = ["127.0.0.1"]
        params.port = 18080
        params.n_parallel = 1
        params.n_ctx = 2048
        self.server = xllamacpp.Server(params)
        self.url = self.server.listening_address
        for _ in range(300):
            try:
                with urllib.request.urlopen(self.url + "/health") as answer:
                    if answer.status == 200:
                        return
            except OSError:
                time.sleep(0.2)
        raise SystemExit("the model does not answer")


class Proxy(http.server.BaseHTTPRequestHandler):
    """Passes requests on to the model, and keeps the last request and response."""

    upstream = ""
    last = {}

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        request = urllib.request.Request(Proxy.upstream + self.path, body, {"content-type": "application/json"})
        try:
            answer = urllib.request.urlopen(request)
        except urllib.error.HTTPError as error:
            answer = error
        data = answer.read()
        Proxy.last = {"path": self.path, "request": body, "status": answer.status, "response": data,
                      "type": answer.headers.get("content-type", "")}
        self.send_response(answer.status)
        self.send_header("content-type", Proxy.last["type"])
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


class Receiver(http.server.BaseHTTPRequestHandler):
    """Receives OTLP/HTTP with protobuf, and keeps it as the Collector's file exporter writes it."""

    batches = []

    def do_POST(self):
        from google.protobuf.json_format import MessageToDict
        from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        kind = ExportTraceServiceRequest if self.path.endswith("traces") else ExportLogsServiceRequest
        message = kind()
        message.ParseFromString(body)
        Receiver.batches.append(hex_ids(MessageToDict(message, use_integers_for_enums=True)))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def hex_ids(value):
    """Ids in hexadecimal: protobuf's own JSON has them in base64."""
    if isinstance(value, list):
        return [hex_ids(item) for item in value]
    if isinstance(value, dict):
        return {
            key: base64.b64decode(item).hex() if key in ("traceId", "spanId", "parentSpanId") else hex_ids(item)
            for key, item in value.items()
        }
    return value


def serve(handler):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


class Output:
    """The folder of one client and its version."""

    def __init__(self, root, name, package=None):
        version = importlib.metadata.version(package or name)
        self.folder = root / f"{name}-{version}"
        self.folder.mkdir(parents=True, exist_ok=True)

    def bodies(self, name):
        last = Proxy.last
        is_stream = "event-stream" in last["type"]
        (self.folder / f"{name}.request.json").write_bytes(last["request"])
        (self.folder / f"{name}.response.{'sse' if is_stream else 'json'}").write_bytes(last["response"])

    def lines(self, name, values):
        text = "".join(json.dumps(value, default=str) + "\n" for value in values)
        # Paths of this machine, in stack traces.
        text = re.sub(r'/[^\s"\\]*/(?=[^/\s"\\]+\.(py|m?js|ts))', "", text)
        (self.folder / f"{name}.jsonl").write_text(text)

    def telemetry(self, name):
        batches, Receiver.batches = Receiver.batches, []
        self.lines(name, batches)


def openai_client(proxy):
    import openai

    return openai.OpenAI(base_url=proxy + "/v1", api_key="none")


MESSAGES = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION}]
TOOLS = [{"type": "function", "function": {"name": "colour", "description": "The colour of a thing.", "parameters": {
    "type": "object", "properties": {"thing": {"type": "string"}}, "required": ["thing"]}}}]


def capture_openai(root, proxy):
    client, output = openai_client(proxy), Output(root, "openai")
    client.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=8, temperature=0, seed=1)
    output.bodies("chat")
    stream = client.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=8, temperature=0, stream=True,
                                            stream_options={"include_usage": True})
    list(stream)
    output.bodies("chat_stream")
    client.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=32, temperature=0, tools=TOOLS,
                                   tool_choice="required")
    output.bodies("chat_tools")
    client.responses.create(model=MODEL, instructions=SYSTEM, input=QUESTION, max_output_tokens=8)
    output.bodies("responses")
    list(client.responses.create(model=MODEL, instructions=SYSTEM, input=QUESTION, max_output_tokens=8, stream=True))
    output.bodies("responses_stream")
    client.completions.create(model=MODEL, prompt="The sky is", max_tokens=4, temperature=0)
    output.bodies("completions")


def anthropic_client(proxy):
    import anthropic

    return anthropic.Anthropic(base_url=proxy, api_key="none")


def call_anthropic(client):
    return client.messages.create(model=MODEL, system=SYSTEM, max_tokens=8,
                                  messages=[{"role": "user", "content": QUESTION}])


def capture_anthropic(root, proxy):
    client, output = anthropic_client(proxy), Output(root, "anthropic")
    call_anthropic(client)
    output.bodies("messages")
    with client.messages.stream(model=MODEL, system=SYSTEM, max_tokens=8,
                                messages=[{"role": "user", "content": QUESTION}]) as stream:
        stream.get_final_message()
    output.bodies("messages_stream")


def providers(receiver):
    from opentelemetry import trace
    from opentelemetry._logs import set_logger_provider
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    resource = Resource({"service.name": "capture"})
    traces = TracerProvider(resource=resource)
    traces.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(receiver + "/v1/traces")))
    trace.set_tracer_provider(traces)
    logs = LoggerProvider(resource=resource)
    logs.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter(receiver + "/v1/logs")))
    set_logger_provider(logs)
    try:
        # Events had an API of their own in older versions.
        from opentelemetry._events import set_event_logger_provider
        from opentelemetry.sdk._events import EventLoggerProvider
    except ImportError:
        return
    set_event_logger_provider(EventLoggerProvider(logs))


def capture_telemetry(root, proxy, receiver, kind):
    """One instrumentation a process: they would see one another's calls."""
    providers(receiver)
    if kind == "anthropic-sdk":
        output = Output(root, "anthropic-sdk", "anthropic")
        call_anthropic(anthropic_client(proxy))
        return output.telemetry("spans")
    if kind == "traceloop-anthropic":
        from opentelemetry.instrumentation.anthropic import AnthropicInstrumentor

        AnthropicInstrumentor().instrument()
        output = Output(root, "traceloop-anthropic", "opentelemetry-instrumentation-anthropic")
        call_anthropic(anthropic_client(proxy))
        return output.telemetry("spans")
    if kind == "traceloop-openai":
        from opentelemetry.instrumentation.openai import OpenAIInstrumentor

        output = Output(root, "traceloop-openai", "opentelemetry-instrumentation-openai")
    elif kind == "openinference-openai":
        from openinference.instrumentation.openai import OpenAIInstrumentor

        output = Output(root, "openinference-openai", "openinference-instrumentation-openai")
    else:
        from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor

        output = Output(root, kind, "opentelemetry-instrumentation-openai-v2")
    OpenAIInstrumentor().instrument()
    client = openai_client(proxy)
    client.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=8, temperature=0)
    list(client.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=8, temperature=0, stream=True))
    output.telemetry("spans")


def capture_litellm(root, proxy):
    import litellm
    from litellm.integrations.custom_logger import CustomLogger

    payloads = []

    class Keep(CustomLogger):
        def log_success_event(self, kwargs, response_obj, start_time, end_time):
            payloads.append(kwargs["standard_logging_object"])

        def log_failure_event(self, kwargs, response_obj, start_time, end_time):
            payloads.append(kwargs["standard_logging_object"])

    litellm.callbacks = [Keep()]
    output = Output(root, "litellm")
    for more in ({}, {"stream": True}):
        answer = litellm.completion(model="openai/" + MODEL, api_base=proxy + "/v1", api_key="none", messages=MESSAGES,
                                    max_tokens=8, temperature=0, user="u-1", **more)
        if more:
            list(answer)
    try:
        litellm.completion(model="openai/" + MODEL, api_base=proxy + "/nowhere", api_key="none", messages=MESSAGES,
                           num_retries=0)
    except Exception:
        pass
    for _ in range(100):
        if len(payloads) >= 3:
            break
        time.sleep(0.1)
    output.lines("objects", payloads)


def capture_langchain(root, proxy):
    from langchain_core.tracers.run_collector import RunCollectorCallbackHandler
    from langchain_openai import ChatOpenAI

    output, runs = Output(root, "langchain-openai"), RunCollectorCallbackHandler(_schema_format="original+chat")
    model = ChatOpenAI(model=MODEL, base_url=proxy + "/v1", api_key="none", max_tokens=8, temperature=0)
    model.invoke([("system", SYSTEM), ("human", QUESTION)], config={"callbacks": [runs], "metadata": {"thread_id": "s-1"}})
    lines = [run.model_dump(exclude={"serialized"}) for run in runs.traced_runs]
    output.lines("runs", lines)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--model", type=pathlib.Path, required=True)
    arguments.add_argument("--out", type=pathlib.Path, required=True)
    arguments.add_argument("--serve", action="store_true", help="only serve the model, for clients in other languages")
    arguments.add_argument("kinds", nargs="*")
    options = arguments.parse_args()
    model = None if "MODEL_URL" in os.environ else Model(options.model)
    Proxy.upstream = os.environ.get("MODEL_URL") or model.url
    if options.serve:
        print(Proxy.upstream, flush=True)
        threading.Event().wait()
    proxy, receiver = serve(Proxy), serve(Receiver)
    for kind in options.kinds:
        if kind in ("openai", "anthropic", "litellm", "langchain"):
            globals()["capture_" + kind](options.out, proxy)
        else:
            capture_telemetry(options.out, proxy, receiver, kind)
        print(f"captured {kind}", flush=True)


if __name__ == "__main__":
    main()
