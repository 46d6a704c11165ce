"""A real Redis server, one that misbehaves as it is told, and as much of a client as tests need."""

import contextlib
import pathlib
import shutil
import socket
import socketserver
import ssl
import threading

from .program import Program
from .waiting import free_port, until


class RedisError(Exception):
    """An error of the server's."""


def encoded(words):
    """A command as RESP: an array of bulk strings."""
    words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    parts = [b"*%d\r\n" % len(words)]
    parts += [b"$%d\r\n%s\r\n" % (len(word), word) for word in words]
    return b"".join(parts)


def decoded(file):
    """The next value of a RESP stream; None at its end."""
    line = file.readline()
    if not line:
        raise EOFError
    kind, rest = line[:1], line[1:].rstrip(b"\r\n")
    if kind == b"+":
        return rest.decode()
    if kind == b"-":
        raise RedisError(rest.decode())
    if kind == b":":
        return int(rest)
    if kind == b"$":
        if rest == b"-1":
            return None
        return file.read(int(rest) + 2)[:-2]
    return [decoded(file) for _ in range(int(rest))]


class RedisServer(Program):
    """`redis-server` in the foreground, keeping nothing on disk.

    `password` is the default user's; `tls` is a pair of files and their authority's file.
    """

    def __init__(self, folder, port=None, password=None, tls=None, lines=()):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port()
        self.password, self.tls, self.lines = password, tls, tuple(lines)
        lines = [
            "bind 127.0.0.1",
            'save ""',
            "appendonly no",
            f"dir {self.folder}",
            "daemonize no",
            *lines,
        ]
        if tls:
            lines += [
                "port 0",
                f"tls-port {self.port}",
                f"tls-cert-file {tls['chain']}",
                f"tls-key-file {tls['key']}",
                f"tls-ca-cert-file {tls['ca']}",
                "tls-auth-clients no",
            ]
        else:
            lines.append(f"port {self.port}")
        if password:
            lines.append(f"requirepass {password}")
        file = self.folder / "redis.conf"
        file.write_text("\n".join(lines) + "\n")
        binary = shutil.which("redis-server") or "/usr/bin/redis-server"
        super().__init__([binary, file], self.folder, f"redis-{self.port}")
        self.wait_until(self.answers, "redis-server answering")

    @property
    def url(self):
        return f"{'rediss' if self.tls else 'redis'}://127.0.0.1:{self.port}"

    def answers(self):
        with contextlib.suppress(OSError, EOFError, RedisError):
            return self.ask("PING") == "PONG"
        return False

    def ask(self, *words):
        """One command on a connection of its own."""
        with contextlib.ExitStack() as closing:
            raw = closing.enter_context(socket.create_connection(("127.0.0.1", self.port), 10))
            if self.tls:
                context = ssl.create_default_context(cafile=str(self.tls["ca"]))
                raw = closing.enter_context(context.wrap_socket(raw, server_hostname="127.0.0.1"))
            file = closing.enter_context(raw.makefile("rb"))
            if self.password:
                raw.sendall(encoded(["AUTH", self.password]))
                decoded(file)
            raw.sendall(encoded(words))
            return decoded(file)

    def names(self):
        """Every name in it."""
        return sorted(self.ask("KEYS", "*"))

    def entries(self):
        """Every entry, by its name, without the locks."""
        names = [name for name in self.names() if not name.endswith(b":lock")]
        return {name: self.ask("GET", name) for name in names}

    def restarted(self):
        """The same anew, on the same port."""
        return RedisServer(self.folder, self.port, self.password, self.tls, self.lines)

    def kill(self):
        self.process.kill()
        self.process.wait(10)


class FakeRedis:
    """Takes commands and answers them as `answer(words)` says: with bytes, None (never), a list of
    bytes (sent one by one) or "cut" (hangs up). Greetings are answered well by themselves."""

    def __init__(self, answer=None):
        self.answer = answer or (lambda words: b":1\r\n")
        self.greeting = lambda words: b"+OK\r\n"
        self.commands = []
        self.connections = 0
        self.open = []
        self.lock = threading.Lock()
        fake = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                with fake.lock:
                    fake.connections += 1
                    fake.open.append(self.connection)
                self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with contextlib.suppress(OSError, EOFError, ValueError):
                    while self.one():
                        pass

            def one(self):
                words = decoded(self.rfile)
                name = words[0].upper()
                if name in (b"PING", b"AUTH", b"SELECT"):
                    answer = fake.greeting(words)
                else:
                    with fake.lock:
                        fake.commands.append(words)
                    answer = fake.answer(words)
                if answer == "cut":
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return False
                for part in [answer] if isinstance(answer, bytes) else answer or []:
                    self.connection.sendall(part)
                return True

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request, client_address):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.url = f"redis://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    @property
    def looks(self):
        """The commands that look for a token and would lock it."""
        return [words for words in list(self.commands) if b"EXISTS" in words[1]]

    def cut(self):
        """Hangs up on everybody."""
        with self.lock:
            gone, self.open = self.open, []
        for connection in gone:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.cut()
        until(lambda: not self.thread.is_alive(), "the fake server's end")
