"""`tollgate top`: a running gateway in a terminal."""

import contextlib
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios
import time

import pytest
from harness.client import ask
from harness.program import environment, tollgate_binary
from harness.waiting import free_port, until


@pytest.fixture(scope="module")
def gateway(world):
    with world.gateway(world.routes(world.route("/orders/*", name="orders"))) as gateway:
        token = world.issuer.token("watched")
        for number in range(3):
            assert world.ask(gateway, "GET", f"/orders/{number}", "watched", token).status == 200
        assert ask(gateway.port, "GET", "/orders/9").status == 401

        def all_counted():
            document = gateway.admin("/status?json")[1]
            return json.loads(document)["traffic"]["requests"] == 4

        until(all_counted, "all to be counted")
        yield gateway


def top(*arguments):
    return subprocess.run(
        [tollgate_binary(), "top", *arguments], capture_output=True, text=True,
        env=environment(), timeout=30,
    )  # fmt: skip


def test_one_look_says_what_runs_and_how_it_goes(gateway, world):
    told = top(f"127.0.0.1:{gateway.admin_port}", "--once")
    assert told.returncode == 0 and not told.stderr
    assert told.stdout.startswith("Tollgate ") and "  ready  up " in told.stdout
    assert re.search(r"^orders +\d+\.\d .* 4$", told.stdout, re.M)
    assert re.search(r"^token_missing .* 1$", told.stdout, re.M)
    assert re.search(r"^corp +66\.7 % +1 ", told.stdout, re.M)
    assert re.search(rf"{world.upstream.port} +healthy ", told.stdout)
    assert "401  token_missing  GET" in told.stdout
    assert "\x1b" not in told.stdout and "watched" not in told.stdout


def test_its_document_is_the_gateways(gateway):
    told = top(f"127.0.0.1:{gateway.admin_port}", "--json")
    assert json.loads(told.stdout)["traffic"]["requests"] == 4


def test_a_terminal_sees_it_live_and_in_its_size(gateway):
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 60, 0, 0))
    process = subprocess.Popen(
        [tollgate_binary(), "top", f"127.0.0.1:{gateway.admin_port}", "--every", "200ms"],
        stdin=slave, stdout=slave, stderr=slave, env=environment(TERM="xterm"),
    )  # fmt: skip
    os.close(slave)
    try:
        text, ends = b"", time.monotonic() + 20
        while text.count(b"\x1b[H") < 4 and time.monotonic() < ends:
            text += os.read(master, 65536)
        frames = text.decode(errors="replace").split("\x1b[H")[2:-1]
        assert frames
        for frame in frames:
            plain = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", frame)
            lines = plain.rstrip("\r\n").split("\r\n")
            assert len(lines) <= 20 and max(map(len, lines)) <= 60
    finally:
        process.terminate()
        process.wait(10)
        os.close(master)


def test_a_routes_file_that_was_refused_is_told_of(world):
    with world.gateway(world.routes()) as gateway:
        admin = f"127.0.0.1:{gateway.admin_port}"
        assert "refused when" not in top(admin, "--once").stdout
        gateway.file.write_text("{")
        reload = [tollgate_binary(), "reload", admin]
        assert subprocess.run(reload, capture_output=True, env=environment()).returncode == 1
        assert "the routes file was refused when it was last read" in top(admin, "--once").stdout


def test_where_no_gateway_is_it_says_so():
    told = top(f"127.0.0.1:{free_port()}", "--once")
    assert told.returncode == 3 and not told.stdout and "127.0.0.1" in told.stderr


@pytest.mark.parametrize("arguments", [["--every", "fast"], ["--twice"], ["a", "b"]])
def test_what_is_wrong_is_said(arguments):
    told = top(*arguments)
    assert told.returncode == 2 and not told.stdout and told.stderr


@pytest.mark.parametrize("columns, cells", [(40, 2), (60, 4), (80, 6), (100, 6)])
def test_a_narrow_terminal_shows_numbers_too(gateway, columns, cells):
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    with subprocess.Popen(
        [tollgate_binary(), "top", f"127.0.0.1:{gateway.admin_port}", "--once"],
        stdin=slave, stdout=slave, stderr=slave, env=environment(TERM="xterm", NO_COLOR="1"),
    ):  # fmt: skip
        os.close(slave)
        text = b""
        with contextlib.suppress(OSError):
            while piece := os.read(master, 65536):
                text += piece
    os.close(master)
    lines = text.decode().splitlines()
    assert max(map(len, lines)) <= columns
    head = next(line for line in lines if line.startswith("ROUTE"))
    row = next(line for line in lines if line.startswith("orders"))
    heads = ["req/s", "refused/s", "5xx/s", "half", "99 %", "requests"]
    assert [name for name in heads if name in head] == heads[:cells]
    # Numbers stand below their heads.
    assert len(row) == len(head) or columns < 80
