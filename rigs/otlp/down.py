"""The server is killed, and is down for a minute while a program goes on: its SDK loses nothing that fits its queue.
Run by `cargo xtask otlp`. Arguments: the program `attestry`, a folder for the store, the seconds that it is down.
"""

import json
import re
import subprocess
import sys
import time
import urllib.request

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor


def start(program, store, address):
    arguments = [program, "--store", store, "serve", "--store-content", "--listen", address]
    process = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if found := re.search(r"listening on http://(\S+)", line):
            return process, found[1]
    raise AssertionError("the server ended")


def call(tracer, number):
    def messages(role, text):
        return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}]}])

    with tracer.start_as_current_span("chat", attributes={
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai",
        "gen_ai.input.messages": messages("user", f"question {number}"),
        "gen_ai.output.messages": messages("assistant", f"answer {number}"),
    }):
        pass


def main():
    program, store, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3])
    process, address = start(program, store, "127.0.0.1:0")
    exporter = OTLPSpanExporter(f"http://{address}/v1/traces")
    # The exporter tries a batch six times within half a minute, then drops it: what the SDK keeps is its queue.
    processor = BatchSpanProcessor(exporter, schedule_delay_millis=2000 * seconds)
    provider = TracerProvider()
    provider.add_span_processor(processor)
    tracer, number = provider.get_tracer("test"), 0
    for _ in range(20):
        call(tracer, number)
        number += 1
    provider.force_flush()
    process.kill()
    process.wait()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        call(tracer, number)
        number += 1
        time.sleep(0.2)
    process, _ = start(program, store, address)
    try:
        provider.force_flush(4000 * seconds)
        provider.shutdown()
        with urllib.request.urlopen(f"http://{address}/v1/entries?limit=1000") as answer:
            entries = json.load(answer)["entries"]
        found = sorted(int(re.search(r"question (\d+)", entry["input_content"])[1]) for entry in entries)
        assert found == list(range(number)), f"{len(found)} of {number}"
        print(json.dumps({"kind": "down", "seconds": seconds, "calls": number}))
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
