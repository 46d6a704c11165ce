"""How many requests a route takes: by whom they are counted, when, and over how many gateways."""

import base64
import json
import os
import signal
import threading

import pytest
from harness.client import Connection, ask
from harness.redis import FakeRedis, RedisServer
from harness.waiting import until


def limited(world, path, limit, **more):
    return world.route(path, rateLimit=limit, **more)


def hour(requests, by, **more):
    """So many and no more, for as long as a test takes."""
    return {"requests": requests, "per": "1h", "by": by} | more


@pytest.fixture(scope="module")
def gateway(world):
    open_route = {"authenticate": "none", "respond": {"body": "x"}}
    routes = world.routes(
        limited(world, "/ip/*", hour(3, "ip")),
        limited(world, "/claim/*", hour(2, "claim:sub")),
        limited(world, "/tenant/*", hour(2, "claim:/org/id")),
        limited(world, "/both/*", [hour(1, "claim:sub"), hour(3, "claim:/org/id")]),
        limited(world, "/burst/*", {"requests": 1, "per": "1h", "burst": 4, "by": "ip"}),
        limited(world, "/steady/*", {"requests": 10, "burst": 1, "by": "route"}),
        limited(world, "/system/*", hour(1, "claim:sub")),
        {"match": {"path": "/header/*"}, "rateLimit": hour(2, "header:X-Key")} | open_route,
        {"match": {"path": "/route/*"}, "rateLimit": hour(2, "route")} | open_route,
        {"match": {"path": "/many/*"}, "rateLimit": hour(100, "route")} | open_route,
        {"match": {"path": "/client/*"}, "rateLimit": hour(2, "ip")} | open_route,
        {"match": {"path": "/free/*"}} | open_route,
        workers=4,
        trustedProxies=["127.0.0.1"],
        issuers={"other": {"issuer": "https://other.example", "audiences": "any",
                           "jwks": world.issuer.url + "/jwks"}},
    )  # fmt: skip
    with world.gateway(routes) as gateway:
        yield gateway


def statuses(gateway, path, times, **more):
    return [ask(gateway.port, "GET", path, **more).status for _ in range(times)]


def test_too_many_are_told_when_to_come_back(gateway):
    assert statuses(gateway, "/route/a", 2) == [200, 200]
    answer = ask(gateway.port, "GET", "/route/b")
    assert (answer.status, answer.problem) == (429, "rate_limited")
    # 3600 s for two: the next one in 1800 s, rounded up.
    assert 1790 <= int(answer.value("retry-after")) <= 1800
    assert answer.value("www-authenticate") is None
    record = gateway.logged(path="/route/b")
    assert (record["status"], record["reason"]) == (429, "rate_limited")
    # The connection goes on, and so does all else.
    with Connection(gateway.port) as connection:
        for path, status in (("/route/a", 429), ("/free/a", 200), ("/route/a", 429)):
            assert connection.request("GET", path).status == status


def test_addresses_are_counted_before_the_token_is_read(world, gateway, person):
    """Whoever tries tokens is stopped too, and nobody is asked about them."""
    fetched = world.issuer.fetched()
    answers = [ask(gateway.port, "GET", "/ip/x", token="x.y.z") for _ in range(5)]
    assert [answer.status for answer in answers] == [401, 401, 401, 429, 429]
    assert world.ask(gateway, "GET", "/ip/x", person).status == 429
    assert world.issuer.fetched() == fetched


def test_clients_behind_a_trusted_proxy_are_counted_each(gateway):
    def by(client, times):
        fields = [("X-Forwarded-For", client)]
        return statuses(gateway, "/client/x", times, fields=fields)

    assert by("203.0.113.1", 3) == [200, 200, 429]
    assert by("203.0.113.2", 3) == [200, 200, 429]
    # IPv6 by /64: its owner has all of it.
    assert by("2001:db8:1:2::1", 1) + by("2001:db8:1:2:ffff::9", 2) == [200, 200, 429]
    assert by("2001:db8:1:3::1", 1) == [200]
    assert by("::ffff:203.0.113.1", 1) == [429]


def test_a_fields_values_are_counted_each(gateway):
    def by(*values, times=3):
        fields = [("X-Key", value) for value in values]
        return statuses(gateway, "/header/x", times, fields=fields)

    assert by("a") == [200, 200, 429]
    assert by("b") == [200, 200, 429]
    assert by("a", "b") == [200, 200, 429]
    assert by() == [200, 200, 429], "those without one share one count"
    assert by("", times=1) == [200]
    answer = ask(gateway.port, "GET", "/header/x", fields=[("X_Key", "a")])
    assert answer.status == 429, "another spelling is another field, so this has none"


def test_claims_are_counted_after_admission_and_before_the_exchange(world, gateway, person):
    token = world.issuer.token(person)
    other = world.issuer.token(person)
    assert world.ask(gateway, "GET", "/claim/x", person, token).status == 200
    # Another token of the same person counts with the first one.
    calls = len(world.tokens.calls)
    assert world.ask(gateway, "GET", "/claim/x", person, other).status == 200
    fresh = world.issuer.token(person)
    answer = world.ask(gateway, "GET", "/claim/x", person, fresh)
    assert (answer.status, answer.problem) == (429, "rate_limited")
    assert len(world.tokens.calls) == calls + 1, "no exchange for one too many"
    assert world.tokens.calls_for(fresh) == []
    assert world.ask(gateway, "GET", "/claim/x", person + "-2").status == 200


def test_those_who_are_turned_away_take_no_place(world, gateway, person):
    for _ in range(3):
        token = world.issuer.system_token(person)
        assert world.ask(gateway, "GET", "/system/x", person, token).status == 403
    assert world.ask(gateway, "GET", "/system/x", person).status == 200
    assert world.ask(gateway, "GET", "/system/x", person).status == 429


def test_the_issuer_is_part_of_whom_a_claim_names(world, gateway, person):
    mine = world.issuer.token(person)
    theirs = world.issuer.token(person, iss="https://other.example")
    for token in (mine, theirs, mine, theirs):
        assert world.ask(gateway, "GET", "/claim/y", person, token).status == 200
    for token in (mine, theirs):
        assert world.ask(gateway, "GET", "/claim/y", person, token).status == 429


def test_a_claim_may_stand_deep_or_be_absent(world, gateway):
    def by(person, times=1, **claims):
        token = world.issuer.token(person, **claims)
        answers = [world.ask(gateway, "GET", "/tenant/x", person, token) for _ in range(times)]
        return [answer.status for answer in answers]

    assert by("a", org={"id": "acme"}) + by("b", org={"id": "acme"}) == [200, 200]
    assert by("c", org={"id": "acme"}) == [429]
    assert by("c", org={"id": "acme2"}) == [200]
    assert by("d") + by("e", org={}) + by("f", org={"id": None}) == [200, 200, 429]


def test_who_is_over_one_limit_uses_up_no_other(world, gateway):
    names = ["one", "one", "one", "one", "two", "three", "four"]
    tokens = [world.issuer.token(name, org={"id": "acme"}) for name in names]
    found = [
        world.ask(gateway, "GET", "/both/x", *each).status
        for each in zip(names, tokens, strict=True)
    ]
    assert found == [200, 429, 429, 429, 200, 200, 429]


def test_the_burst_is_how_many_may_come_at_once(world, gateway, person):
    found = [world.ask(gateway, "GET", "/burst/x", person).status for _ in range(6)]
    assert found == [200] * 4 + [429] * 2


def test_there_is_room_again_after_the_time_that_was_told(world, gateway, person):
    token = world.issuer.token(person)
    assert world.ask(gateway, "GET", "/steady/x", person, token).status == 200
    until(
        lambda: world.ask(gateway, "GET", "/steady/x", person, token).status == 200,
        "room for another request", 10, 0.02,
    )  # fmt: skip


def test_the_limit_is_of_all_workers_together(gateway):
    results = []

    def caller():
        for _ in range(50):
            results.append(ask(gateway.port, "GET", "/many/x").status)

    threads = [threading.Thread(target=caller) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results.count(200) == 100 and results.count(429) == 100


# -- a reload


def test_a_reload_that_keeps_the_limit_keeps_the_counts(world):
    open_route = {"authenticate": "none", "respond": {"body": "x"}}
    kept = {"match": {"path": "/kept"}, "rateLimit": hour(2, "ip")} | open_route
    changed = {"match": {"path": "/changed"}, "rateLimit": hour(2, "ip")} | open_route
    with world.gateway(world.routes(kept, changed)) as gateway:
        assert statuses(gateway, "/kept", 3) == [200, 200, 429]
        assert statuses(gateway, "/changed", 3) == [200, 200, 429]
        routes = dict(gateway.routes)
        routes["routes"] = [
            {"match": {"path": "/new"}} | open_route,
            changed | {"rateLimit": hour(3, "ip")},
            kept,
        ]
        gateway.file.write_text(json.dumps(routes))
        gateway.signal(signal.SIGHUP)
        gateway.wait_until(lambda: ask(gateway.port, "GET", "/new").status == 200, "the reload")
        assert statuses(gateway, "/kept", 1) == [429]
        assert statuses(gateway, "/changed", 4) == [200, 200, 200, 429]


# -- over several gateways

KEY = {"KEY": base64.b64encode(os.urandom(32)).decode()}


def told(gateway):
    return gateway.err.read_text(errors="replace") + gateway.out.read_text(errors="replace")


def sharing(world, url, limit, timeout="10s", **more):
    routes = world.routes(
        {"match": {"path": "/x"}, "authenticate": "none", "respond": {"body": "x"},
         "rateLimit": limit},
        sharedCache={"url": url, "timeout": timeout, "keys": [{"env": "KEY"}]},
        workers=1,
    )  # fmt: skip
    return world.gateway(routes, environ=KEY, **more)


def connected(*gateways):
    for gateway in gateways:
        gateway.wait_until(lambda: "sharedCache: connected to" in told(gateway), "Redis")


@pytest.fixture
def redis(tmp_path):
    server = RedisServer(tmp_path / "redis")
    yield server
    server.end()


def test_gateways_count_together(world, redis):
    limit = [hour(4, "ip"), hour(100, "route")]
    with sharing(world, redis.url, limit) as one, sharing(world, redis.url, limit) as two:
        connected(one, two)
        found = [ask(gateway.port, "GET", "/x") for gateway in (one, two, two, one, one, two)]
        assert [answer.status for answer in found] == [200] * 4 + [429] * 2
        for answer in found[4:]:
            assert 850 <= int(answer.value("retry-after")) <= 900
        names = redis.ask("KEYS", "*")
        assert len(names) == 2
        for name in names:
            assert name.startswith(b"tollgate:") and b"127" not in name
            assert int(redis.ask("PTTL", name)) > 0, "a count ends by itself"


def test_one_too_many_for_all_takes_no_place_of_its_own(world, redis):
    limit = hour(3, "ip")
    with sharing(world, redis.url, limit) as one, sharing(world, redis.url, limit) as two:
        connected(one, two)
        assert statuses(one, "/x", 3) == [200] * 3
        assert statuses(two, "/x", 5) == [429] * 5
        # The counts of all are gone: the second gateway itself has let nobody through yet.
        redis.ask("FLUSHALL")
        assert statuses(two, "/x", 4) == [200, 200, 200, 429]


def test_a_redis_that_is_gone_leaves_each_gateway_to_its_own_count(world, redis):
    with sharing(world, redis.url, hour(3, "ip")) as gateway:
        connected(gateway)
        assert statuses(gateway, "/x", 1) == [200]
        redis.end()
        assert statuses(gateway, "/x", 4) == [200, 200, 429, 429]


def test_a_redis_that_is_never_there_delays_nobody(world):
    with sharing(world, "redis://127.0.0.1:9", hour(3, "ip"), timeout="10s") as gateway:
        assert statuses(gateway, "/x", 4) == [200, 200, 200, 429]


@pytest.mark.parametrize(
    "answer", [None, b"+OK\r\n", b":-1\r\n", b"-NOPERM no\r\n", "cut"], ids=str
)
def test_a_redis_that_is_no_help_leaves_each_gateway_to_its_own_count(world, answer):
    fake = FakeRedis(lambda words: answer)
    try:
        with sharing(world, fake.url, hour(8, "ip"), timeout="300ms") as gateway:
            connected(gateway)
            assert statuses(gateway, "/x", 10) == [200] * 8 + [429] * 2
            assert fake.commands
    finally:
        fake.close()
