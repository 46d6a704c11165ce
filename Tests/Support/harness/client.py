"""A caller over a raw socket: it sends the bytes it is told to and reads answers strictly."""

import json
import select
import socket
import ssl
import struct
import threading
import time

from .waiting import PATIENCE

SECONDS = 20 * PATIENCE


class Broken(Exception):
    """The gateway's answer was not HTTP, or not whole."""


class Answer:
    """One final answer with the interim ones before it."""

    def __init__(self, status, reason, fields, version):
        self.status, self.reason, self.fields, self.version = status, reason, fields, version
        self.interim = []
        self.body = b""
        self.trailers = []

    def values(self, name):
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def value(self, name):
        values = self.values(name)
        return values[0] if values else None

    def json(self):
        return json.loads(self.body)

    @property
    def problem(self):
        """The `reason` of a refusal, its form checked (RFC 9457)."""
        assert self.value("content-type") == "application/problem+json", self
        problem = self.json()
        assert problem["status"] == self.status and problem["type"] == "about:blank", problem
        assert problem["title"] and problem["detail"] and problem["requestId"], problem
        return problem["reason"]

    def seen(self, name):
        """The values of a field that the echoing upstream received."""
        return [v for k, v in self.json()["fields"] if k.lower() == name.lower()]

    def __repr__(self):
        return f"<{self.status} {self.reason} {self.fields} {self.body[:400]!r}>"


class Connection:
    """A connection to the gateway, in the clear or with TLS (`tls` is an SSLContext)."""

    # One that is made of a socket that is there already has these too.
    seconds, lock = SECONDS, None

    def __init__(self, port, tls=None, server_name="localhost", seconds=SECONDS, session=None):
        raw = socket.create_connection(("127.0.0.1", port), seconds)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            raw = tls.wrap_socket(raw, server_hostname=server_name, session=session)
        self.socket, self.pending = raw, b""
        self.seconds = seconds

    def share(self):
        """From now on one thread may send while another reads: OpenSSL itself lets only one in."""
        if isinstance(self.socket, ssl.SSLSocket):
            self.lock = threading.Lock()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def send(self, data):
        data = data.encode("latin-1") if isinstance(data, str) else data
        if not self.lock:
            return self.socket.sendall(data)
        for start in range(0, len(data), 1 << 14):
            with self.lock:
                self.socket.settimeout(self.seconds)
                self.socket.sendall(data[start : start + (1 << 14)])

    # -- reading

    def receive(self, count):
        if not self.lock:
            return self.socket.recv(count)
        end = time.monotonic() + self.seconds
        while time.monotonic() < end:
            with self.lock:
                self.socket.settimeout(0)
                try:
                    return self.socket.recv(count)
                except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    pass
            select.select([self.socket], [], [], 0.05)
        raise TimeoutError(f"nothing came within {self.seconds} s")

    def fill(self):
        more = self.receive(1 << 18)
        if not more:
            raise EOFError
        self.pending += more

    def line(self):
        while b"\r\n" not in self.pending:
            try:
                self.fill()
            except EOFError:
                raise Broken(f"the connection ended in {self.pending[:200]!r}") from None
        line, _, self.pending = self.pending.partition(b"\r\n")
        return line

    def exactly(self, count):
        parts, have = [self.pending], len(self.pending)
        while have < count:
            more = self.receive(min(1 << 20, count - have))
            if not more:
                raise Broken(f"the body ended after {have} of {count} bytes")
            parts.append(more)
            have += len(more)
        joined = b"".join(parts)
        self.pending = joined[count:]
        return joined[:count]

    def head(self):
        status_line = self.line().decode("latin-1")
        version, _, rest = status_line.partition(" ")
        if version not in ("HTTP/1.1", "HTTP/1.0") or not rest[:3].isdecimal() or rest[3:4] != " ":
            raise Broken(f"status line {status_line!r}")
        fields = []
        while line := self.line():
            name, colon, value = line.decode("latin-1").partition(":")
            if not colon or not name or name != name.strip():
                raise Broken(f"field line {line!r}")
            fields.append((name, value.strip(" \t")))
        return Answer(int(rest[:3]), rest[4:], fields, version)

    def answer(self, method="GET"):
        """The next final answer, whole."""
        interim = []
        answer = self.head()
        while 100 <= answer.status < 200 and answer.status != 101:
            interim.append(answer)
            answer = self.head()
        answer.interim = interim
        lengths, codings = answer.values("content-length"), answer.values("transfer-encoding")
        if len(lengths) > 1 or len(codings) > 1 or (lengths and codings):
            raise Broken(f"ambiguous framing in {answer}")
        if method == "HEAD" or answer.status in (101, 204, 304):
            return answer
        if codings:
            if codings != ["chunked"]:
                raise Broken(f"transfer coding {codings}")
            self.chunked(answer)
        elif lengths:
            answer.body = self.exactly(int(lengths[0]))
        else:
            answer.body = self.rest()
        return answer

    def chunked(self, answer):
        parts = []
        while size := int(self.line(), 16):
            parts.append(self.exactly(size))
            if self.exactly(2) != b"\r\n":
                raise Broken("no CRLF after a chunk")
        while line := self.line():
            name, _, value = line.decode("latin-1").partition(":")
            answer.trailers.append((name, value.strip()))
        answer.body = b"".join(parts)

    def rest(self):
        """All until the end of the connection."""
        parts = [self.pending]
        self.pending = b""
        try:
            while more := self.socket.recv(1 << 16):
                parts.append(more)
        except ConnectionResetError:
            pass
        return b"".join(parts)

    def ended(self, seconds=SECONDS):
        """Whether the gateway ends the connection, with nothing more sent, within the time."""
        self.socket.settimeout(seconds)
        try:
            return self.pending == b"" and self.socket.recv(1) == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False
        finally:
            if self.socket.fileno() >= 0:
                self.socket.settimeout(SECONDS)

    # -- whole requests

    def request(self, method, target, person=None, token=None, fields=(), body=None, host=None):
        """Sends a request and reads its answer; the connection stays open."""
        self.send(request_bytes(method, target, person, token, fields, body, host))
        return self.answer(method)


def request_bytes(
    method, target, person=None, token=None, fields=(), body=None, host=None, version="1.1"
):
    lines = [f"{method} {target} HTTP/{version}", f"Host: {host or 'localhost'}"]
    if person is not None:
        lines.append(f"X-Test-Person: {person}")
    if token is not None:
        lines.append(f"Authorization: Bearer {token}")
    lines += [f"{name}: {value}" for name, value in fields]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b"")


def ask(port, method, target, person=None, token=None, tls=None, **more):
    """One request on a connection of its own."""
    with Connection(port, tls) as connection:
        return connection.request(method, target, person, token, **more)


def trusting(certificate=None, **settings):
    """A TLS context that trusts this certificate (or nothing is checked), as a caller's."""
    context = ssl.create_default_context(cadata=certificate.pem.decode() if certificate else None)
    if certificate is None:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for name, value in settings.items():
        setattr(context, name, value)
    return context
