"""Upstreams over many trials: stale connections, dying servers, servers that fail all the time."""

import contextlib
import pathlib
import signal
import sys
import threading

import pytest
from harness.client import ask
from harness.load import Load
from harness.upstream import Upstream
from harness.waiting import until

# The short tests' own tools.
sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "EndToEnd"))

import test_dying_servers as dying  # noqa: E402
import test_upstream_faults as faults  # noqa: E402

TRIALS = 10_000


@pytest.mark.timeout(900)
@pytest.mark.parametrize("way", faults.STALE)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_stale_connections_are_invisible(world, person, way, method):
    faults.stale_trials(world, person, way, method, TRIALS)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_thirty_dying_servers_lose_no_get(world, person, how):
    with contextlib.ExitStack() as closing:
        farm = dying.Farm(world, closing, person, healthCheck=dying.Farm.CHECK)
        with farm.load(person, callers=16) as load:
            for round in range(30):
                dying.some_more(load, 300)
                index = round % 3
                if how == "killed":
                    farm.kill(index)
                    farm.wait_until_unwell(index)
                    dying.some_more(load, 300)
                    farm.start(index)
                else:
                    farm.signal(index, signal.SIGSTOP)
                    farm.wait_until_unwell(index)
                    dying.some_more(load, 300)
                    farm.signal(index, signal.SIGCONT)
                farm.wait_until_well()
        print(f"\n{how} thirty times: {load.said()}")
        assert not load.lost, load.lost[:5]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("share", [2, 1], ids=["half", "all"])
def test_failing_servers_are_asked_no_more_than_a_fifth_more(world, person, share):
    """Attempts by requests, where every second answer, or every one, is a failure."""
    servers = [Upstream([world.tokens], [world.issuer]) for _ in range(2)]
    lock, count = threading.Lock(), [0]

    def sorry(exchange):
        exchange.read_body()
        with lock:
            count[0] += 1
            fails = count[0] % share == 0
        exchange.answer(503 if fails else 200, b"x")

    for server in servers:
        server.on("/farm", sorry)
    upstreams = {
        "farm": {"servers": [s.url for s in servers], "outlier": {"maxEjected": 0}}
    }
    routes = world.routes(world.route("/farm", forward={"to": "farm"}), upstreams=upstreams)
    with world.gateway(routes) as gateway:
        token = world.issuer.token(person)
        with Load(gateway.port, "/farm", person, token, callers=8) as load:
            until(lambda: load.count >= 8_000, "8,000 requests", 250)
        ratio = count[0] / load.count
        print(f"\nattempts by requests: {count[0]} / {load.count} = {ratio:.3f}")
        assert ratio <= 1.2
        posts = count[0]
        for _ in range(200):
            ask(gateway.port, "POST", "/farm", person, token, body=b"once")
        assert count[0] - posts == 200
    for server in servers:
        server.close()
