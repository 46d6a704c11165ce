"""A new program takes over while the old one is under load: no request is lost, and one that can't
take over, at whichever stage that shows, costs nothing.

    where it fails                     test_one_that_fails_costs_nothing: as named there, those of
                                       `FAILURES` that are not among `STAGES` in Reliability
    it dies after it has taken over    test_upgrade_taken_back.py
    it hangs for longer than it may    Tests/Reliability/test_operations.py
    many upgrades, many listeners      Tests/Reliability/test_operations.py
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import textwrap
import threading

import pytest
from harness.client import Connection, request_bytes
from harness.load import Load
from harness.program import tollgate_binary
from harness.waiting import free_port, until


def running(pid):
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return text.rsplit(")", 1)[1].split()[0] != "Z"


class Line:
    """A gateway, and those that take over from it one after the other."""

    def __init__(self, world, routes=None, script=None, **more):
        self.world = world
        self.folder = pathlib.Path(world.folder, f"line-{free_port()}")
        self.folder.mkdir()
        self.program = self.folder / "tollgate"
        self.script(script) if script else self.put(tollgate_binary())
        self.gateway = world.start(routes or world.routes(), binary=self.program, **more)
        self.pids = [self.gateway.pid]

    def put(self, program):
        """Puts a program in place, as a package's update does."""
        beside = self.folder / "tollgate.new"
        shutil.copy(program, beside)
        beside.chmod(0o755)
        os.replace(beside, self.program)

    def script(self, text):
        file = self.folder / "script"
        file.write_text(textwrap.dedent(text).lstrip())
        self.put(file)

    @property
    def said(self):
        return self.gateway.err.read_text()

    @property
    def pid(self):
        return self.pids[-1]

    def upgrade(self, seconds=30):
        """Has the next one take over and waits until it has."""
        seen = len(self.said)
        os.kill(self.pid, signal.SIGUSR2)
        until(lambda: "has taken over" in self.said[seen:], f"the upgrade\n{self.said}", seconds)
        started = re.search(r"process (\d+) was started to take over", self.said[seen:])
        self.pids.append(int(started.group(1)))

    def attempt(self, seconds=30):
        """Has a next one try, which is to fail; what was said of it."""
        seen = len(self.said)
        os.kill(self.pid, signal.SIGUSR2)
        word = "this process goes on"
        until(lambda: word in self.said[seen:], f"the refusal\n{self.said}", seconds)
        return self.said[seen:]

    def kill(self, seconds=20):
        """Kills the one that has just taken over and waits until the one before serves again."""
        pid = self.pids.pop()
        os.kill(pid, signal.SIGKILL)
        self.taken_back(pid, seconds)

    def taken_back(self, pid, seconds=20):
        word = f"process {pid} had taken over and did not last"
        until(lambda: word in self.said, f"{word}\n{self.said}", seconds)

    def gone(self, pid, seconds=20):
        if pid == self.gateway.pid:
            assert self.gateway.wait(seconds) == 0, self.gateway.said()
        else:
            until(lambda: not running(pid), f"the end of {pid}\n{self.said}", seconds)

    def end(self):
        for pid in reversed(self.pids):
            with contextlib.suppress(ProcessLookupError):
                if running(pid):
                    os.kill(pid, signal.SIGTERM)
        try:
            for pid in reversed(self.pids):
                self.gone(pid)
        finally:
            for pid in self.pids[1:]:
                with contextlib.suppress(ProcessLookupError):
                    if running(pid):
                        os.kill(pid, signal.SIGKILL)
            self.gateway.end()
        self.world.look_for_secrets(self.gateway)


@pytest.fixture
def line(world):
    with contextlib.closing(ended(Line(world))) as line:
        yield line


def ended(line):
    line.close = line.end
    return line


@contextlib.contextmanager
def loaded(world, port, tls=None, callers=3, lost_max=0):
    """Callers of both kinds, those with a connection a request and those that keep theirs. So many
    requests may be lost: what a process had accepted that is killed."""
    token = world.issuer.token("load")
    load = Load(port, "/load", "load", token, callers=callers, keeps=(False, True), tls=tls)
    with load:
        load.more(100, lost_max)
        yield load
        load.more(100, lost_max)
    print(load.said())
    assert len(load.lost) <= lost_max, load.lost[:5]


@pytest.mark.parametrize("with_tls, upgrades", [(False, 2), (True, 1)], ids=["clear", "tls"])
def test_nobody_notices(world, with_tls, upgrades):
    listener = world.tls_listener if with_tls else world.clear_listener
    tls = world.tls if with_tls else None
    with contextlib.closing(ended(Line(world, world.routes(listeners=[listener])))) as line:
        probes, done = [], threading.Event()

        def probe():
            while not done.wait(0.01):
                probes.append(line.gateway.admin("/readyz")[0])

        prober = threading.Thread(target=probe)
        prober.start()
        with loaded(world, line.gateway.port, tls) as load:
            for _ in range(upgrades):
                line.upgrade()
                load.more(200)
        done.set()
        prober.join(20)
        for pid in line.pids[:-1]:
            line.gone(pid)
        assert running(line.pid) and len(set(line.pids)) == 1 + upgrades
        assert set(probes) == {200}, "ready all the time"


def test_a_request_under_way_is_finished_by_the_one_that_has_it(world, line, person):
    path = f"/slow/{person}"
    arrived, go = threading.Event(), threading.Event()

    @world.upstream.on(path)
    def behave(exchange):
        exchange.read_body()
        arrived.set()
        assert go.wait(60)
        exchange.answer(200, b"late")

    token = world.issuer.token(person)
    with Connection(line.gateway.port) as slow, Connection(line.gateway.port) as fresh:
        slow.send(request_bytes("POST", path, person, token, body=b"b"))
        assert arrived.wait(10)
        # Accepted by the old one, and silent until the new one has taken over.
        line.upgrade()
        assert fresh.request("GET", "/x", person, token).status == 200
        assert running(line.pids[0])
        go.set()
        answer = slow.answer("POST")
        assert (answer.status, answer.body) == (200, b"late")
        assert answer.value("connection") == "close"
    line.gone(line.pids[0])


@pytest.mark.parametrize("before, after", [(1, 3), (3, 1)])
def test_another_number_of_workers_leaves_no_socket_unattended(world, before, after):
    with contextlib.closing(ended(Line(world, world.routes(workers=before)))) as line:
        with loaded(world, line.gateway.port) as load:
            line.gateway.routes["workers"] = after
            line.gateway.file.write_text(json.dumps(line.gateway.routes))
            line.upgrade()
            load.more(200)
            line.gone(line.pids[0])
            load.more(200)
            # And on to a third, which inherits what the second has.
            line.upgrade()
            load.more(200)
        folder = pathlib.Path(f"/proc/{line.pid}/task")
        names = [(task / "comm").read_text() for task in folder.iterdir()]
        assert len([name for name in names if "worker" in name]) == after


def test_doors_are_added_and_closed_by_what_the_file_says_now(world, line, person):
    from harness.client import ask
    from harness.waiting import listens

    first, second, third = line.gateway.port, free_port(), free_port()
    token = world.issuer.token(person)

    def listeners(*ports):
        line.gateway.routes["listeners"] = [{"address": f"127.0.0.1:{port}"} for port in ports]
        line.gateway.file.write_text(json.dumps(line.gateway.routes))
        line.upgrade()
        line.gone(line.pids[-2])

    listeners(first, second)
    for port in (first, second):
        assert ask(port, "GET", "/x", person, token).status == 200
    listeners(second, third)
    for port in (second, third):
        assert ask(port, "GET", "/x", person, token).status == 200
    assert not listens(first)


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_as_good_as_all_sessions_are_resumed_after_an_upgrade(world, version):
    """At whichever worker a caller comes in, and from one generation to the next."""
    count = 100
    context = ssl.create_default_context(cadata=world.authority.pem.decode())
    context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, version)
    routes = world.routes(listeners=[world.tls_listener])
    with contextlib.closing(ended(Line(world, routes))) as line:
        token = world.issuer.token("resumes")

        def connect(session):
            with Connection(line.gateway.port, context, session=session) as connection:
                answer = connection.request("GET", "/x", "resumes", token)
                assert answer.status == 200
                return connection.socket.session_reused, connection.socket.session

        outcomes = [connect(None) for _ in range(count)]
        assert not any(reused for reused, _ in outcomes)
        sessions = [session for _, session in outcomes]
        resumed = 0
        for _ in range(2):
            line.upgrade()
            line.gone(line.pids[-2])
            outcomes = [connect(session) for session in sessions]
            resumed += sum(reused for reused, _ in outcomes)
            sessions = [session for _, session in outcomes]
        print(f"{resumed} of {2 * count} sessions resumed")
        assert resumed >= 0.99 * 2 * count
        # The keys are nowhere but in the two processes' memory.
        environ = pathlib.Path(f"/proc/{line.pid}/environ").read_bytes()
        named = re.findall(rb"TOLLGATE_HANDOVER=[^\0]*", environ)
        assert all(re.fullmatch(rb"TOLLGATE_HANDOVER=\d+", text) for text in named)


def parent_of(pid):
    return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def test_one_whose_parent_is_gone_is_upgraded_like_any_other(world, line, person):
    """Its parent is the one that it took over from, until that has ended (nginx refused then)."""
    line.upgrade()
    line.gone(line.pids[0])
    foster = parent_of(line.pid)
    assert foster not in line.pids
    line.upgrade()
    line.gone(line.pids[1])
    # It may be a moment's work to end: its threads go one after the other.
    until(lambda: parent_of(line.pid) == foster, "the same parent")
    assert world.ask(line.gateway, "GET", "/x", person).status == 200


FAKE = """\
    #!/usr/bin/env python3
    import os, signal, socket, sys
    channel = socket.socket(fileno=int(os.environ["TOLLGATE_HANDOVER"]))
    text = channel.makefile("rb")
    lines = []
    while not lines or lines[-1] != b"tickets\\n":
        lines.append(text.readline())
    assert len(text.read(176)) == 176
    def wait():
        signal.pause()
"""

REAL = """\
    #!/usr/bin/env python3
    import os, re, socket, sys
    # Stands between the two and changes what is said.
    given = int(os.environ["TOLLGATE_HANDOVER"])
    ours, theirs = socket.socketpair()
    upstream = socket.socket(fileno=given)
    data = b""
    while b"tickets\\n" not in data:
        data += upstream.recv(65536)
    head, mark, rest = data.partition(b"tickets\\n")
    while len(rest) < 176:
        rest += upstream.recv(65536)
    sockets = [int(number) for number in re.findall(rb"door\\t\\w+\\t\\w+\\t(\\d+)", head)]
"""

TELL = f"""
    ours.sendall(head + mark + rest)
    os.dup2(theirs.fileno(), given)
    os.execv({tollgate_binary()!r}, ["tollgate", *sys.argv[1:]])
"""

FAILURES = {
    "there is no program": None,
    "the program can't be executed": "no program at all\n",
    "it ends at once": "#!/bin/sh\nexit 7\n",
    "it is an older one that knows of no upgrade": (
        f'#!/bin/sh\nunset TOLLGATE_HANDOVER\nexec {tollgate_binary()} "$@"\n'
    ),
    "its file is wrong": f"#!/bin/sh\nexec {tollgate_binary()} run /dev/null\n",
    "its arguments are wrong": f"#!/bin/sh\nexec {tollgate_binary()} run --nonsense\n",
    "it dies while it is told": FAKE + "    os.kill(os.getpid(), signal.SIGKILL)\n",
    "it dies after it was told": FAKE + "    sys.exit(1)\n",
    "it hangs up": FAKE + "    channel.close(); text.close(); wait()\n",
    "it says nonsense": FAKE + "    channel.sendall(b'nonsense\\n'); wait()\n",
    "it says no end of nonsense": FAKE + "    channel.sendall(b'n' * 20000); wait()\n",
    "it dies right after it is ready": FAKE + "    channel.sendall(b'ready\\n'); sys.exit(0)\n",
    "it dies a second after it is ready": (
        FAKE + "    channel.sendall(b'ready\\n'); signal.alarm(1); wait()\n"
    ),
    "it dies when it is to serve": (
        FAKE + "    channel.sendall(b'ready\\n'); text.readline(); sys.exit(0)\n"
    ),
    "it speaks of another version": (
        REAL + "    head = head.replace(b'tollgate-handover 2', b'tollgate-handover 1')\n" + TELL
    ),
    "a socket is missing": (
        REAL + "    os.close(sockets[0])\n    os.open('/dev/null', os.O_RDONLY)\n" + TELL
    ),
    "a socket's number is taken by something else": (
        REAL + "    os.dup2(os.open('/dev/null', os.O_RDONLY), sockets[0])\n" + TELL
    ),
    "two sockets are exchanged": (
        REAL
        + "    last = os.dup(sockets[-1]); os.dup2(sockets[0], sockets[-1])\n"
        + "    os.dup2(last, sockets[0])\n"
        + TELL
    ),
    "a door makes no sense": (
        REAL + "    head = head.replace(b'door\\tlistener', b'door\\twindow')\n" + TELL
    ),
    "the keys are cut short": REAL + "    rest = rest[:100]; ours.settimeout(1)\n" + TELL.replace(
        "rest)", "rest); ours.shutdown(socket.SHUT_WR)"
    ),
}


# One for each place where it may fail; more of them, which take longer together, in Reliability.
STAGES = (
    "there is no program",
    "its file is wrong",
    "it dies after it was told",
    "it hangs up",
    "it dies a second after it is ready",
    "it dies when it is to serve",
    "it speaks of another version",
    "a socket is missing",
    "the keys are cut short",
)


@pytest.fixture(scope="module")
def steady(world):
    """One that sees every failure, and in the end is followed by one that is well."""
    line = Line(world)
    try:
        yield line
        line.put(tollgate_binary())
        line.upgrade()
        line.gone(line.pids[0])
        assert world.ask(line.gateway, "GET", "/x", "after").status == 200
    finally:
        line.end()


@pytest.mark.parametrize("failure", STAGES)
def test_one_that_fails_costs_nothing(world, steady, failure):
    fail(world, steady, failure)


def fail(world, line, failure):
    """Has a new one fail like this under load, which the old one serves all the time."""
    text = FAILURES[failure]
    if text is None:
        line.program.unlink()
    else:
        line.script(text)
    before = len(os.listdir(f"/proc/{line.pid}/fd"))
    with loaded(world, line.gateway.port, callers=2) as load:
        said = line.attempt()
        print(said)
        load.more(50)
    assert line.gateway.running
    started = re.search(r"process (\d+) was started to take over", said)
    assert not started or not running(int(started.group(1)))
    until(lambda: len(os.listdir(f"/proc/{line.pid}/fd")) <= before + 8, "descriptors back")


def test_a_gateway_without_keys_does_not_take_over_from_one_that_has_them(world):
    from harness.issuer import AUDIENCE, Issuer

    issuer = Issuer()
    settings = {"issuer": issuer.url, "audiences": [AUDIENCE]}
    with contextlib.closing(ended(Line(world, world.routes(issuers={"other": settings})))) as line:
        issuer.close()
        os.kill(line.pid, signal.SIGUSR2)
        until(lambda: "was started to take over" in line.said, "the attempt")
        pid = int(re.search(r"process (\d+) was started", line.said).group(1))
        assert world.ask(line.gateway, "GET", "/x", "keys").status == 200
        # It is given its time; the operator need not.
        os.kill(pid, signal.SIGTERM)
        until(lambda: "this process goes on" in line.said, "the refusal")
        assert world.ask(line.gateway, "GET", "/x", "keys").status == 200


def by_unix_socket(path, token):
    """The status line of an answer at a unix socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        caller.settimeout(20)
        caller.connect(str(path))
        caller.sendall(request_bytes("GET", "/x", "unix", token, [("Connection", "close")]))
        return caller.makefile("rb").readline()


def test_a_unix_sockets_file_outlives_each_of_them(world):
    path = world.folder / f"door-{free_port()}.sock"
    listeners = [world.clear_listener, {"name": "unix", "address": f"unix:{path}"}]
    with contextlib.closing(ended(Line(world, world.routes(listeners=listeners)))) as line:
        token = world.issuer.token("unix")
        before = os.stat(path)
        assert b" 200 " in by_unix_socket(path, token)
        # One that fails when it has all that it was handed leaves the file alone.
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = "127.0.0.1:%d" % taken.getsockname()[1]
            line.gateway.routes["listeners"].append({"address": address})
            line.gateway.file.write_text(json.dumps(line.gateway.routes))
            line.attempt()
        assert "EADDRINUSE" in line.said
        assert b" 200 " in by_unix_socket(path, token)
        line.gateway.routes["listeners"].pop()
        line.gateway.file.write_text(json.dumps(line.gateway.routes))
        for _ in range(2):
            line.upgrade()
            assert b" 200 " in by_unix_socket(path, token)
            line.gone(line.pids[-2])
            assert b" 200 " in by_unix_socket(path, token)
        after = os.stat(path)
        assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)
    assert not path.exists()


ACTIVATE = """\
#!/usr/bin/env python3
import os, socket, sys
passed = socket.create_server(("127.0.0.1", PORT))
os.dup2(passed.fileno(), 3)
if passed.fileno() == 3:
    os.set_inheritable(3, True)
named = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "web"}
os.execve(PROGRAM, sys.argv, os.environ | named)
"""


def test_sockets_that_systemd_passed_are_handed_on(world):
    port = free_port()
    listeners = [world.clear_listener, {"name": "passed", "address": "systemd:web"}]
    text = ACTIVATE.replace("PORT", str(port)).replace("PROGRAM", repr(tollgate_binary()))
    routes = world.routes(listeners=listeners)
    with contextlib.closing(ended(Line(world, routes, script=text))) as line:
        token = world.issuer.token("passed")
        line.put(tollgate_binary())
        for _ in range(2):
            with Connection(port) as connection:
                assert connection.request("GET", "/x", "passed", token).status == 200
            line.upgrade()
            line.gone(line.pids[-2])
        with Connection(port) as connection:
            assert connection.request("GET", "/x", "passed", token).status == 200


def test_the_end_and_a_reload_may_be_asked_for_meanwhile(world, person):
    from test_reload import replaced

    with contextlib.closing(ended(Line(world))) as line:
        line.script(FAKE + "    wait()\n")
        os.kill(line.pid, signal.SIGUSR2)
        until(lambda: "was started to take over" in line.said, "the attempt")
        pid = int(re.search(r"process (\d+) was started", line.said).group(1))
        os.kill(line.pid, signal.SIGTERM)
        line.gone(line.pids[0])
        assert not running(pid)

    with contextlib.closing(ended(Line(world))) as line:
        # Longer than a moment, so that the hangup comes while it is under way.
        line.gateway.file.write_text(
            json.dumps(line.gateway.routes | world.routes(world.route("/old/*")))
        )
        seen = len(line.said)
        os.kill(line.pid, signal.SIGUSR2)
        until(lambda: "was started to take over" in line.said[seen:], "the attempt")
        line.pids.append(int(re.search(r"process (\d+) was started", line.said).group(1)))
        # The new one may be reading it.
        routes = line.gateway.routes | world.routes(world.route("/new/*"))
        replaced(line.gateway.file, json.dumps(routes).encode())
        os.kill(line.pids[0], signal.SIGHUP)
        until(lambda: "has taken over" in line.said, "the upgrade", 30)
        line.gone(line.pids[0])
        until(
            lambda: world.ask(line.gateway, "GET", "/new/1", person).status == 200,
            "the last file",
        )


def test_one_whose_predecessor_is_gone_takes_over_all_the_same(world, line):
    """Killed after the other was ready: its sockets are the other's now."""
    os.kill(line.pid, signal.SIGUSR2)
    until(lambda: "was started to take over" in line.said, "the attempt")
    pid = int(re.search(r"process (\d+) was started", line.said).group(1))

    def is_ready():
        return len(list(pathlib.Path(f"/proc/{pid}/task").iterdir())) >= 4

    until(is_ready, "its workers")
    world.ask(line.gateway, "GET", "/x", "before")
    os.kill(line.gateway.pid, signal.SIGKILL)
    line.gateway.process.wait(10)
    line.pids = [pid]
    until(lambda: "is gone" in line.said, "the other to see it")
    assert world.ask(line.gateway, "GET", "/x", "after").status == 200


def test_the_service_manager_is_told_who_takes_over(world, tmp_path):
    from test_service_manager import Manager

    manager = Manager(os.fsencode(tmp_path / "notify"))
    environ = {"NOTIFY_SOCKET": manager.name}
    with contextlib.closing(ended(Line(world, environ=environ))) as line:
        assert manager.next()["READY"] == "1"
        line.upgrade()
        messages = [manager.next(), manager.next()]
        told = {message["from"]: message for message in messages}
        assert told[line.pids[0]]["MAINPID"] == str(line.pids[1])
        assert told[line.pids[1]]["READY"] == "1"
        line.gone(line.pids[0])
        manager.socket.setblocking(False)
        with pytest.raises(BlockingIOError):
            manager.next()  # the service has not stopped
        manager.socket.settimeout(20)
        os.kill(line.pids[1], signal.SIGTERM)
        assert manager.next()["STOPPING"] == "1"
    manager.close()
