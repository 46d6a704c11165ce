"""A strict HTTP/1.1 server over raw sockets that records what arrives and does as a test says."""

import hashlib
import json
import re
import socket
import ssl
import struct
import threading
import urllib.parse

from .promise import Promise, breaks

TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e]+) HTTP/1\.1")


class Nonsense(Exception):
    """The gateway sent what no HTTP/1.1 client may send."""


class Request:
    """One request as it arrived; `body` and `trailers` are filled in as it is read."""

    def __init__(self, head, connection):
        self.head = head
        self.connection = connection  # the serial number of the connection it came on
        lines = head[:-4].split(b"\r\n")
        if any(b"\r" in line or b"\n" in line for line in lines):
            raise Nonsense("a bare CR or LF in the head")
        line = REQUEST_LINE.fullmatch(lines[0])
        if not line:
            raise Nonsense(f"request line {lines[0]!r}")
        self.method, self.target = line.group(1).decode(), line.group(2).decode()
        self.fields = []
        for text in lines[1:]:
            name, colon, value = text.partition(b":")
            if not colon or not TOKEN.fullmatch(name):
                raise Nonsense(f"field line {text!r}")
            if re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", value):
                raise Nonsense(f"control characters in {text!r}")
            self.fields.append((name.decode(), value.strip(b" \t").decode("latin-1")))
        self.path, _, self.query = self.target.partition("?")
        self.body = b""
        self.body_size = 0
        self.trailers = []
        self.trailer_bytes = b""
        self.whole = False
        self.framing()

    def framing(self):
        """How the body ends; what is ambiguous is nonsense (RFC 9112 §6)."""
        lengths, codings = self.values("content-length"), self.values("transfer-encoding")
        if len(self.values("host")) != 1:
            raise Nonsense("not exactly one Host")
        if lengths and codings:
            raise Nonsense("Content-Length and Transfer-Encoding")
        if len(lengths) > 1 or (lengths and not lengths[0].isdecimal()):
            raise Nonsense(f"Content-Length {lengths}")
        if codings and codings != ["chunked"]:
            raise Nonsense(f"Transfer-Encoding {codings}")
        self.chunked = bool(codings)
        self.length = int(lengths[0]) if lengths else 0

    def values(self, name):
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def value(self, name):
        values = self.values(name)
        return values[0] if values else None

    @property
    def token(self):
        return (self.value("authorization") or "").removeprefix("Bearer ")

    @property
    def person(self):
        """Whose request the test says this is: X-Test-Person, or `person` in the query."""
        named = self.value("x-test-person")
        if named is None:
            named = dict(urllib.parse.parse_qsl(self.query)).get("person")
        return named


class Exchange:
    """A request being answered: what a test's own behaviour is given."""

    def __init__(self, request, stream):
        self.request, self.stream = request, stream
        self.ended = False

    def pieces(self):
        """The body as it arrives."""
        request = self.request
        if request.whole:
            return
        if not request.chunked:
            left = request.length
            while left:
                piece = self.stream.some(left)
                left -= len(piece)
                request.body_size += len(piece)
                yield piece
        else:
            while True:
                line = self.stream.line()
                if not re.fullmatch(rb"[0-9a-fA-F]{1,16}", line):
                    raise Nonsense(f"chunk size {line!r}")
                left = int(line, 16)
                if not left:
                    break
                while left:
                    piece = self.stream.some(left)
                    left -= len(piece)
                    request.body_size += len(piece)
                    yield piece
                if self.stream.exactly(2) != b"\r\n":
                    raise Nonsense("no CRLF after a chunk")
            while line := self.stream.line():
                name, colon, value = line.partition(b":")
                if not colon or not TOKEN.fullmatch(name):
                    raise Nonsense(f"trailer line {line!r}")
                request.trailers.append((name.decode(), value.strip().decode("latin-1")))
                request.trailer_bytes += line + b"\n"
        request.whole = True

    def read_body(self):
        for piece in self.pieces():
            self.request.body += piece
        return self.request.body

    def send(self, data):
        self.stream.socket.sendall(data)

    def answer(self, status=200, body=b"", fields=(), reason="OK", length=True):
        head = f"HTTP/1.1 {status} {reason}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in fields)
        if length:
            head += f"Content-Length: {len(body)}\r\n"
        self.send(head.encode("latin-1") + b"\r\n" + body)

    def answer_json(self, value, status=200, fields=()):
        body = json.dumps(value).encode()
        self.answer(status, body, [("Content-Type", "application/json"), *fields])

    def close(self):
        """An orderly end of the connection."""
        self.ended = True
        self.stream.end()

    def reset(self):
        """The end of the connection by RST."""
        self.ended = True
        self.stream.reset()

    def wait_for_end(self, seconds=15):
        """Whether the gateway ends its side within the time."""
        self.stream.socket.settimeout(seconds)
        try:
            while self.stream.socket.recv(65536):
                pass
            return True
        except TimeoutError:
            return False
        except OSError:
            return True


class Stream:
    """Buffered reading of one socket."""

    def __init__(self, connection):
        self.socket, self.pending = connection, b""

    def fill(self):
        more = self.socket.recv(1 << 16)
        if not more:
            raise EOFError
        self.pending += more

    def head(self):
        while b"\r\n\r\n" not in self.pending:
            if len(self.pending) > 1 << 20:
                raise Nonsense("a head of more than 1 MiB")
            self.fill()
        head, _, self.pending = self.pending.partition(b"\r\n\r\n")
        return head + b"\r\n\r\n"

    def line(self):
        while b"\r\n" not in self.pending:
            if b"\n" in self.pending:
                raise Nonsense("a bare LF")
            self.fill()
        line, _, self.pending = self.pending.partition(b"\r\n")
        return line

    def some(self, most):
        if not self.pending:
            self.fill()
        piece, self.pending = self.pending[:most], self.pending[most:]
        return piece

    def exactly(self, count):
        while len(self.pending) < count:
            self.fill()
        piece, self.pending = self.pending[:count], self.pending[count:]
        return piece

    def end(self):
        try:
            if isinstance(self.socket, ssl.SSLSocket):
                self.socket.settimeout(2)
                self.socket = self.socket.unwrap()
            self.socket.shutdown(socket.SHUT_RDWR)
        except (OSError, ValueError):
            pass
        self.socket.close()

    def reset(self):
        linger = struct.pack("ii", 1, 0)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.socket.close()


class Upstream:
    """`on(path, behaviour)` says what happens there; elsewhere requests are echoed as JSON."""

    def __init__(self, services, issuers, audience="orders", certificate=None, port=0):
        self.promise = Promise(services, issuers, audience)
        self.behaviours = {}
        self.requests = []
        self.connections = 0
        self.open = {}
        self.lock = threading.Lock()
        self.context = None
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(certificate["chain"], certificate["key"])
        self.socket = socket.create_server(("127.0.0.1", port), backlog=512)
        self.port = self.socket.getsockname()[1]
        scheme = "https" if certificate else "http"
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        threading.Thread(target=self.accept, daemon=True).start()

    def on(self, path, behaviour=None):
        """Sets what happens at a path; also as a decorator."""
        if behaviour is None:
            return lambda function: self.on(path, function)
        self.behaviours[path] = behaviour
        return behaviour

    def seen(self, path=None, person=None):
        """The requests that arrived at a path, or of a person."""
        return [
            request
            for request in list(self.requests)
            if (path is None or request.path == path)
            and (person is None or request.person == person)
        ]

    def accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with self.lock:
                self.connections += 1
                number = self.connections
            threading.Thread(target=self.serve, args=(connection, number), daemon=True).start()

    def serve(self, connection, number):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.context:
            try:
                connection = self.context.wrap_socket(connection, server_side=True)
            except OSError:
                connection.close()
                return
        stream = Stream(connection)
        with self.lock:
            self.open[number] = stream
        try:
            while self.one_request(stream, number):
                pass
        except (EOFError, OSError, ValueError):
            pass
        except Nonsense as nonsense:
            breaks(f"an upstream was sent nonsense: {nonsense}")
        finally:
            with self.lock:
                self.open.pop(number, None)
            stream.socket.close()

    def one_request(self, stream, number):
        try:
            head = stream.head()
        except EOFError:
            if stream.pending:
                pass  # a request broken off in its head: allowed, when the caller went away
            return False
        request = Request(head, number)
        with self.lock:
            self.requests.append(request)
        self.promise.check(request)
        exchange = Exchange(request, stream)
        path = urllib.parse.unquote(request.path)
        behaviour = self.behaviours.get(request.path) or self.behaviours.get(path) or echo
        behaviour(exchange)
        if exchange.ended:
            return False
        for _ in exchange.pieces():
            pass
        return True

    def drop_connections(self):
        """Ends every connection that is open now; idle ones too."""
        with self.lock:
            streams = list(self.open.values())
        for stream in streams:
            try:
                stream.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()
        self.drop_connections()


def echo(exchange):
    """Says what arrived."""
    body = exchange.read_body()
    request = exchange.request
    exchange.answer_json(
        {
            "method": request.method,
            "target": request.target,
            "fields": request.fields,
            "size": len(body),
            "sha256": hashlib.sha256(body).hexdigest(),
            "trailers": request.trailers,
            "connection": request.connection,
        }
    )
