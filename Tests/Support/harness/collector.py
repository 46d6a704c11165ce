"""A collector of spans: takes OTLP/HTTP JSON as strictly as its schema says it, and keeps it."""

import base64
import http.server
import json
import ssl
import threading

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from .waiting import until

# OTLP's JSON has ids in hexadecimal where protobuf's own has base64.
IDS = {"traceId": 32, "spanId": 16, "parentSpanId": 16}


class Collector:
    """`status` and `fields` are what it answers; `held` is an event to wait for before it does."""

    def __init__(self, certificate_files=None, path="/v1/traces"):
        self.status, self.fields, self.answer = 200, {}, {}
        self.held = None
        self.path = path
        self.posts = []
        self.problems = []
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = collector.take(self.path, dict(self.headers), body)
                if collector.held:
                    collector.held.wait(30)
                answer = json.dumps(collector.answer).encode()
                self.send_response(status)
                for name, value in collector.fields.items():
                    self.send_header(name, value)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if certificate_files:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate_files["chain"], certificate_files["key"])
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        self.scheme = "https" if certificate_files else "http"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def take(self, path, headers, body):
        try:
            assert path == self.path, path
            assert headers["Content-Type"] == "application/json", headers
            document = json.loads(body)
            message = json_format.ParseDict(
                with_base64_ids(document), ExportTraceServiceRequest(), ignore_unknown_fields=False
            )
        except Exception as problem:  # Told to the test, whose thread this isn't.
            self.problems.append(f"{problem!r}: {body[:2000]!r}")
            return 400
        if self.status == 200:
            self.posts.append((message, body))
        return self.status

    def spans(self, trace=None):
        """Every span so far, of one trace where it is named; its resource beside it."""
        assert not self.problems, self.problems
        found = []
        for message, _ in list(self.posts):
            for resource in message.resource_spans:
                for scope in resource.scope_spans:
                    for span in scope.spans:
                        if trace in (None, span.trace_id.hex()):
                            found.append(Span(span, attributes(resource.resource.attributes)))
        return found

    def trace(self, trace, count):
        """Waits for so many spans of a trace, by their names."""
        spans = until(
            lambda: (s := self.spans(trace)) and len(s) >= count and s,
            f"{count} spans of {trace}; there are {[s.name for s in self.spans()]}",
        )
        assert len(spans) == count, [span.name for span in spans]
        return {span.name: span for span in spans}

    def close(self):
        if self.held:
            self.held.set()
        self.server.shutdown()
        self.server.server_close()


class Span:
    def __init__(self, message, resource):
        self.message, self.resource = message, resource
        self.name, self.kind = message.name, message.kind
        self.id, self.parent = message.span_id.hex(), message.parent_span_id.hex()
        self.trace = message.trace_id.hex()
        self.attributes = attributes(message.attributes)
        self.start, self.end = message.start_time_unix_nano, message.end_time_unix_nano
        self.failed = message.status.code == 2


def attributes(pairs):
    names = [pair.key for pair in pairs]
    assert len(names) == len(set(names)), f"an attribute twice: {names}"
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


def with_base64_ids(value):
    if isinstance(value, list):
        return [with_base64_ids(item) for item in value]
    if not isinstance(value, dict):
        return value
    changed = {}
    for name, item in value.items():
        if name in IDS:
            assert len(item) == IDS[name] and item == item.lower(), (name, item)
            item = base64.b64encode(bytes.fromhex(item)).decode()
        changed[name] = with_base64_ids(item)
    return changed
