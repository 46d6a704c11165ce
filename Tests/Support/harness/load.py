"""Callers that ask without a pause while a test does something to the servers behind."""

import collections
import threading

from .client import Broken, Connection


class Load:
    """`callers` threads, each with a connection of its own, one request after the other.

    `outcomes` counts what came: statuses, and "broken" where no whole answer did. What the caller
    of an idempotent request must not see is in `lost`: (what, when it was sent).
    """

    def __init__(self, port, target, person, token, callers=8, method="GET", body=None, fields=()):
        self.port, self.target, self.person, self.token = port, target, person, token
        self.method, self.body, self.fields = method, body, fields
        self.outcomes = collections.Counter()
        self.bodies = collections.Counter()
        self.lost = []
        self.ending = threading.Event()
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run) for _ in range(callers)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        for thread in self.threads:
            thread.join()

    @property
    def count(self):
        return sum(self.outcomes.values())

    def run(self):
        connection = None
        while not self.ending.is_set():
            try:
                connection = connection or Connection(self.port)
                answer = connection.request(
                    self.method, self.target, self.person, self.token, self.fields, self.body
                )
                outcome, body = answer.status, answer.body[:64]
                if answer.value("connection") == "close":
                    connection.close()
                    connection = None
            except (Broken, OSError) as error:
                outcome, body = "broken", repr(error).encode()
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
