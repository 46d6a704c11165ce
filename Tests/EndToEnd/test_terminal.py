"""A gateway that was started at a terminal, and what becomes of it when that is closed."""

import fcntl
import os
import pty
import signal
import subprocess
import termios

import pytest
from harness.program import environment, tollgate_binary
from harness.waiting import PATIENCE, free_port, listens, until

ROUTES = """{
  "listeners": [{ "address": "127.0.0.1:%d" }],
  "routes": [{ "match": { "path": "/" }, "authenticate": "none", "respond": {} }],
  "accessLog": "off", "admin": "off"
}"""


@pytest.fixture
def at_terminal(tmp_path):
    """Starts a gateway as the leader of a terminal's session; its process, the terminal's other
    side, its port, and the file of what it says."""
    port, err = free_port(), tmp_path / "err"
    (tmp_path / "routes.json").write_text(ROUTES % port)
    master, slave = pty.openpty()
    with err.open("w") as output:
        process = subprocess.Popen(
            [tollgate_binary(), "run", tmp_path / "routes.json"], stdin=slave, stderr=output,
            env=environment(), start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
    os.close(slave)
    try:
        until(lambda: listens(port), "the listener")
        yield process, master, err
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(10)


def test_it_ends_in_order_when_its_terminal_is_closed(at_terminal):
    process, master, err = at_terminal
    os.close(master)
    assert process.wait(15 * PATIENCE) == 0
    said = err.read_text()
    assert "the terminal that it was started at is closed" in said and "ending" in said
    assert "reload" not in said


def test_at_a_terminal_that_is_there_sighup_reloads(at_terminal):
    process, master, err = at_terminal
    process.send_signal(signal.SIGHUP)
    until(lambda: "reloaded" in err.read_text(), "the reload")
    process.send_signal(signal.SIGTERM)
    assert process.wait(15 * PATIENCE) == 0
    os.close(master)
