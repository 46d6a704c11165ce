"""Callers that ask without a pause while a test does something to the gateway or the servers."""

import collections
import threading

from .client import Broken, Connection
from .waiting import until


class Load:
    """`callers` threads of each kind, one request after the other: those that keep a connection,
    and with `keeps=(False, True)` also those that make one for each request. A kept connection that
    ends with an answer is made anew, as every client does.

    `outcomes` counts what came: statuses, and "broken" where no whole answer did. What the caller
    of an idempotent request must not see is in `lost`: (what, when it was sent).
    """

    def __init__(self, port, target, person, token, callers=8, method="GET", body=None, fields=(),
                 keeps=(True,), tls=None):  # fmt: skip
        self.port, self.target, self.person, self.token = port, target, person, token
        self.method, self.body, self.fields, self.tls = method, body, list(fields), tls
        self.outcomes = collections.Counter()
        self.bodies = collections.Counter()
        self.lost = []
        self.ending = threading.Event()
        self.lock = threading.Lock()
        kinds = [keep for keep in keeps for _ in range(callers)]
        self.threads = [threading.Thread(target=self.run, args=(keep,)) for keep in kinds]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        for thread in self.threads:
            thread.join(60)

    @property
    def count(self):
        return sum(self.outcomes.values())

    def more(self, count, lost_max=0):
        """Waits for so many more answers, or until too many are lost."""
        end = self.count + count
        until(lambda: self.count >= end or len(self.lost) > lost_max, f"{count} more answers", 30)

    def run(self, keeps):
        connection = None
        fields = self.fields + ([] if keeps else [("Connection", "close")])
        while not self.ending.is_set():
            fresh = connection is None
            try:
                connection = connection or Connection(self.port, self.tls)
                answer = connection.request(
                    self.method, self.target, self.person, self.token, fields, self.body
                )
                outcome, body = answer.status, answer.body[:64]
                if not keeps or answer.value("connection") == "close":
                    connection.close()
                    connection = None
            except (Broken, OSError, EOFError) as error:
                outcome = "broken"
                body = f"{error!r} on a {'fresh' if fresh else 'kept'} connection".encode()
                if connection:
                    connection.close()
                connection = None
            with self.lock:
                self.outcomes[outcome] += 1
                self.bodies[body] += 1
                if outcome != 200:
                    self.lost.append((outcome, body))
        if connection:
            connection.close()

    def said(self):
        """The count of requests, of what was lost, and the bound that this proves (95 %)."""
        count, lost = self.count, len(self.lost)
        bound = f", so fewer than {3 / count:.1e} are" if count and not lost else ""
        return f"N = {count}, lost {lost}{bound}: {dict(self.outcomes)}"
