"""Waiting for things to come true, and ports that are free."""

import os
import random
import socket
import time


# A program that watches itself is several times as slow.
PATIENCE = 5 if os.environ.get("TOLLGATE_SANITIZER") else 1


class Late(AssertionError):
    """What was waited for did not come true in time."""


def until(condition, what, seconds=15.0, pause=0.01):
    """Asks again and again until `condition()` is true-ish, and returns that value."""
    seconds *= PATIENCE
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Late(f"not within {seconds:g} s: {what}")
        time.sleep(pause)


handed_out = set()
# Of several processes that run tests at once each has ports of its own.
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))


def free_port():
    """A port of 127.0.0.1 that is free just now, and that no outgoing connection will get.

    The system's own choice (port 0) is from the range that outgoing connections take theirs from,
    and under load one of those may have it before it is listened on.
    """
    while True:
        port = random.randrange(12_000, 32_000)
        if port in handed_out or port % WORKERS != WORKER:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        handed_out.add(port)
        return port


def listens(port, host="127.0.0.1"):
    try:
        socket.create_connection((host, port), 1).close()
        return True
    except OSError:
        return False
