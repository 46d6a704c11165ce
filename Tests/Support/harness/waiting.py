"""Waiting for things to come true, and ports that are free."""

import socket
import time


class Late(AssertionError):
    """What was waited for did not come true in time."""


def until(condition, what, seconds=15.0, pause=0.01):
    """Asks again and again until `condition()` is true-ish, and returns that value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Late(f"not within {seconds:g} s: {what}")
        time.sleep(pause)


def free_port():
    """A port of 127.0.0.1 that the system says is free just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listens(port, host="127.0.0.1"):
    try:
        socket.create_connection((host, port), 1).close()
        return True
    except OSError:
        return False
