"""systemd: what it is told over its socket, sockets of both kinds, and the unit file."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time

import pytest
from harness.program import ROOT
from harness.waiting import until


class Manager:
    """Receives what sd_notify(3) sends, as systemd does, with the sender's process id."""

    def __init__(self, address):
        self.name = "@" + address[1:].decode() if address[:1] == b"\0" else address.decode()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.socket.bind(address)
        self.socket.settimeout(20)

    def next(self):
        """The next message's lines, as a dictionary; `from` is who sent it."""
        data, ancillary, _, _ = self.socket.recvmsg(4096, 256)
        message = dict(line.split("=", 1) for line in data.decode().split("\n") if line)
        assert ancillary, "no credentials"
        message["from"] = int.from_bytes(ancillary[0][2][:4], "little")
        return message

    def close(self):
        self.socket.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    if request.param == "path":
        address = os.fsencode(tmp_path / "notify")
    else:
        address = b"\0tollgate-test-" + os.fsencode(tmp_path.name) + str(os.getpid()).encode()
    manager = Manager(address)
    yield manager
    manager.close()


def usec():
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000


def test_it_is_told_of_the_start_each_reload_and_the_end(world, manager, person):
    with world.gateway(world.routes(), environ={"NOTIFY_SOCKET": manager.name}) as gateway:
        ready = manager.next()
        assert ready["READY"] == "1" and "routes.json" in ready["STATUS"]
        assert ready["from"] == gateway.pid
        assert world.ask(gateway, "GET", "/x", person).status == 200

        asked = usec()
        gateway.signal(signal.SIGHUP)
        reloading = manager.next()
        # systemd takes it for the answer to its signal only where it is later than that.
        assert reloading["RELOADING"] == "1"
        assert asked <= int(reloading["MONOTONIC_USEC"]) <= usec()
        assert "READY" not in reloading
        ready = manager.next()
        assert ready["READY"] == "1" and "refused" not in ready["STATUS"]

        # One that fails is over as well: else `systemctl reload` would wait for ever.
        text = gateway.file.read_text()
        gateway.file.write_text("{")
        gateway.signal(signal.SIGHUP)
        assert manager.next()["RELOADING"] == "1"
        ready = manager.next()
        assert ready["READY"] == "1" and "refused" in ready["STATUS"]
        gateway.file.write_text(text)

        gateway.signal(signal.SIGTERM)
        stopping = manager.next()
        assert stopping["STOPPING"] == "1" and stopping["STATUS"]
        assert gateway.wait() == 0


def test_a_file_that_is_wrong_at_the_start_is_never_ready(world, manager):
    gateway = world.start("{", environ={"NOTIFY_SOCKET": manager.name}, ready=None)
    assert gateway.wait() == 1
    manager.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.next()


@pytest.mark.parametrize("name", ["/nowhere/notify", "@nobody-listens-here", "relative", "@", "/"])
def test_a_manager_that_is_not_there_holds_nothing_up(world, name, person):
    with world.gateway(world.routes(), environ={"NOTIFY_SOCKET": name}) as gateway:
        assert world.ask(gateway, "GET", "/x", person).status == 200
        gateway.signal(signal.SIGHUP)
        until(lambda: "reloaded" in gateway.err.read_text(), "the reload")


def test_a_manager_that_does_not_read_holds_nothing_up(world, manager, person):
    with contextlib.suppress(BlockingIOError):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as full:
            full.setblocking(False)
            full.connect(manager.socket.getsockname())
            while True:
                full.send(b"X_FULL=1")
    with world.gateway(world.routes(), environ={"NOTIFY_SOCKET": manager.name}) as gateway:
        assert world.ask(gateway, "GET", "/x", person).status == 200


@pytest.mark.skipif(not shutil.which("systemd-notify"), reason="there is no systemd-notify")
def test_systemd_notify_speaks_as_the_gateway_does(world, manager):
    """The judge of this file's own receiver: systemd's tool is understood by it, too."""
    subprocess.run(["systemd-notify", "--no-block", "--ready", "--status=tool"], check=True,
                   env=os.environ | {"NOTIFY_SOCKET": manager.name}, timeout=20)  # fmt: skip
    message = manager.next()
    assert (message["READY"], message["STATUS"]) == ("1", "tool")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd-analyze")
def test_the_unit_file_is_understood_by_systemd(tmp_path):
    """Older ones than 253 do not know the type `notify-reload`, and say so; nothing else."""
    unit = tmp_path / "tollgate.service"
    text = (ROOT / "deploy" / "tollgate.service").read_text()
    program = tmp_path / "tollgate"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit.write_text(text.replace("/usr/bin/tollgate", str(program)))
    run = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    said = [line for line in run.stderr.splitlines() if "tollgate" in line]
    known = [line for line in said if "notify-reload" in line]
    assert said == known and len(known) <= 1, run.stderr
    assert "Type=notify-reload" in text
