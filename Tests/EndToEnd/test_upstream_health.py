"""Servers that are unwell: what checks find out, what failed requests say, and who is told."""

import contextlib
import json
import os
import signal
import threading

import pytest
from harness.client import Connection, ask, request_bytes
from harness.program import Nginx, session_of
from harness.upstream import Upstream
from harness.waiting import free_port, until


class Service(Upstream):
    """A server with a health page, whose status a test sets; None: no answer at all."""

    def __init__(self, world):
        super().__init__([world.tokens], [world.issuer])
        self.promise.kinds["/healthz"] = "any"
        self.status = 200
        self.checks = []
        self.on("/healthz", self.health)

    def health(self, exchange):
        self.checks.append(exchange.request)
        if self.status is None:
            exchange.wait_for_end(30)
            exchange.ended = True
        else:
            exchange.answer(self.status, b"", [("Connection", "close")])
            exchange.close()

    def served(self, path):
        return len(self.seen(path))


CHECK = {"path": "/healthz", "interval": "50ms", "timeout": "400ms",
         "healthyAfter": 2, "unhealthyAfter": 3}  # fmt: skip


@pytest.fixture
def services(world):
    made = [Service(world) for _ in range(2)]
    yield made
    for service in made:
        service.close()


def routes_to(world, services, path="/h", **more):
    upstream = {"servers": [service.url for service in services], "balance": "round-robin"}
    return world.routes(
        world.route(path, forward={"to": "h"}), upstreams={"h": upstream | more}, workers=2
    )


def said(gateway, *words):
    lines = gateway.err.read_text().splitlines()
    return [line for line in lines if all(word in line for word in words)]


@pytest.mark.parametrize("status", [500, 404, 503])
def test_a_server_that_says_it_is_unwell_gets_no_requests_until_it_is_well(
    world, services, person, status
):
    sick, well = services
    with world.gateway(routes_to(world, services, healthCheck=CHECK)) as gateway:
        token = world.issuer.token(person)
        until(lambda: len(sick.checks) > 3 and len(well.checks) > 3, "checks")
        for _ in range(4):
            assert ask(gateway.port, "GET", "/h", person, token).status == 200
        assert sick.served("/h") == well.served("/h") == 2 or sick.served("/h") > 0
        sick.status = status
        until(lambda: said(gateway, sick.url, "is unwell", f"answered {status}"), "the operator")
        before = sick.served("/h"), well.served("/h")
        for _ in range(10):
            assert ask(gateway.port, "GET", "/h", person, token).status == 200
        assert (sick.served("/h"), well.served("/h")) == (before[0], before[1] + 10)
        sick.status = 302
        until(lambda: said(gateway, sick.url, "is well again"), "the operator")
        for _ in range(10):
            ask(gateway.port, "GET", "/h", person, token)
        assert sick.served("/h") > before[0]
        # One process has one checker a server, however many workers.
        assert len(said(gateway, "is unwell")) == 1 and len(said(gateway, "is well again")) == 1


def test_a_check_is_a_request_of_its_own(world, services, person):
    """It needs none of the server's connections, and says who it is."""
    busy = services[0]
    gate = threading.Event()
    busy.on("/h", lambda exchange: (gate.wait(20), exchange.answer(200, b"x")))
    routes = routes_to(world, [busy], healthCheck=CHECK, maxConnections=1)
    with world.gateway(routes) as gateway, Connection(gateway.port) as connection:
        connection.send(request_bytes("GET", "/h", person, world.issuer.token(person)))
        until(lambda: busy.served("/h") == 1, "it to arrive")
        count = len(busy.checks)
        until(lambda: len(busy.checks) > count + 5, "checks")
        assert not said(gateway, "is unwell")
        check = busy.checks[-1]
        assert (check.method, check.target) == ("GET", "/healthz")
        assert check.value("host") == f"127.0.0.1:{busy.port}"
        assert check.value("user-agent") == "tollgate"
        assert check.value("authorization") is None
        gate.set()
        assert connection.answer().status == 200


def test_when_all_are_unwell_requests_fail_at_once(world, services, person):
    for service in services:
        service.status = 500
    with world.gateway(routes_to(world, services, healthCheck=CHECK)) as gateway:
        # Never seen well: one check is enough.
        until(lambda: len(said(gateway, "is unwell")) == 2, "both to be unwell")
        for method in ("GET", "POST"):
            answer = world.ask(gateway, method, "/h", person)
            assert (answer.status, answer.problem) == (503, "upstream_unavailable")
        assert [service.served("/h") for service in services] == [0, 0]
        assert gateway.logged(path="/h").get("attempts", 0) == 0
        services[1].status = 204
        until(lambda: world.ask(gateway, "GET", "/h", person).status == 200, "service again")


def test_a_server_alone_is_checked_too(world, services, person):
    service = services[0]
    service.status = None
    with world.gateway(routes_to(world, [service], healthCheck=CHECK)) as gateway:
        until(lambda: said(gateway, "is unwell", "did not answer in time"), "the operator")
        assert world.ask(gateway, "GET", "/h", person).problem == "upstream_unavailable"
        service.status = 200
        until(lambda: world.ask(gateway, "GET", "/h", person).status == 200, "service again")


def test_servers_count_as_well_until_a_check_says_otherwise(world, services, person):
    """A gateway serves from its start, also while the first check has no answer."""
    for service in services:
        service.status = None
    slow = CHECK | {"timeout": "20s"}
    with world.gateway(routes_to(world, services, healthCheck=slow)) as gateway:
        until(lambda: all(service.checks for service in services), "the first checks")
        assert world.ask(gateway, "GET", "/h", person).status == 200


def test_what_is_known_of_a_server_outlives_a_reload(world, services, person):
    sick, well = services
    sick.status = 500
    routes = routes_to(world, services, healthCheck=CHECK | {"interval": "1h"})
    with world.gateway(routes) as gateway:
        until(lambda: said(gateway, sick.url, "is unwell"), "the operator")
        token = world.issuer.token(person)
        assert ask(gateway.port, "GET", "/h", person, token).status == 200
        connections = well.connections
        for queue in (5, 6):
            text = routes["upstreams"]["h"] | {"balance": "random", "outlier": {"failures": queue}}
            gateway.file.write_text(json.dumps(gateway.routes | {"upstreams": {"h": text}}))
            count = len(said(gateway, "reloaded"))
            gateway.signal(signal.SIGHUP)
            until(lambda c=count: len(said(gateway, "reloaded")) > c, "the reload")
            for _ in range(8):
                assert ask(gateway.port, "GET", "/h", person, token).status == 200
        assert sick.served("/h") == 0
        # Connections to servers that stay are kept: those of two workers at most.
        assert well.connections - connections <= 2 + len(well.checks)


# -- failed requests


def failing(service, how):
    def behave(exchange):
        if how == "reset":
            exchange.reset()
        elif how == "nonsense":
            exchange.send(b"220 smtp ready\r\n\r\n")
            exchange.close()
        elif how == "slow":
            exchange.wait_for_end(20)
            exchange.ended = True
        else:
            exchange.answer(how, b"sorry", reason="Sorry")

    service.on("/h", behave)


@pytest.mark.parametrize("how", [502, 503, 504, "reset", "nonsense", "slow"])
def test_a_server_that_fails_requests_is_left_out(world, services, person, how):
    bad, good = services
    failing(bad, how)
    routes = routes_to(world, services, outlier={"failures": 3, "ejectFor": "1h"})
    routes["workers"] = 1
    routes["routes"][0]["forward"]["timeout"] = "500ms"
    with world.gateway(routes) as gateway:
        token = world.issuer.token(person)
        statuses = [
            ask(gateway.port, "POST", "/h", person, token, body=b"b").status for _ in range(20)
        ]
        failed = [status for status in statuses if status != 200]
        assert len(failed) == bad.served("/h") == 3, statuses
        assert good.served("/h") == 17
        assert len(said(gateway, bad.url, "left out for 3600 s", "3 failures in a row")) == 1


@pytest.mark.parametrize("status", [200, 400, 404, 429, 500, 501])
def test_answers_that_say_nothing_of_the_server_leave_it_in(world, services, person, status):
    failing(services[0], status)
    routes = routes_to(world, services, outlier={"failures": 1})
    with world.gateway(routes) as gateway:
        token = world.issuer.token(person)
        for _ in range(10):
            ask(gateway.port, "GET", "/h", person, token)
        assert not said(gateway, "left out")


def test_a_server_left_out_is_tried_by_one_request_and_taken_back(world, services, person):
    bad, good = services
    failing(bad, 503)
    routes = routes_to(world, services, outlier={"failures": 2, "ejectFor": "300ms"})
    with world.gateway(routes) as gateway:
        token = world.issuer.token(person)

        def get():
            return ask(gateway.port, "GET", "/h", person, token).status

        def tried():
            assert get() == 200, "what fails there is asked of the other"
            return len(said(gateway, bad.url, "tried again, it failed")) >= 2

        until(tried, "two attempts")
        word = "left out for "
        lengths = [line.split(word)[1].split(":")[0] for line in said(gateway, word)]
        assert lengths[:3] == ["300 ms", "600 ms", "1200 ms"]
        failing(bad, 200)
        until(lambda: get() == 200 and said(gateway, bad.url, "takes requests again"), "its return")
        before = bad.served("/h")
        for _ in range(10):
            assert get() == 200
        assert bad.served("/h") > before


def test_never_more_than_half_are_left_out_and_never_one_alone(world, services, person):
    services.append(Service(world))
    for service in services:
        failing(service, 503)
    with world.gateway(routes_to(world, services, outlier={"failures": 2})) as gateway:
        token = world.issuer.token(person)
        for _ in range(40):
            assert ask(gateway.port, "GET", "/h", person, token).status == 503
        assert len(said(gateway, "left out")) == 1
        assert sum(1 for service in services if service.served("/h") > 10) == 2
    with world.gateway(routes_to(world, services[:1], outlier={"failures": 2})) as gateway:
        before = services[0].served("/h")
        for _ in range(20):
            assert ask(gateway.port, "GET", "/h", person, token).status == 503
        assert services[0].served("/h") == before + 20
        assert not said(gateway, "left out")


def test_a_request_that_waits_for_a_frozen_server_is_given_to_another(world, person):
    """Frozen, it takes connections and requests and answers none: only checks can know."""
    with contextlib.ExitStack() as closing:
        programs, urls = [], []
        for name in ("one", "two"):
            port = free_port()
            folder = world.folder / person
            folder.mkdir(exist_ok=True)
            http = f"server {{ listen 127.0.0.1:{port}; location / {{ return 200 '{name}'; }} }}"
            programs.append(Nginx(folder, http, port, name=name))
            closing.callback(programs[-1].end)
            urls.append(f"http://127.0.0.1:{port}")
        upstreams = {"n": {"servers": urls, "balance": "round-robin", "healthCheck": CHECK}}
        routes = world.routes(
            world.route("/n", forward={"to": "n", "timeout": "60s"}), upstreams=upstreams
        )
        gateway = closing.enter_context(world.gateway(routes))
        token = world.issuer.token(person)
        for _ in range(4):
            assert ask(gateway.port, "GET", "/n", person, token).status == 200
        freeze(programs[0], signal.SIGSTOP)
        closing.callback(freeze, programs[0], signal.SIGCONT)
        waiting = [closing.enter_context(Connection(gateway.port)) for _ in range(8)]
        for connection in waiting:
            connection.send(request_bytes("GET", "/n", person, token))
        for connection in waiting:
            answer = connection.answer()
            assert (answer.status, answer.body) == (200, b"two")
        assert said(gateway, urls[0], "is unwell", "did not answer in time")


def freeze(program, number):
    """Stops, or wakes, nginx's master and its workers."""
    for pid in session_of(program.pid):
        os.kill(pid, number)


def test_a_lone_server_that_fails_is_told_of(world, person):
    """Every request to it fails, and it is asked on: somebody must learn why."""
    port = free_port()
    routes = world.routes(
        world.route("/*", exchange="strip", forward={"to": "lone"}),
        upstreams={"lone": {"servers": [f"http://127.0.0.1:{port}"], "outlier": {"failures": 2}}},
    )
    with world.gateway(routes) as gateway:
        token = world.issuer.token(person)
        for _ in range(4):
            assert world.ask(gateway, "GET", "/x", person, token).status == 503
        told = until(lambda: said(gateway, "lone", "2 requests in a row"), "a line")
        assert len(told) == 1 and "ECONNREFUSED" in told[0]


def test_a_lone_server_that_answers_again_is_told_of(world, services, person):
    service, status = services[0], [503]
    service.on("/lone", lambda exchange: exchange.answer(status[0], b""))
    routes = routes_to(world, services[:1], path="/lone", outlier={"failures": 2})
    with world.gateway(routes) as gateway:
        token = world.issuer.token(person)

        def get():
            return world.ask(gateway, "GET", "/lone", person, token).status

        assert [get() for _ in range(3)] == [503, 503, 503]
        until(lambda: said(gateway, service.url, "2 requests in a row"), "the trouble")
        status[0] = 200
        assert [get() for _ in range(3)] == [200, 200, 200]
        until(lambda: said(gateway, service.url, "answers again"), "its return")
        assert len(said(gateway, service.url, "answers again")) == 1
