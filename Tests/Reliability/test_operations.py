"""What an operator does to a gateway that is under load: reloads, upgrades, kills, ends.

Every request is counted. Where none was lost in N, the rate is below 3/N (95 %); that is printed.
"""

import contextlib
import importlib
import json
import pathlib
import signal
import subprocess
import sys
import threading
import time

import pytest
from harness.client import Connection, ask, request_bytes
from harness.program import compiled, status_of
from harness.waiting import free_port, until

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "EndToEnd"))
upgrading = importlib.import_module("test_upgrade")
pytestmark = pytest.mark.timeout(1_800)
KINDS = ("answered", "refused", "reset", "cut short", "other status", "too late")


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return compiled(HERE / "callers.c", tmp_path_factory.mktemp("callers") / "callers")


class Callers:
    """Runs callers.c for a while; `counts` when it has ended."""

    def __init__(self, program, port, path, processes=4, keep=False):
        fields = [] if keep else [("Connection", "close")]
        payload = request_bytes("GET", path, fields=fields)
        command = ["nice", program, str(port), str(processes), str(int(keep))]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.process.stdin.write(payload)
        self.process.stdin.close()
        self.name = "kept" if keep else "new"

    def end(self):
        self.process.terminate()
        words = self.process.stdout.read().split()
        self.process.wait(30)
        self.process.stdout.close()
        self.counts = dict(zip(KINDS, map(int, words)))
        self.longest = int(words[-1])
        self.lost = sum(self.counts.values()) - self.counts["answered"]
        return self

    def told(self):
        total = sum(self.counts.values())
        lost = {kind: count for kind, count in self.counts.items() if count and kind != "answered"}
        return (
            f"{total} requests on {self.name} connections, lost {lost or 0}"
            + ("" if lost else f" (below {3 / max(total, 1):.1e})")
            + f", the longest {self.longest} ms"
        )


@contextlib.contextmanager
def callers(program, port, path="/fixed", processes=4):
    """Callers of both kinds while the block runs; none of them may lose anything."""
    made = [Callers(program, port, path, processes, keep) for keep in (False, True)]
    try:
        yield
    finally:
        for one in made:
            print(one.end().told())
    for one in made:
        assert one.counts["answered"] > 100 and one.lost == 0, one.counts


def fixed(world, **more):
    """A route that is answered by the gateway itself: the operator's doings are what is measured,
    not the upstream of a test."""
    route = {"match": {"path": "/fixed"}, "authenticate": "none", "respond": {"body": "f" * 100}}
    return world.routes(route, world.route("/*"), **more)


def test_reloads_lose_nothing(world, program):
    """Two hundred; each adds a route, every fifth a listener or takes it away again."""
    with world.gateway(fixed(world)) as gateway:
        port = free_port()
        with callers(program, gateway.port):
            for number in range(200):
                routes = dict(gateway.routes)
                extra = world.route(f"/extra-{number}/*")
                routes["routes"] = routes["routes"] + [extra]
                if number % 10 >= 5:
                    more = {"name": "more", "address": f"127.0.0.1:{port}"}
                    routes["listeners"] = routes["listeners"] + [more]
                gateway.file.write_text(json.dumps(routes))
                status, text = gateway.admin("/reload", "POST")
                assert status == 200 and f"+ route /extra-{number}/*" in text, text
        before = status_of(gateway.pid, "VmRSS")
        for _ in range(100):
            assert gateway.admin("/reload", "POST")[0] == 200
        print(f"RSS {before} KiB, after 100 more {status_of(gateway.pid, 'VmRSS')} KiB")


@pytest.mark.parametrize("with_log", [True, False], ids=["logged", "no log"])
def test_upgrades_lose_nothing(world, program, with_log):
    routes = fixed(world)
    if not with_log:
        routes["accessLog"] = "off"
    with contextlib.closing(upgrading.ended(upgrading.Line(world, routes))) as line:
        with callers(program, line.gateway.port):
            for _ in range(25):
                line.upgrade()
        for pid in line.pids[:-1]:
            line.gone(pid)


steady = upgrading.steady


@pytest.mark.parametrize(
    "failure", [name for name in upgrading.FAILURES if name not in upgrading.STAGES]
)
def test_one_that_fails_costs_nothing(world, steady, failure):
    upgrading.fail(world, steady, failure)


def test_many_listeners_are_handed_over(world, program):
    """Forty and more, IPv6 among them."""
    listeners = [{"address": f"127.0.0.1:{free_port()}"} for _ in range(60)]
    listeners += [{"address": f"[::1]:{free_port()}"} for _ in range(10)]
    routes = fixed(world, listeners=listeners)
    with contextlib.closing(upgrading.ended(upgrading.Line(world, routes))) as line:
        with callers(program, line.gateway.port):
            for _ in range(3):
                line.upgrade()
                line.gone(line.pids[-2])
        for listener in listeners[:60]:
            port = int(listener["address"].rpartition(":")[2])
            assert ask(port, "GET", "/fixed").status == 200


def test_one_that_hangs_is_ended_after_half_a_minute(world, program):
    with contextlib.closing(upgrading.ended(upgrading.Line(world, fixed(world)))) as line:
        line.script(upgrading.FAKE + "    wait()\n")
        with callers(program, line.gateway.port):
            said = line.attempt(60)
        assert "within 30 s" in said


def test_one_whose_predecessor_stands_still_goes_on_alone(world, program):
    """What it is asked for waits for the other no longer than ten seconds, and when that runs again
    it goes as if nothing had been."""
    with contextlib.closing(upgrading.ended(upgrading.Line(world, fixed(world)))) as line:
        line.upgrade()
        line.gateway.signal(signal.SIGSTOP)
        with callers(program, line.gateway.port):
            assert ask(line.gateway.admin_port, "POST", "/reload").status == 200
            line.gateway.signal(signal.SIGCONT)
            line.gone(line.pids[0])
        assert "goes on alone" in line.said and "did not last" not in line.said


def test_one_that_dies_after_it_took_over_loses_what_it_had_accepted(world, program):
    """Ten times under load, at any moment of the five seconds; each caller may lose a request."""
    processes = 2
    with contextlib.closing(upgrading.ended(upgrading.Line(world, fixed(world)))) as line:
        load = [Callers(program, line.gateway.port, "/fixed", processes, keep)
                for keep in (False, True)]  # fmt: skip
        try:
            for number in range(10):
                line.upgrade()
                # A death at another time each, and the old one is there until then.
                with pytest.raises(subprocess.TimeoutExpired):
                    line.gateway.process.wait(0.4 * number)
                line.kill()
        finally:
            for one in load:
                print(one.end().told())
        for one in load:
            assert one.counts["refused"] == 0 and one.counts["other status"] == 0, one.counts
            assert one.counts["too late"] == 0, one.counts
            assert one.lost <= 10 * processes, one.counts
        assert line.gateway.running


def test_killed_and_started_again_it_serves_at_once(world, program):
    """Two hundred times under load: nothing that it leaves keeps the next one from starting."""
    with contextlib.ExitStack() as closing:
        gateway = closing.enter_context(contextlib.closing(Restarted(world)))
        load = [Callers(program, gateway.port, "/fixed", 2, keep) for keep in (False, True)]
        slowest = 0
        try:
            for _ in range(200):
                slowest = max(slowest, gateway.kill_and_start())
        finally:
            for one in load:
                print(one.end().told(), "(of those, what was under way at a kill is lost)")
        print(f"200 kills; the slowest start took {slowest:.2f} s")
        for one in load:
            # Nothing but what a kill must cost.
            assert one.counts["other status"] == 0 and one.counts["too late"] == 0
        assert ask(gateway.port, "GET", "/x", "after", world.issuer.token("after")).status == 200


class Restarted:
    def __init__(self, world):
        self.world = world
        self.gateway = world.start(fixed(world))
        self.port = self.gateway.port

    def kill_and_start(self):
        """The time until it serves again, in seconds; printed, and asserted to be bounded."""
        old = self.gateway
        old.process.kill()
        old.process.wait(10)
        began = time.monotonic()
        self.gateway = self.world.start(old.routes, ready=None)
        self.gateway.wait_until(lambda: self.serves(), "service", 20)
        return time.monotonic() - began

    def serves(self):
        try:
            return ask(self.port, "GET", "/fixed").status == 200
        except Exception:  # noqa: BLE001
            return False

    def close(self):
        self.gateway.end()


def test_a_drain_finishes_what_it_has(world):
    """Five hundred at once: downloads to slow readers, uploads, idle ones, some in a handshake."""
    sizes = [1, 1_000, 60_000, 400_000, 2_000_000]
    gate = threading.Event()

    @world.upstream.on("/body")
    def behave(exchange):
        exchange.read_body()
        size = int(exchange.request.query)
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for start in range(0, size, 50_000):
            if start:
                gate.wait(30)
            exchange.send(b"d" * min(50_000, size - start))

    listeners = [world.clear_listener, world.tls_listener]
    with contextlib.ExitStack() as closing:
        gateway = world.start(
            world.routes(
                listeners=listeners,
                shutdown={"grace": "60s"},
                upstreams={"body": {"servers": [world.upstream.url], "maxConnections": 1024}},
            )
        )
        closing.callback(gateway.end)
        token = world.issuer.token("drain")

        def connect(name):
            tls = world.tls if name == "tls" else None
            return closing.enter_context(Connection(gateway.ports[name], tls))

        downloads, uploads, idle, shaking = [], [], [], []
        for number in range(300):
            connection = connect("tls" if number % 3 == 0 else "clear")
            size = sizes[number % len(sizes)]
            connection.send(request_bytes("GET", f"/body?{size}", "drain", token))
            downloads.append((connection, size))
        for number in range(100):
            connection = connect("clear")
            head = request_bytes("POST", "/up", "drain", token, [("Content-Length", "90000")])
            connection.send(head + b"u" * 30_000)
            uploads.append(connection)
        for number in range(70):
            connection = connect("tls" if number % 2 else "clear")
            assert connection.request("GET", "/x", "drain", token).status == 200
            idle.append(connection)
        import socket as sockets

        from harness.hello import client_hello

        for _ in range(30):
            raw = sockets.create_connection(("127.0.0.1", gateway.ports["tls"]), 20)
            closing.callback(raw.close)
            raw.sendall(client_hello("localhost")[:100])
            shaking.append(raw)
        # All have been accepted and are under way.
        heads = [connection.head() for connection, _ in downloads]
        assert {head.status for head in heads} == {200}

        gateway.signal(signal.SIGTERM)
        for connection in idle:
            assert connection.ended(10)
        for connection in uploads:
            connection.send(b"u" * 60_000)
        gate.set()
        truncated = 0
        for (connection, size), head in zip(downloads, heads):
            try:
                assert connection.exactly(size) == b"d" * size
            except Exception as error:  # noqa: BLE001
                print(size, repr(error))
                truncated += 1
        for connection in uploads:
            assert connection.answer("POST").status == 200
        print(f"{len(downloads) + len(uploads)} in flight, {truncated} truncated")
        assert truncated == 0
        for raw in shaking:
            raw.close()
        assert gateway.wait(30) == 0, gateway.said()


def test_what_does_not_end_is_cut_at_the_limit(world):
    """grace and not more than a second more, with five hundred that never end."""
    gateway = world.start(world.routes(shutdown={"delay": "1s", "grace": "2s"}))
    with contextlib.ExitStack() as closing:
        closing.callback(gateway.end)
        token = world.issuer.token("never")
        for _ in range(500):
            connection = closing.enter_context(Connection(gateway.port))
            head = request_bytes("POST", "/up", "never", token, [("Content-Length", "90000")])
            connection.send(head + b"u" * 100)
        assert ask(gateway.port, "GET", "/x", "never", token).status == 200
        gateway.signal(signal.SIGTERM)
        began = time.monotonic()
        assert gateway.wait(20) == 0
        took = time.monotonic() - began
        print(f"ended after {took:.2f} s of 3")
        assert took >= 2.9
        assert "cut" in gateway.said()
