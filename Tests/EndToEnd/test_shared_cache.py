"""Gateways that share exchanged tokens through Redis, and a Redis that fails them in every way."""

import base64
import contextlib
import json
import os
import re
import signal
import subprocess
import threading

import pytest
from harness.certificates import Certificate
from harness.program import ROOT
from harness.redis import FakeRedis, RedisServer
from harness.waiting import free_port, until

PASSWORD = "hunter2-of-redis"


def new_key():
    return base64.b64encode(os.urandom(32)).decode()


KEYS = {"KEY_1": new_key(), "KEY_2": new_key(), "REDIS_PASSWORD": PASSWORD}


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    redis = RedisServer(tmp_path_factory.mktemp("redis"))
    yield redis
    redis.end()


@pytest.fixture
def fake():
    fake = FakeRedis()
    yield fake
    fake.close()


@contextlib.contextmanager
def sharing(world, url, keys=("KEY_1",), corp=None, connected=True, **cache):
    """A gateway with a shared cache; by default one whose workers are all connected.

    The time that it waits for Redis is long, because this machine may be busy; tests of a slow
    Redis set their own.
    """
    cache = {"url": url, "keys": [{"env": key} for key in keys], "timeout": "10s"} | cache
    corp = {"retries": 0, "breaker": {"failures": 1000}} | (corp or {})
    routes = world.routes(sharedCache=cache, exchanges={"corp": corp})
    with world.gateway(routes, environ=KEYS) as gateway:
        if connected:
            gateway.wait_until(lambda: "sharedCache: connected to" in told(gateway), "Redis")
        yield gateway
        for secret in KEYS.values():
            assert secret not in told(gateway)


def told(gateway):
    return gateway.err.read_text(errors="replace") + gateway.out.read_text(errors="replace")


def bearer(world, gateway, person, token, path="/x"):
    """Asks, and what the service was sent."""
    answer = world.ask(gateway, "GET", path, person, token)
    assert answer.status == 200, answer
    return answer.seen("authorization")[0].removeprefix("Bearer ")


def kinds(gateway, path):
    """What the access log says of the exchanges at this path."""
    return [record["exchange"] for record in gateway.log() if record.get("path") == path]


def looks(redis):
    """How many scripts the server has run."""
    for line in redis.ask("INFO", "commandstats").decode().splitlines():
        if line.startswith("cmdstat_eval:"):
            return int(line.split("calls=")[1].split(",")[0])
    return 0


def stored(redis, count, seconds=15):
    """Waits for that many entries: they are put away after the caller has been answered."""
    return until(lambda: len(found := redis.entries()) == count and found, f"{count} entries")


def in_threads(*bodies):
    """Runs them at once; what each returned."""
    results = [None] * len(bodies)

    def run(index):
        results[index] = bodies[index]()

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(bodies))]
    for thread in threads:
        thread.start()
    return threads, results


# -- one exchange for all


def test_what_one_gateway_exchanged_serves_another(world, redis, person):
    redis.ask("FLUSHALL")
    token = world.issuer.token(person)
    with sharing(world, redis.url) as one, sharing(world, redis.url) as two:
        first = bearer(world, one, person, token)
        stored(redis, 1)
        assert bearer(world, two, person, token) == first
        assert bearer(world, two, person, token) == first
        assert len(world.tokens.calls_for(token)) == 1
        until(lambda: kinds(two, "/x") == ["shared", "hit"], "the second gateway's log")
        until(lambda: kinds(one, "/x") == ["miss"], "the first gateway's log")


def test_two_gateways_that_miss_together_make_one_exchange(world, redis, person):
    redis.ask("FLUSHALL")
    token = world.issuer.token(person)
    with sharing(world, redis.url) as one, sharing(world, redis.url) as two:
        before = looks(redis)
        gate = world.tokens.held()
        bodies = [lambda: bearer(world, one, person, token)] * 8
        threads, bearers = in_threads(*bodies)
        assert world.tokens.wait_for_calls(1) == 1
        more, others = in_threads(*[lambda: bearer(world, two, person, token)] * 8)
        # The second one has looked and looks again, for longer than a lock lasts by itself.
        until(lambda: looks(redis) >= before + 50, "the second gateway's looks", 30)
        gate.set()
        for thread in threads + more:
            thread.join(30)
        assert len(set(bearers + others)) == 1
        assert len(world.tokens.calls_for(token)) == 1
        until(lambda: len(found := kinds(two, "/x")) == 8 and found, "the log")
        assert set(kinds(two, "/x")) <= {"shared", "hit"}
    assert not [name for name in redis.names() if name.endswith(b":lock")]


def test_each_of_many_tokens_is_exchanged_once_between_two_gateways(world, redis, person):
    redis.ask("FLUSHALL")
    people = [f"{person}-{number}" for number in range(60)]
    tokens = {name: world.issuer.token(name) for name in people}
    with sharing(world, redis.url) as one, sharing(world, redis.url) as two:

        def ask_all(gateway, order):
            return lambda: [bearer(world, gateway, name, tokens[name]) for name in order]

        threads, results = in_threads(
            ask_all(one, people), ask_all(two, people), ask_all(two, people[::-1])
        )
        for thread in threads:
            thread.join(60)
        assert results[0] == results[1] == results[2][::-1]
    for name in people:
        assert len(world.tokens.calls_for(tokens[name])) == 1, name


def test_refusals_are_not_shared(world, redis, person):
    redis.ask("FLUSHALL")
    token = world.issuer.token(person)
    with sharing(world, redis.url) as one, sharing(world, redis.url) as two:
        world.tokens.failing(400, {"error": "invalid_target"})
        assert world.ask(one, "GET", "/x", person, token).status == 403
        until(lambda: redis.names() == [], "the lock to be released")
        world.tokens.failure = None
        assert world.ask(two, "GET", "/x", person, token).status == 200
        # The one that was refused remembers that.
        assert world.ask(one, "GET", "/x", person, token).status == 403
    assert len(world.tokens.calls_for(token)) == 2


def test_a_refused_refresh_takes_the_entry_away(world, redis, person):
    """Or it would be found there as soon as the refusal is no longer remembered."""
    world.tokens.lifetime = 60
    token = world.issuer.token(person)
    before = set(redis.names())
    corp = {"cache": {"denied": "1ms", "refreshAhead": 0.9}}
    with sharing(world, redis.url, corp=corp) as gateway:
        bearer(world, gateway, person, token)
        until(lambda: set(redis.entries()) - before, "the entry")
        world.tokens.failing(400, {"error": "invalid_grant"})

        def is_refused():
            return world.ask(gateway, "GET", "/x", person, token).status == 401

        until(is_refused, "the refusal of a refresh", 30)
        until(lambda: not set(redis.entries()) - before, "the end of the entry")
        # A worker may have a copy for two seconds more.
        until(lambda: all(is_refused() for _ in range(20)), "refusals and nothing else", 10)


def test_who_waited_for_an_exchange_that_was_refused_makes_its_own(world, redis, person):
    redis.ask("FLUSHALL")
    token = world.issuer.token(person)
    with sharing(world, redis.url) as one, sharing(world, redis.url) as two:
        before = looks(redis)
        gate = world.tokens.held()
        threads, first = in_threads(lambda: world.ask(one, "GET", "/x", person, token))
        assert world.tokens.wait_for_calls(1) == 1
        more, second = in_threads(lambda: world.ask(two, "GET", "/x", person, token))
        until(lambda: looks(redis) >= before + 3, "the second gateway's looks")

        def refuse_the_first(call, handler):
            if len(world.tokens.calls_for(token)) > 1:
                return False
            world.tokens.send(handler, 400, {"error": "invalid_target"})
            return True

        world.tokens.failure = refuse_the_first
        gate.set()
        for thread in threads + more:
            thread.join(30)
        assert (first[0].status, second[0].status) == (403, 200)
    assert len(world.tokens.calls_for(token)) == 2


def test_a_lock_left_behind_by_a_dead_gateway_is_waited_for_no_longer_than_an_exchange(
    world, redis, person
):
    redis.ask("FLUSHALL")
    token = world.issuer.token(person)
    corp = {"timeout": "4s"}
    with sharing(world, redis.url, corp=corp) as one, sharing(world, redis.url, corp=corp) as two:
        gate = world.tokens.held()
        threads, _ = in_threads(lambda: failing(world, one, person, token))
        assert world.tokens.wait_for_calls(1) == 1
        [lock] = redis.names()
        assert 0 < redis.ask("PTTL", lock) <= 600
        redis.ask("PERSIST", lock)
        redis.ask("SET", lock, "a dead gateway's")
        gate.set()
        threads[0].join(30)
        redis.ask("DEL", *[name for name in redis.names() if name != lock])
        assert world.ask(two, "GET", "/x", person, token).status == 200
        # Nobody takes a lock away that is not his.
        assert redis.ask("GET", lock) == b"a dead gateway's"


def test_an_exchange_takes_its_timeout_and_no_more_with_the_wait_for_another_gateway(
    world, redis, person
):
    redis.ask("FLUSHALL")
    token = world.issuer.token(person)
    corp = {"timeout": "3s"}
    with sharing(world, redis.url, corp=corp) as one, sharing(world, redis.url, corp=corp) as two:
        gate = world.tokens.held()
        threads, _ = in_threads(lambda: failing(world, one, person, token))
        assert world.tokens.wait_for_calls(1) == 1
        [lock] = redis.names()
        redis.ask("PERSIST", lock)
        redis.ask("SET", lock, "a gateway's that is stuck")
        # It waits for the other, then asks itself, and the service says nothing to either.
        assert world.ask(two, "GET", "/x", person, token).status == 504
        assert len(world.tokens.calls_for(token)) == 2
        record = two.logged(path="/x", status=504)
        assert 3_000 <= record["exchange_ms"] + 1 < 4_500, "one timeout, not two"
        gate.set()
        threads[0].join(30)
        redis.ask("DEL", *redis.names())


def test_a_gateway_that_dies_holds_nobody_up(world, redis, person):
    redis.ask("FLUSHALL")
    token = world.issuer.token(person)
    corp = {"timeout": "300s"}
    with sharing(world, redis.url, corp=corp) as two:
        with pytest.raises(AssertionError, match="exit status -9"):
            with sharing(world, redis.url, corp=corp) as one:
                gate = world.tokens.held()
                threads, _ = in_threads(lambda: failing(world, one, person, token))
                assert world.tokens.wait_for_calls(1) == 1
                one.process.kill()
                threads[0].join(30)
        more, answers = in_threads(lambda: bearer(world, two, person, token))
        # It does not wait for as long as an exchange may take.
        assert world.tokens.wait_for_calls(2, 30) == 2
        gate.set()
        more[0].join(30)
        assert answers[0]


def failing(world, gateway, person, token):
    with contextlib.suppress(Exception):
        world.ask(gateway, "GET", "/x", person, token)


# -- had anew ahead of its end


def test_two_gateways_that_would_refresh_a_token_make_one_exchange(world, redis, person):
    redis.ask("FLUSHALL")
    token = world.issuer.token(person)
    with sharing(world, redis.url) as one, sharing(world, redis.url) as two:
        world.tokens.lifetime = 8
        first = bearer(world, one, person, token)
        stored(redis, 1)
        assert bearer(world, two, person, token) == first
        assert len(world.tokens.calls_for(token)) == 1
        world.tokens.lifetime = 3600
        gate = world.tokens.held()
        before = looks(redis)

        def both_look():
            assert bearer(world, one, person, token) == first
            assert bearer(world, two, person, token) == first
            return looks(redis) >= before + 2

        # Both would have it anew; the second one sees that the first one does, and does not wait.
        until(both_look, "both gateways' looks", 20, pause=0.05)
        assert world.tokens.wait_for_calls(1) == 1
        gate.set()

        def both_have_it():
            return bearer(world, one, person, token) == bearer(world, two, person, token) != first

        until(both_have_it, "the fresh token at both", 20, pause=0.05)
        assert len(world.tokens.calls_for(token)) == 2
    assert not [name for name in redis.names() if name.endswith(b":lock")]


def test_a_token_whose_refresh_is_refused_is_nobodys_any_more(world, redis, person):
    redis.ask("FLUSHALL")
    token = world.issuer.token(person)
    with sharing(world, redis.url, corp={"cache": {"denied": "0s", "refreshAhead": 0.9}}) as one:
        # Kept for 32 s, and had anew within the first six of them.
        world.tokens.lifetime = 40
        bearer(world, one, person, token)
        stored(redis, 1)
        world.tokens.failing(400, {"error": "invalid_grant"})
        until(lambda: world.ask(one, "GET", "/x", person, token).status == 401, "the refusal", 20,
              pause=0.05)  # fmt: skip
        until(lambda: redis.names() == [], "Redis to be rid of it")
        assert world.ask(one, "GET", "/x", person, token).status == 401
        # Nor does another gateway find it there.
        with sharing(world, redis.url) as two:
            assert world.ask(two, "GET", "/x", person, token).status == 401


# -- numbers


def numbers(gateway):
    status, text = gateway.admin("/metrics")
    assert status == 200
    lines = [line.rpartition(" ") for line in text.splitlines() if "tollgate_shared_cache" in line]
    return {name: float(value) for name, _, value in lines if not name.startswith("#")}


def test_what_is_shared_is_counted_also_over_a_reload(world, redis, person):
    redis.ask("FLUSHALL")
    token = world.issuer.token(person)
    with sharing(world, redis.url) as one, sharing(world, redis.url) as two:
        bearer(world, one, person, token)
        stored(redis, 1)
        bearer(world, two, person, token)
        names = "tollgate_shared_cache_"
        first, second = numbers(one), numbers(two)
        assert first[names + 'lookups_total{outcome="miss"}'] == 1
        assert first[names + "stored_total"] == 1
        assert second[names + 'lookups_total{outcome="hit"}'] == 1
        assert second[names + "stored_total"] == second[names + "errors_total"] == 0
        assert second[names + "reply_duration_seconds_count"] == 1
        assert second[names + "reply_duration_seconds_sum"] > 0
        assert first[names + "connections"] == second[names + "connections"] == 2
        # A reload that changes nothing of it keeps the connections, and sets no number back.
        clients = redis.ask("CLIENT", "LIST", "TYPE", "normal")
        known = set(re.findall(rb"^id=(\d+)", clients, re.M))
        for number in range(1, 4):
            two.signal(signal.SIGHUP)
            until(lambda n=number: told(two).count("tollgate: reloaded") == n, "the reload")
            assert numbers(two) == second
        again = set(re.findall(rb"^id=(\d+)", redis.ask("CLIENT", "LIST", "TYPE", "normal"), re.M))
        assert len(known & again) >= 4
        # One that changes it makes new ones, and only those are counted.
        routes = json.loads(two.file.read_text())
        routes["sharedCache"]["timeout"] = "9s"
        two.file.write_text(json.dumps(routes))
        two.signal(signal.SIGHUP)
        until(lambda: told(two).count("sharedCache: connected to") == 2, "other connections")
        until(lambda: numbers(two) == second, "the former ones' end")


def test_the_metrics_are_as_prometheus_wants_them(world, redis, person):
    with sharing(world, redis.url) as gateway:
        bearer(world, gateway, person, world.issuer.token(person))
        status, text = gateway.admin("/metrics")
    assert status == 200 and "tollgate_shared_cache_connections" in text
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text, text=True, capture_output=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# -- what Redis knows


def test_redis_learns_neither_tokens_nor_people(world, redis, person):
    redis.ask("FLUSHALL")
    token = world.issuer.token(person)
    with sharing(world, redis.url) as gateway:
        issued = bearer(world, gateway, person, token)
        [(name, value)] = stored(redis, 1).items()
    assert name.startswith(b"tollgate:1:{")
    assert 0 < redis.ask("PTTL", name) <= 3_600_000
    dump = name + value
    for secret in (token, issued):
        for part in secret.split("."):
            assert part.encode() not in dump
    assert person.encode() not in dump and b"orders" not in dump
    assert len(value) == len(issued) + 1 + 4 + 16 + 28
    # The same token is sealed differently, and named the same, each time.
    redis.ask("FLUSHALL")
    with sharing(world, redis.url) as gateway:
        bearer(world, gateway, person, token)
        [(again, other)] = stored(redis, 1).items()
    assert again == name and other != value


def test_a_copied_entry_opens_nowhere(world, redis, person):
    redis.ask("FLUSHALL")
    people = [f"{person}-a", f"{person}-b"]
    tokens = [world.issuer.token(name) for name in people]
    with sharing(world, redis.url) as one, sharing(world, redis.url) as two:
        bearer(world, one, people[0], tokens[0])
        [(first, value)] = stored(redis, 1).items()
        bearer(world, one, people[1], tokens[1])
        second = [name for name in stored(redis, 2) if name != first][0]
        redis.ask("SET", second, value)
        # The promise that each request bears its own caller's token is checked at the service.
        bearer(world, two, people[1], tokens[1])
        assert len(world.tokens.calls_for(tokens[1])) == 2
        assert "does not open" in told(two)
        assert bearer(world, two, people[0], tokens[0])
        assert len(world.tokens.calls_for(tokens[0])) == 1


def flipped(value, at):
    return value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]


@pytest.mark.parametrize(
    "change",
    [
        lambda value: flipped(value, -1 + len(value)),
        lambda value: flipped(value, 0),
        lambda value: flipped(value, 2),
        lambda value: flipped(value, 30),
        lambda value: value[:-1],
        lambda value: value[:5],
        lambda value: value + b"x",
        lambda value: b"",
        lambda value: b"x" * 5_000,
    ],
    ids=["tag", "format", "key", "token", "cut", "head only", "longer", "empty", "garbage"],
)
def test_an_entry_that_was_changed_is_none(world, redis, person, change):
    redis.ask("FLUSHALL")
    token = world.issuer.token(person)
    with sharing(world, redis.url) as one, sharing(world, redis.url) as two:
        first = bearer(world, one, person, token)
        [(name, value)] = stored(redis, 1).items()
        redis.ask("SET", name, change(value))
        second = bearer(world, two, person, token)
        assert second != first
        assert "does not open" in told(two)
        # It is put right.
        until(lambda: redis.ask("GET", name) != change(value), "a good entry")
    assert len(world.tokens.calls_for(token)) == 2


def test_a_name_that_holds_something_else_is_no_entry(world, redis, person):
    redis.ask("FLUSHALL")
    token = world.issuer.token(person)
    with sharing(world, redis.url) as one, sharing(world, redis.url) as two:
        bearer(world, one, person, token)
        [name] = stored(redis, 1)
        redis.ask("DEL", name)
        redis.ask("LPUSH", name, "x")
        bearer(world, two, person, token)
        assert "answers WRONGTYPE" in told(two)
    redis.ask("FLUSHALL")


def test_redis_can_not_make_an_entry_live_longer(world, redis, person):
    """Its end is inside: one that was kept past it, or put back, is none."""
    redis.ask("FLUSHALL")
    token = world.issuer.token(person)
    corp = {"cache": {"maxLife": "2s"}}
    with sharing(world, redis.url, corp=corp) as one, sharing(world, redis.url, corp=corp) as two:
        old = bearer(world, one, person, token)
        [(name, value)] = stored(redis, 1).items()
        assert 0 < redis.ask("PTTL", name) <= 2_000
        redis.ask("PERSIST", name)
        assert bearer(world, two, person, token) == old
        until(lambda: redis.ask("SET", name, value) and bearer(world, two, person, token) != old,
              "the second gateway to exchange anew", pause=0.1)  # fmt: skip
        redis.ask("SET", name, value)
        until(lambda: bearer(world, one, person, token) != old, "the first to", pause=0.1)
        with sharing(world, redis.url, corp=corp) as three:
            redis.ask("SET", name, value)
            assert bearer(world, three, person, token) != old
            assert "does not open" not in told(three)


def test_keys_are_changed_while_gateways_run(world, redis, person):
    redis.ask("FLUSHALL")
    people = [f"{person}-{number}" for number in range(3)]
    tokens = [world.issuer.token(name) for name in people]

    def exchanges(gateway, number):
        before = len(world.tokens.calls_for(tokens[number]))
        bearer(world, gateway, people[number], tokens[number])
        return len(world.tokens.calls_for(tokens[number])) - before

    with (
        sharing(world, redis.url, ["KEY_1"]) as old,
        sharing(world, redis.url, ["KEY_1", "KEY_2"]) as first,
        sharing(world, redis.url, ["KEY_2", "KEY_1"]) as second,
        sharing(world, redis.url, ["KEY_2"]) as new,
    ):
        assert exchanges(old, 0) == 1
        stored(redis, 1)
        assert [exchanges(first, 0), exchanges(second, 0)] == [0, 0]
        assert exchanges(second, 1) == 1
        stored(redis, 2)
        assert [exchanges(first, 1), exchanges(new, 1)] == [0, 0]
        assert exchanges(old, 1) == 1  # it has not the key; and it does no harm
        assert exchanges(new, 2) == 1
        stored(redis, 4)
        assert [exchanges(second, 2), exchanges(first, 2)] == [0, 0]
        for gateway in (old, first, second, new):
            assert "does not open" not in told(gateway)


# -- how Redis is reached


def test_a_password_and_a_database(world, tmp_path, person):
    redis = RedisServer(tmp_path / "redis", password=PASSWORD)
    try:
        password = {"password": {"env": "REDIS_PASSWORD"}}
        token = world.issuer.token(person)
        with sharing(world, redis.url + "/3", **password) as one:
            first = bearer(world, one, person, token)
            until(lambda: b"db3:keys=1" in redis.ask("INFO", "keyspace"), "an entry")
            with sharing(world, redis.url + "/3", **password, username="default") as two:
                assert bearer(world, two, person, token) == first
    finally:
        redis.end()


def test_a_user_needs_no_more_than_the_reference_says(world, tmp_path, person):
    text = " ".join((ROOT / "examples/reference/README.md").read_text().split())
    [rights] = re.findall(r"user of its own needs `([^`]*)`", text)
    user = f"user tollgate on >{PASSWORD} {rights}"
    redis = RedisServer(tmp_path / "redis", lines=[user])
    try:
        more = {"username": "tollgate", "password": {"env": "REDIS_PASSWORD"}}
        token = world.issuer.token(person)
        with sharing(world, redis.url, **more) as one, sharing(world, redis.url, **more) as two:
            first = bearer(world, one, person, token)
            stored(redis, 1)
            assert bearer(world, two, person, token) == first
            assert "NOPERM" not in told(one) + told(two)
        assert b"rejected_calls=0" in redis.ask("INFO", "commandstats")
        assert not redis.ask("ACL", "LOG")
    finally:
        redis.end()


@pytest.mark.parametrize(
    "more, code",
    [
        ({}, "NOAUTH"),
        ({"password": {"env": "KEY_2"}}, "WRONGPASS"),
        ({"username": "nobody", "password": {"env": "REDIS_PASSWORD"}}, "WRONGPASS"),
        ({"username": "poor", "password": {"env": "REDIS_PASSWORD"}}, "NOPERM"),
    ],
)
def test_a_redis_that_refuses_us_is_told_of_and_done_without(world, tmp_path, person, more, code):
    user = f"user poor on >{PASSWORD} ~* +ping"
    redis = RedisServer(tmp_path / "redis", password=PASSWORD, lines=[user])
    try:
        with sharing(world, redis.url, connected=code == "NOPERM", **more) as gateway:
            bearer(world, gateway, person, world.issuer.token(person))
            until(lambda: f"answers {code}" in told(gateway), f"{code} in the log")
        assert told(gateway).count(f"answers {code}") == 1
    finally:
        redis.end()


def test_redis_over_tls(world, tmp_path, person):
    files = world.certificate.write(tmp_path, "redis")
    authority = world.authority_file
    redis = RedisServer(tmp_path / "redis", tls=files | {"ca": authority})
    try:
        token = world.issuer.token(person)
        tls = {"tls": {"ca": str(authority)}}
        with sharing(world, redis.url, **tls) as one, sharing(world, redis.url, **tls) as two:
            first = bearer(world, one, person, token)
            stored(redis, 1)
            assert bearer(world, two, person, token) == first
        stranger = tmp_path / "stranger.pem"
        stranger.write_bytes(Certificate(["Stranger"], authority=True).pem)
        tls = {"tls": {"ca": str(stranger)}}
        with sharing(world, redis.url, connected=False, **tls) as three:
            until(lambda: "TLS failed" in told(three), "the log's complaint")
            assert bearer(world, three, person, token) != first
    finally:
        redis.end()


# -- a Redis that is gone, slow or mad


def test_a_gateway_is_ready_and_serves_without_its_redis(world, person):
    url = f"redis://127.0.0.1:{free_port()}"
    with sharing(world, url, connected=False) as gateway:
        assert gateway.admin("/readyz")[0] == 200
        bearer(world, gateway, person, world.issuer.token(person))
        until(lambda: "ECONNREFUSED" in told(gateway), "the log's complaint")
        until(lambda: kinds(gateway, "/x") == ["miss"], "the log")


def test_requests_go_on_while_redis_is_killed_and_started_again(world, tmp_path, person):
    redis = RedisServer(tmp_path / "redis")
    with sharing(world, redis.url) as one, sharing(world, redis.url) as two:
        ending, failures, counts = threading.Event(), [], [0] * 4

        def go_on(number):
            gateway = (one, two)[number % 2]
            while not ending.is_set():
                name = f"{person}-{number}-{counts[number]}"
                answer = world.ask(gateway, "GET", "/busy", name)
                if answer.status != 200:
                    failures.append(answer)
                counts[number] += 1

        threads, _ = in_threads(*[lambda number=number: go_on(number) for number in range(4)])
        for _ in range(3):
            until(lambda seen=list(counts): all(map(int.__gt__, counts, seen)), "requests")
            lines = told(one).count("connected to")
            redis.kill()
            until(lambda seen=list(counts): all(map(int.__gt__, counts, seen)), "requests")
            until(lambda: "tokens are exchanged without it" in told(one), "the log")
            redis = redis.restarted()
            until(lambda: redis.ask("DBSIZE") > 0, "entries in the new one", 30)
        ending.set()
        for thread in threads:
            thread.join(30)
        assert not failures, failures[:3]
        assert lines >= 1
        # And they share again.
        token = world.issuer.token(person)

        def shares():
            token = world.issuer.token(person)
            return bearer(world, one, person, token) == bearer(world, two, person, token)

        until(shares, "one gateway's token at the other", 30)
        assert token
    redis.end()


def test_a_redis_that_stands_still_is_passed_over_until_it_goes_on(world, tmp_path, person):
    redis = RedisServer(tmp_path / "redis")
    with sharing(world, redis.url, timeout="300ms") as gateway:
        redis.signal(signal.SIGSTOP)
        try:
            for _ in range(30):
                bearer(world, gateway, person, world.issuer.token(person))
            until(lambda: "did not answer in time" in told(gateway), "the log")
        finally:
            redis.signal(signal.SIGCONT)

        def stores():
            bearer(world, gateway, person, world.issuer.token(person))
            return redis.entries()

        until(stores, "entries again", 30)
    redis.end()


class Peak:
    """The most calls at the token service at once, each held for a moment."""

    def __init__(self, tokens):
        self.now = self.most = 0
        self.lock = threading.Lock()
        self.never = threading.Event()
        tokens.failure = self

    def __call__(self, call, handler):
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        self.never.wait(0.03)
        with self.lock:
            self.now -= 1
        return False


@pytest.mark.parametrize("way", ["flushed", "killed"])
def test_losing_redis_does_not_multiply_exchanges_past_their_cap(world, tmp_path, person, way):
    redis = RedisServer(tmp_path / "redis")
    with sharing(world, redis.url, corp={"concurrency": 3, "timeout": "30s"}) as gateway:
        peak = Peak(world.tokens)

        def callers(number):
            def body():
                for index in range(8):
                    assert world.ask(
                        gateway, "GET", "/x", name := f"{person}-{number}-{index}"
                    ).status == 200, name  # fmt: skip
                return True

            return body

        threads, results = in_threads(*[callers(number) for number in range(12)])
        if way == "killed":
            until(lambda: peak.most >= 3, "a busy token service")
            redis.kill()
        while any(thread.is_alive() for thread in threads):
            if way == "flushed":
                redis.ask("FLUSHALL")
            threads[0].join(0.02)
        assert results == [True] * 12
        assert peak.most == 3
    redis.end()


LATE = None

ANSWERS = {
    "late": LATE,
    "half a reply": b"$100\r\nabc",
    "no such kind": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "a text": b"+OK\r\n",
    "an array": b"*1\r\n:1\r\n",
    "nothing": b"$-1\r\n",
    "another number": b":7\r\n",
    "too much": b"$99999999\r\n" + b"x" * 100_000,
    "a wrong length": b"$3\r\nabcdef\r\n",
    "two replies": b":1\r\n:1\r\n",
    "hung up": "cut",
}


@pytest.mark.parametrize("name", ANSWERS)
def test_requests_go_on_whatever_redis_answers(world, fake, person, name):
    with sharing(world, fake.url, timeout="200ms") as gateway:
        fake.answer = lambda words: ANSWERS[name]
        tokens = [world.issuer.token(person) for _ in range(25)]
        bearers = [bearer(world, gateway, person, token) for token in tokens]
        assert len(set(bearers)) == 25
        assert [len(world.tokens.calls_for(token)) for token in tokens] == [1] * 25
        # Well again, it is used again.
        fake.answer = lambda words: b":1\r\n"
        before = len(fake.commands)

        def is_used():
            bearer(world, gateway, person, world.issuer.token(person))
            return len(fake.commands) > before + 4

        until(is_used, "commands", 30)


def test_a_redis_that_never_answers_costs_few_requests_anything(world, fake, person):
    """Most don't even ask: after a failure one may try, and fewer the longer it lasts."""
    with sharing(world, fake.url, timeout="50ms") as gateway:
        fake.answer = lambda words: LATE
        for _ in range(100):
            bearer(world, gateway, person, world.issuer.token(person))
        # Two workers, each of which tries after 0.1, 0.2, 0.4 s…; a hundred without a breaker.
        assert len(fake.looks) <= 25
        assert fake.connections > 2  # none of them was used again


def test_replies_may_come_a_byte_at_a_time(world, redis, fake, person):
    token = world.issuer.token(person)
    redis.ask("FLUSHALL")
    with sharing(world, redis.url) as one:
        first = bearer(world, one, person, token)
        [value] = stored(redis, 1).values()
    reply = b"$%d\r\n%s\r\n" % (len(value), value)
    with sharing(world, fake.url) as two:
        fake.answer = lambda words: [reply[at : at + 1] for at in range(len(reply))]
        assert bearer(world, two, person, token) == first
        until(lambda: kinds(two, "/x") == ["shared"], "the log")


@pytest.mark.parametrize(
    "error, advice",
    [
        ("LOADING Redis is loading the dataset in memory", "passed over until it has"),
        ("READONLY You can't write against a read only replica.", "must name the primary"),
        ("OOM command not allowed when used memory > 'maxmemory'.", "maxmemory-policy"),
        ("MOVED 3999 127.0.0.1:6381", "Cluster is not supported"),
        ("NOAUTH Authentication required.", "sharedCache.password"),
        ("MISCONF Redis is configured to save RDB snapshots", "takes no entries"),
        ("ERR unknown command `EVAL`, with args beginning with: `a-secret`", "its own log"),
    ],
)
def test_an_error_of_redis_is_a_miss_and_told_of_once(world, fake, person, error, advice):
    with sharing(world, fake.url) as gateway:
        fake.answer = lambda words: f"-{error}\r\n".encode()
        for _ in range(10):
            bearer(world, gateway, person, world.issuer.token(person))
        assert len(fake.looks) == 10  # they come at once, and cost nothing
        lines = [line for line in told(gateway).splitlines() if "answers" in line]
        assert len(lines) == 1
        assert f"answers {error.split()[0]}: " in lines[0] and advice in lines[0]
        assert "a-secret" not in told(gateway) and "EVAL" not in told(gateway)


def test_a_greeting_that_quotes_the_password_is_not_repeated(world, fake, person):
    fake.greeting = lambda words: b"-ERR unknown command, with args: `%s`\r\n" % words[-1]
    password = {"password": {"env": "REDIS_PASSWORD"}}
    with sharing(world, fake.url, connected=False, **password) as gateway:
        until(lambda: "answers ERR" in told(gateway), "the log's complaint")
        bearer(world, gateway, person, world.issuer.token(person))
        assert fake.commands == []


def test_callers_on_a_connection_that_is_cut_are_each_answered_once(world, fake, person):
    """The server is killed in the middle of a pipeline."""
    with sharing(world, fake.url) as gateway:
        fake.answer = lambda words: LATE
        people = [f"{person}-{number}" for number in range(40)]
        threads, bearers = in_threads(
            *[
                lambda name=name: bearer(world, gateway, name, world.issuer.token(name), "/cut")
                for name in people
            ]
        )
        until(lambda: len(fake.looks) == 40, "all looks to be on their way")
        fake.cut()
        for thread in threads:
            thread.join(30)
        assert len(set(bearers)) == 40 and None not in bearers
        until(lambda: kinds(gateway, "/cut") == ["miss"] * 40, "the log")
