"""Has checkpoints cosigned by aics-witness and stamped by openssl, and verifies what came back with
aics-tlog and rfc3161-client.

usage: anchors.py PROGRAM FOLDER

Prints a JSON object: the leaves that the witness has cosigned, whether it saw that a store was rolled back,
the leaves that aics-tlog found to have grown in exported tiles, and how many timestamps rfc3161-client accepts.
"""

import contextlib
import json
import pathlib
import shutil
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

from cryptography import x509
from rfc3161_client import VerificationError, VerifierBuilder, decode_timestamp_response

PROGRAM, FOLDER = sys.argv[1], pathlib.Path(sys.argv[2])
TOOLS = pathlib.Path(sys.executable).parent
STORE = FOLDER / "store"


def run(command, status=0):
    done = subprocess.run([str(part) for part in command], cwd=FOLDER, capture_output=True, text=True)
    if done.returncode != status:
        raise SystemExit(f"{command} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout, done.stderr


def attestry(*arguments, status=0):
    return run([PROGRAM, "--store", STORE, *arguments], status)


def sign(*arguments, status=0, state="state"):
    return attestry("--signing-key", "signing.key", "--state", state, *arguments, status=status)


def log(text, *anchors):
    sign("log", "--input", text, "--output", "b", *anchors)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def witness(public_key):
    """Starts a witness that knows the log; returns the process, and its URL and key."""
    port = free_port()
    tool = [TOOLS / "aics-witness"]
    init = ["init", "--config", "w.json", "--name", "w.example", "--listen", f"127.0.0.1:{port}"]
    key, _ = run(tool + init)
    run(tool + ["add-log", "--config", "w.json", "--origin", "example.com/audit", "--vkey", public_key])
    process = subprocess.Popen([str(TOOLS / "aics-witness"), "serve", "--config", "w.json"], cwd=FOLDER,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return process, f"http://127.0.0.1:{port}+{key.strip()}"
        except OSError:
            time.sleep(0.05)
    raise SystemExit("the witness does not start")


def check_witness(public_key):
    process, text = witness(public_key)
    try:
        for number in range(3):
            log(f"w{number}", "--witness", text)
        attestry("verify", "--public-key", "signing.key.pub", "--witness", text)
        status, _ = run([TOOLS / "aics-witness", "status", "--config", "w.json", "--json"])
        cosigned = json.loads(status)["logs"][0]["size"]
        # An older copy of the store, signed on another machine: the witness remembers.
        shutil.copytree(STORE, FOLDER / "older")
        log("more", "--witness", text)
        STORE.rename(FOLDER / "newer")
        (FOLDER / "older").rename(STORE)
        shutil.rmtree(STORE / ".attestry/anchors")
        _, warnings = sign("checkpoint", "--witness", text, "--anchor-timeout", "5s", status=1,
                           state="other")
        shutil.rmtree(STORE)
        (FOLDER / "newer").rename(STORE)
        return cosigned, "CONTRADICTION" in warnings
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def served():
    """The URL of a server that reads the store."""
    command = [PROGRAM, "--store", STORE, "serve", "--read-only", "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(command, cwd=FOLDER, stderr=subprocess.PIPE, text=True)
    try:
        # Lines of the store come before.
        line = next(line for line in process.stderr if "listening on " in line)
        yield line.split("listening on ")[1].strip()
    finally:
        process.terminate()
        process.wait()


def check_tiles():
    """Exports tiles twice; aics-tlog verifies the growth from the one to the other, also as the server has it."""
    tool = [TOOLS / "aics-tlog", "verify-consistency", "--vkey-file", "signing.key.pub"]
    attestry("export", "--tiles", "www")
    shutil.copy(FOLDER / "www/checkpoint", FOLDER / "before")
    lines = "".join(f'{{"input": "t{n}", "output": "a"}}\n' for n in range(300))
    (FOLDER / "more.jsonl").write_text(lines)
    sign("import", "more.jsonl")
    attestry("export", "--tiles", "www")
    run(tool + ["--old-checkpoint", "before", "--tiles", "www"])
    with served() as url:
        run(tool + ["--old-checkpoint", "before", "--tiles", url])
    return [int((FOLDER / name).read_text().split("\n")[1]) for name in ("before", "www/checkpoint")]


def make_authority():
    """Keys and settings of a timestamp authority."""
    new = ["openssl", "req", "-nodes", "-newkey", "rsa:2048"]
    run(new + ["-x509", "-days", "9", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=CA"])
    run(new + ["-keyout", "tsa.key", "-out", "tsa.csr", "-subj", "/CN=TSA"])
    (FOLDER / "ext").write_text("extendedKeyUsage=critical,timeStamping\n")
    by = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "ext"]
    run(["openssl", "x509", "-req", "-in", "tsa.csr", "-days", "9", "-out", "tsa.pem"] + by)
    (FOLDER / "serial").write_text("01")
    (FOLDER / "tsa.cnf").write_text(
        "[tsa]\ndefault_tsa=a\n[a]\nserial=serial\nsigner_cert=tsa.pem\nsigner_key=tsa.key\n"
        "signer_digest=sha256\ndefault_policy=1.2.3.4.1\ndigests=sha256\ness_cert_id_alg=sha256\n"
    )


class Authority(BaseHTTPRequestHandler):
    def do_POST(self):
        (FOLDER / "query").write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
        run(["openssl", "ts", "-reply", "-config", "tsa.cnf", "-queryfile", "query", "-out", "reply"])
        self.send_response(200)
        self.send_header("Content-Type", "application/timestamp-reply")
        self.end_headers()
        self.wfile.write((FOLDER / "reply").read_bytes())

    def log_message(self, *_):
        pass


def check_timestamps():
    make_authority()
    server = HTTPServer(("127.0.0.1", 0), Authority)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for number in range(3):
        log(f"s{number}", "--tsa", f"http://127.0.0.1:{server.server_port}/")
    server.shutdown()
    attestry("verify", "--public-key", "signing.key.pub", "--tsa-ca", "ca.pem")
    root = x509.load_pem_x509_certificate((FOLDER / "ca.pem").read_bytes())
    verifier = VerifierBuilder().add_root_certificate(root).build()
    accepted = 0
    for path in sorted((STORE / ".attestry/timestamps").glob("*.tsr")):
        reply = decode_timestamp_response(path.read_bytes())
        note = path.with_name(path.name.split(".")[0] + ".checkpoint").read_bytes()
        if not verifier.verify_message(reply, note):
            raise SystemExit(f"{path} is not accepted")
        try:
            verifier.verify_message(reply, note + b"x")
        except VerificationError:
            accepted += 1
    return accepted


def main():
    attestry("key", "generate", "--signing", "--name", "example.com/audit", "--out", "signing.key")
    public_key = (FOLDER / "signing.key.pub").read_text().strip()
    cosigned, contradiction = check_witness(public_key)
    grown = check_tiles()
    stamped = check_timestamps()
    print(json.dumps({"cosigned": cosigned, "contradiction": contradiction, "grown": grown,
                      "stamped": stamped}))


main()
