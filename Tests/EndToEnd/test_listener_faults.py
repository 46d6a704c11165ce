"""Faults of listeners: descriptors and memory that run out, backlogs, callers who are gone.

Where to find what must happen in each case:

 1. EMFILE, ENFILE on accept      test_accept_faults_*, test_probes_are_answered_*
    and how many there may be     test_it_takes_as_many_*, test_the_operator_is_told_of_too_few_*
 2. ECONNABORTED, EPROTO, ...     test_accept_faults_*
 3. ENOMEM, ENOBUFS               test_accept_faults_*
 4. the backlog is full           test_callers_who_came_while_the_process_stood_still_*
 5. TCP connects without a byte   test_callers_who_say_nothing_*; 10,000 of them in Reliability
 6. a reset before it is accepted test_callers_reset_before_they_are_accepted_*
 7. a port in use at the start    test_configuration.py and test_a_port_in_use_*
"""

import contextlib
import json
import os
import pathlib
import resource
import select
import shutil
import signal
import socket
import subprocess
import threading

import pytest
from harness.client import Connection, ask, request_bytes
from harness.program import descriptors, status_of
from harness.waiting import until

WORD = "can't accept connections"


def cpu_ticks(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def quietly(gateway, person, token):
    try:
        return ask(gateway.port, "GET", "/x", person, token).status
    except Exception:  # noqa: BLE001
        return None


def few_files(count, allowed=None):
    """Starts a program with so many descriptors, and allowed to have more."""
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (count, allowed or count))


class Tracer:
    """strace on a process that runs: while it is attached, a system call fails."""

    def __init__(self, pid, call, error):
        command = ["strace", "-f", "-qq", "-o", "/dev/null", "-p", str(pid), "-e",
                   f"trace={call}", "-e", f"inject={call}:error={error}"]  # fmt: skip
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE)
        tasks = pathlib.Path(f"/proc/{pid}/task")

        def attached():
            if self.process.poll() is not None:
                pytest.skip(f"strace does not work here: {self.process.stderr.read()!r}")
            return all(
                int(status_of(f"{pid}/task/{task}", "TracerPid") or 0)
                for task in os.listdir(tasks)
            )

        until(attached, "strace to be attached")

    def detach(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        self.process.wait(10)
        self.process.stderr.close()


@pytest.fixture(scope="module")
def gateway(world):
    with world.gateway(world.routes(workers=2, admin={"address": "127.0.0.1:0"})) as gateway:
        yield gateway


@pytest.mark.skipif(not shutil.which("strace"), reason="there is no strace")
@pytest.mark.parametrize(
    "error",
    ["EMFILE", "ENFILE", "ENOMEM", "ENOBUFS", "ECONNABORTED", "EPROTO", "ENETDOWN", "EPERM"],
)
def test_accept_faults_neither_spin_nor_stop_what_is_there(world, gateway, person, error):
    """Old connections are served, the operator gets at most a line a second, and when the fault
    is over those who waited are accepted."""
    token = world.issuer.token(person)
    with contextlib.ExitStack() as closing:
        old = closing.enter_context(Connection(gateway.port))
        assert old.request("GET", "/old", person, token).status == 200
        said = gateway.err.read_text().count(WORD)
        tracer = Tracer(gateway.pid, "accept4", error)
        try:
            crowd = [closing.enter_context(Connection(gateway.port)) for _ in range(8)]
            for connection in crowd:
                connection.send(request_bytes("GET", "/waiting", person, token))
            before = cpu_ticks(gateway.pid)
            threading.Event().wait(0.7)
            spent = cpu_ticks(gateway.pid) - before
            lines = gateway.err.read_text().count(WORD) - said
            assert old.request("GET", "/old", person, token).status == 200
            sockets = [connection.socket for connection in crowd]
            assert select.select(sockets, [], [], 0)[0] == [], "nobody was to be accepted"
        finally:
            tracer.detach()
        print(f"{error}: {spent} ticks of 70, {lines} lines")
        assert spent < 35, "it spins"
        assert lines <= 2
        for connection in crowd:
            assert connection.answer().status == 200
        assert quietly(gateway, person, token) == 200


@pytest.mark.parametrize("count", [64, 256])
def test_probes_are_answered_while_callers_have_all_descriptors(world, person, count):
    """The last descriptors are the admin address's, and those before them the upstreams'."""
    routes = world.routes(workers=2)
    with world.gateway(routes, prepare=few_files(count)) as gateway, contextlib.ExitStack() as all:
        token = world.issuer.token(person)
        first = all.enter_context(Connection(gateway.port))
        assert first.request("GET", "/x", person, token).status == 200
        crowd = [all.enter_context(Connection(gateway.port)) for _ in range(count)]
        # A quarter at most is kept from callers: what is there has come, and no more comes.
        until(lambda: descriptors(gateway.pid) >= count - count // 4 - 4, "descriptors to be taken")
        until(lambda: WORD in gateway.err.read_text(), "a word to the operator")
        before = cpu_ticks(gateway.pid)
        for _ in range(20):
            assert gateway.admin("/livez")[0] == 200
            assert gateway.admin("/readyz")[0] == 200
            # One that has a connection gets one to the service as well.
            assert first.request("GET", "/x", person, token, [("Connection", "keep-alive")]).status
        many = [all.enter_context(socket.create_connection(("127.0.0.1", gateway.admin_port)))
                for _ in range(4)]  # fmt: skip
        assert gateway.admin("/livez")[0] == 200
        assert descriptors(gateway.pid) < count
        print(f"{count}: {cpu_ticks(gateway.pid) - before} ticks")
        assert first.request("GET", "/x", person, token).status == 200
        for one in many:
            one.close()
        for connection in crowd:
            connection.close()
        until(lambda: quietly(gateway, person, token) == 200, "service as before")
        assert gateway.err.read_text().count(WORD) <= 4


def open_files_of(pid):
    """The soft and the hard limit."""
    for line in pathlib.Path(f"/proc/{pid}/limits").read_text().splitlines():
        if line.startswith("Max open files"):
            return tuple(map(int, line.split()[3:5]))


def test_it_takes_as_many_descriptors_as_it_is_allowed(world, person):
    """What a shell or an init system starts with, 1024 mostly, is not what callers must make do
    with; and where it is enough nobody is told anything."""
    routes = world.routes(workers=2, limits={"connections": 300})
    with world.gateway(routes, prepare=few_files(64, 1000)) as gateway:
        assert open_files_of(gateway.pid) == (1000, 1000)
        token = world.issuer.token(person)
        with contextlib.ExitStack() as closing:
            for _ in range(200):
                caller = closing.enter_context(Connection(gateway.port))
                assert caller.request("GET", "/x", person, token).status == 200
        assert "descriptors" not in gateway.err.read_text()


def test_the_operator_is_told_of_too_few_descriptors_for_the_connections_allowed(world):
    def routes(connections):
        return world.routes(workers=1, limits={"connections": connections})

    with world.gateway(routes(300), prepare=few_files(64, 500)) as gateway:
        assert open_files_of(gateway.pid) == (500, 500)
        said = [line for line in gateway.err.read_text().splitlines() if "descriptors" in line]
        assert said == [
            "tollgate: warning: 300 callers at once (limits.connections) may need 856 file "
            "descriptors, and the process may have 500. Allow more (LimitNOFILE=856 in the "
            "systemd unit, ulimit -n 856 in a shell), or set limits.connections to 122"
        ]
        # As it says, and at a reload as well.
        for connections, lines in ((122, 1), (123, 2)):
            now = gateway.routes | {"limits": {"connections": connections}}
            gateway.file.write_text(json.dumps(now))
            before = gateway.err.read_text().count("reloaded")
            gateway.signal(signal.SIGHUP)
            until(lambda: gateway.err.read_text().count("reloaded") > before, "the reload")
            assert gateway.err.read_text().count("descriptors") == lines


def test_callers_who_came_while_the_process_stood_still_are_served(world, gateway, person):
    """The kernel queues them; who has gone by then costs nothing."""
    token = world.issuer.token(person)
    with contextlib.ExitStack() as closing:
        gateway.signal(signal.SIGSTOP)
        try:
            crowd = [closing.enter_context(Connection(gateway.port)) for _ in range(300)]
            for number, connection in enumerate(crowd):
                connection.send(request_bytes("GET", "/still", person, token))
                if number % 3 == 0:
                    connection.reset() if number % 2 else connection.close()
        finally:
            gateway.signal(signal.SIGCONT)
        for number, connection in enumerate(crowd):
            if number % 3:
                assert connection.answer().status == 200


@pytest.mark.parametrize("stopped", [False, True])
def test_callers_reset_before_they_are_accepted_are_dropped_silently(
    world, gateway, person, stopped
):
    token = world.issuer.token(person)
    assert quietly(gateway, person, token) == 200
    before, said = descriptors(gateway.pid), gateway.err.read_text()
    if stopped:
        gateway.signal(signal.SIGSTOP)
    try:
        for _ in range(300):
            Connection(gateway.port).reset()
    finally:
        gateway.signal(signal.SIGCONT)
    assert quietly(gateway, person, token) == 200
    until(lambda: descriptors(gateway.pid) <= before + 4, "the descriptors to be given back")
    assert gateway.err.read_text() == said


def test_callers_who_say_nothing_are_closed_at_the_handshakes_deadline(world, person):
    routes = world.routes(
        listeners=[world.tls_listener], limits={"tlsHandshakeTimeout": "1s"}, workers=2
    )
    with world.gateway(routes) as gateway, contextlib.ExitStack() as closing:
        token = world.issuer.token(person)
        crowd = [closing.enter_context(Connection(gateway.port)) for _ in range(300)]
        assert ask(gateway.port, "GET", "/", person, token, world.tls).status == 200
        for connection in crowd:
            assert connection.ended(15)


def test_callers_who_say_nothing_do_not_keep_the_process_from_ending(world, person):
    """A browser opens connections ahead; with nothing said on them there is nothing to finish."""
    routes = world.routes(listeners=[world.tls_listener], limits={"tlsHandshakeTimeout": "60s"})
    with world.gateway(routes) as gateway, contextlib.ExitStack() as closing:
        crowd = [closing.enter_context(Connection(gateway.port)) for _ in range(20)]
        token = world.issuer.token(person)
        assert ask(gateway.port, "GET", "/", person, token, world.tls).status == 200
        gateway.stop(10)
        for connection in crowd:
            assert connection.ended(1)


def test_a_port_in_use_at_the_start_is_named(world, gateway):
    """Nothing of a gateway runs that could not listen everywhere, and who is there goes on."""
    address = f"127.0.0.1:{gateway.port}"
    free = {"name": "free", "address": "127.0.0.1:0"}
    routes = world.routes(listeners=[free, {"name": "taken", "address": address}])
    second = world.start(routes, ready=None)
    try:
        assert second.wait() == 3
        said = second.err.read_text()
        assert address in said and "EADDRINUSE" in said
    finally:
        second.end()
    assert gateway.live()
