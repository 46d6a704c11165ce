"""What is behind the gateway fails and comes back: it is spared, it is told of, and all is well
again without anybody doing anything."""

import contextlib
import time

import pytest
from harness.outage import Behind, Callers, said
from harness.upstream import Upstream
from harness.waiting import free_port, until
from harness.world import World
from test_token_faults import in_threads

def told(gateway, *words):
    lines = gateway.err.read_text().splitlines()
    return [line for line in lines if all(word in line for word in words)]


def exchanging(world, **corp):
    return world.gateway(world.routes(exchanges={"corp": corp}))


# -- by itself


@pytest.mark.parametrize("what", ["token service", "redis", "upstream"])
def test_after_a_short_outage_all_is_well_by_itself(world, tmp_path, person, what):
    """Callers come again; the first second and a half in which all of them get what they want
    comes within ten seconds of its return. Tests/Reliability has the outages of 30 s."""
    behind = Behind(world, tmp_path, concurrency=8, latency=0.05)
    try:
        routes = behind.routes(breaker={"cooldown": "1s"})
        with world.gateway(routes, environ=behind.environ) as gateway:
            with Callers(world, gateway.port, person, rate=25) as callers:
                until(lambda: len(callers.answers) >= 25, "callers")
                behind.down(what)
                lost = time.monotonic()
                # Long enough for the breaker to open, or for Redis to be missed.
                until(lambda: time.monotonic() > lost + 2, "two seconds", pause=0.1)
                behind.up(what)
                back = time.monotonic()

                def is_well():
                    now = time.monotonic()
                    share, count = callers.share(max(back, now - 1.5), now)
                    return now > back + 1.5 and count >= 15 and share >= 0.99

                until(is_well, "all to be well", 12, pause=0.1)
                print(f"\n{what}: {said(callers.since(back))}")
            assert behind.most <= 8, "more exchanges at once than there may be"
            statuses = {status for _, status in callers.answers}
            if what == "redis":
                assert statuses == {200}, "nobody is to notice that Redis has gone"
    finally:
        behind.close()


# -- a token service that fails often


def counts(gateway, name, **labels):
    """A metric's value."""
    for line in gateway.admin("/metrics")[1].splitlines():
        if line.startswith(name + "{") and all(f'{k}="{v}"' in line for k, v in labels.items()):
            return float(line.rpartition(" ")[2])
    return None


def test_a_service_that_fails_often_is_asked_less_and_kept_tokens_are_served(world, person):
    """Also where no breaker opens; and when it is well again all are served."""
    with exchanging(world, retries=0, breaker={"failures": 1_000_000}) as gateway:
        warm = world.issuer.token(person)
        assert world.ask(gateway, "GET", "/x", person, warm).status == 200
        world.tokens.failing(503)
        before = len(world.tokens.calls)
        answers = []

        def ask():
            answers.append(world.ask(gateway, "GET", "/x", f"{person}-{len(answers)}"))
            assert world.ask(gateway, "GET", "/x", person, warm).status == 200
            return counts(gateway, "tollgate_exchange_not_tried_total", why="throttle") >= 10

        until(ask, "exchanges that are not tried", 60, pause=0)
        assert {answer.status for answer in answers} == {503}
        assert {answer.problem for answer in answers} == {"exchange_unavailable"}
        assert len(world.tokens.calls) - before <= len(answers) - 10
        spared = [a for a in answers if a.values("retry-after")]
        assert {int(a.value("retry-after")) for a in spared} <= {1, 2, 3} and spared
        gateway.logged(exchange_error="the token service fails often, so it is asked less")
        world.tokens.reset()

        def row():
            statuses = [
                world.ask(gateway, "GET", "/x", f"{person}-w{time.monotonic_ns()}").status
                for _ in range(10)
            ]
            return statuses == [200] * 10

        until(row, "ten in a row to be served", 30, pause=0.1)


def test_answers_about_callers_throttle_nothing(world, person):
    with exchanging(world, cache={"denied": "0s"}) as gateway:
        world.tokens.failing(400, {"error": "invalid_grant"})
        people = [f"{person}-{number}" for number in range(40)]
        assert {world.ask(gateway, "GET", "/x", one).status for one in people} == {401}
        assert counts(gateway, "tollgate_exchange_not_tried_total", why="throttle") == 0


def test_a_service_that_is_back_gets_its_calls_by_and_by(world, person):
    breaker = {"failures": 1, "cooldown": "300ms"}
    more = {"concurrency": 20, "retries": 0, "timeout": "60s", "breaker": breaker}
    with exchanging(world, **more) as gateway:
        world.tokens.failing(500)
        assert world.ask(gateway, "GET", "/x", person).status == 503
        assert counts(gateway, "tollgate_exchange_breaker_open") == 1
        world.tokens.reset()
        until(lambda: world.ask(gateway, "GET", "/x", person).status == 200, "its return")
        gate = world.tokens.held()
        threads, statuses = in_threads(
            [lambda number=number: world.ask(gateway, "GET", "/x", f"{person}-{number}").status
             for number in range(20)])  # fmt: skip
        world.tokens.wait_for_calls(1)
        at_once = world.tokens.waiting
        assert 1 <= at_once <= counts(gateway, "tollgate_exchange_calls_max")
        gate.set()
        for thread in threads:
            thread.join(60)
        assert statuses == [200] * 20
        until(lambda: counts(gateway, "tollgate_exchange_calls_max") == 20, "all of them", 20)


# -- what the operator is told


def test_the_operator_learns_why_and_what_to_do_and_when_it_is_over(world, person):
    breaker = {"failures": 2, "cooldown": "300ms"}
    with exchanging(world, retries=0, breaker=breaker) as gateway:
        world.tokens.down()
        try:
            for number in range(3):
                assert world.ask(gateway, "GET", "/x", f"{person}-{number}").status == 503
            (line,) = until(lambda: told(gateway, "exchange_unavailable"), "the trouble")
            assert "ECONNREFUSED" in line or "refused" in line
            assert "see whether the server runs" in line and str(world.tokens.port) in line
        finally:
            world.tokens.up()
        until(lambda: world.ask(gateway, "GET", "/x", person).status == 200, "its return")
        (line,) = until(lambda: told(gateway, "well again"), "the line")
        assert "exchange corp: the token service is well again; it failed first" in line
        assert "not tried" in line
        assert world.ask(gateway, "GET", "/x", f"{person}-more").status == 200
        assert len(told(gateway, "well again")) == 1
        # The next outage is another, however soon it comes.
        world.tokens.down()
        try:
            assert world.ask(gateway, "GET", "/x", f"{person}-again").status == 503
            until(lambda: len(told(gateway, "exchange_unavailable")) == 2, "the trouble, anew")
        finally:
            world.tokens.up()


def test_the_first_failed_connection_to_a_server_is_told_with_its_cause(world, person):
    port = free_port()
    routes = world.routes(
        world.route("/*", exchange="strip", forward={"to": "lone"}),
        upstreams={"lone": {"servers": [f"http://127.0.0.1:{port}"]}},
    )
    with world.gateway(routes) as gateway:
        token = world.issuer.token(person)
        assert world.ask(gateway, "GET", "/x", person, token).status == 503
        (line,) = until(lambda: told(gateway, "lone", "no connection"), "the line")
        assert line.startswith("tollgate: warning: upstream lone: ")
        assert f"127.0.0.1:{port}" in line and "ECONNREFUSED" in line
        assert "see whether the server runs" in line
        for _ in range(2):
            assert world.ask(gateway, "GET", "/x", person, token).status == 503
        server = Upstream([world.tokens], [world.issuer], port=port)
        server.promise.kinds["/"] = "none"
        try:
            assert world.ask(gateway, "GET", "/x", person, token).status == 200
            until(lambda: told(gateway, "lone", "answers again"), "its return")
            assert len(told(gateway, "lone", "no connection")) == 1
        finally:
            server.close()


def test_a_certificate_that_is_not_trusted_is_told_of_at_once(world, person):
    server = Upstream([world.tokens], [world.issuer], certificate=world.certificate_files)
    routes = world.routes(
        world.route("/*", exchange="strip", forward={"to": "secret"}),
        upstreams={"secret": {"servers": [server.url]}},
    )
    try:
        with world.gateway(routes) as gateway:
            assert world.ask(gateway, "GET", "/x", person).status == 503
            (line,) = until(lambda: told(gateway, "secret", "no connection"), "the line")
            assert "TLS failed" in line and "certificate" in line and "tls.ca" in line
    finally:
        server.close()


def test_an_issuer_whose_keys_can_be_had_again_is_told_of(tmp_path):
    """While they can't be had they are asked for again after one second, then two."""
    own = World(tmp_path / "own")
    try:
        with contextlib.ExitStack() as closing:
            own.issuer.down()
            gateway = own.start(ready="listening")
            closing.callback(gateway.end)
            until(lambda: told(gateway, "issuer corp: keys can't be had"), "the trouble")
            own.issuer.up()
            until(lambda: told(gateway, "issuer corp: keys can be had again"), "its return", 30)
            gateway.stop()
    finally:
        own.close()
