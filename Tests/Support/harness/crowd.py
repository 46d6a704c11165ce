"""Many callers in one thread, each asking the same again as soon as it was answered."""

import collections
import selectors
import socket
import threading


class Crowd:
    """`count` keep-alive connections to a port of 127.0.0.1 that all send `request`, for a while.

    `statuses` counts the answers, `waits` the values of their `Retry-After`, `reasons` the reasons
    of their problems. Whose connection ends is in `ended`, and not replaced.
    """

    def __init__(self, port, request, count):
        self.request = request
        self.statuses = collections.Counter()
        self.waits = collections.Counter()
        self.reasons = collections.Counter()
        self.ended = 0
        self.ending = threading.Event()
        self.selector = selectors.DefaultSelector()
        self.callers = []
        for _ in range(count):
            caller = socket.create_connection(("127.0.0.1", port), 20)
            caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            caller.setblocking(False)
            self.selector.register(caller, selectors.EVENT_READ, bytearray())
            self.callers.append(caller)
        self.thread = threading.Thread(target=self.run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.thread.join()
        for caller in self.callers:
            caller.close()
        self.selector.close()

    def run(self):
        for caller in self.callers:
            caller.send(self.request)
        while not self.ending.is_set():
            for key, _ in self.selector.select(0.05):
                self.look(key.fileobj, key.data)

    def look(self, caller, received):
        try:
            data = caller.recv(65536)
        except OSError:
            data = b""
        if not data:
            self.ended += 1
            self.selector.unregister(caller)
            return
        received += data
        end = received.find(b"\r\n\r\n")
        if end < 0:
            return
        fields = {}
        for line in bytes(received[:end]).split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            fields[name.strip().lower()] = value.strip()
        size = int(fields.get(b"content-length", 0))
        if len(received) < end + 4 + size:
            return
        body = bytes(received[end + 4 : end + 4 + size])
        self.statuses[int(received[9:12])] += 1
        if b"retry-after" in fields:
            self.waits[fields[b"retry-after"].decode()] += 1
        _, _, rest = body.partition(b'"reason":"')
        self.reasons[rest.partition(b'"')[0].decode()] += 1
        del received[: end + 4 + size]
        caller.send(self.request)
