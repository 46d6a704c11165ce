"""Faults of token services, key sets and shared caches, and what must happen.

Where to find each case:

35. a token service's bad answers    test_a_bad_answer_is_told_and_not_kept,
                                     test_a_service_that_stalls_*, test_a_failing_service_may_say_*,
                                     test_a_life_without_end_*; more of them in test_exchange.py
36. it is down for a while           test_while_the_service_is_down_*
37. a thousand callers of one key    test_a_thousand_callers_*, test_an_error_is_told_to_all_*;
                                     the first one leaves: test_exchange.py
                                     test_the_call_belongs_to_none_*
38. it is slow                       test_a_slow_service_holds_up_nobody_else
39. a token for somebody else        test_a_bad_answer_is_told_and_not_kept, test_exchange.py
                                     test_a_token_for_another_service_or_person_*
40. keys can't be had at the start   test_a_source_of_keys_that_is_down_*, test_tokens.py
                                     test_keys_that_cannot_be_had_*
41. nor later                        test_bad_key_sets_replace_no_good_one; until the 24th hour and
                                     no longer: test_keys_whose_source_stays_away_*
42. bad key sets                     test_bad_key_sets_replace_no_good_one, test_tokens.py
                                     test_a_broken_key_set_*
43. a flood of unknown keys          test_a_flood_of_made_up_keys_*
44. a new key before it was fetched  test_callers_with_a_new_key_*, and where it does not come
                                     test_callers_wait_for_a_key_no_longer_*

In test_shared_cache.py:

45. Redis refuses, stands still      test_a_gateway_is_ready_and_serves_without_*,
                                     test_a_redis_that_stands_still_*, test_an_error_of_redis_*,
                                     test_a_redis_that_refuses_us_*
46. a late reply                     test_a_redis_that_never_answers_*; Swift: RedisClientTests
47. odd replies, byte by byte        test_requests_go_on_whatever_*, test_replies_may_come_*
48. entries that were changed        test_an_entry_that_was_changed_*, test_a_copied_entry_*,
                                     test_redis_can_not_make_*
49. FLUSHALL                         test_losing_redis_does_not_multiply_*
50. a restart                        test_requests_go_on_while_redis_*, and here
                                     test_workers_come_back_to_redis_one_by_one
51. killed in a pipeline             test_callers_on_a_connection_that_is_cut_*
"""

import contextlib
import json
import os
import pathlib
import resource
import threading
import time

import pytest
from harness.client import Connection, request_bytes
from harness.issuer import AUDIENCE, Issuer
from harness.keys import Key, now
from harness.program import Nginx
from harness.redis import FakeRedis
from harness.token_service import TokenService
from harness.waiting import free_port, until
from harness.world import SECRET
from test_process_faults import ShiftedClock, shifts_clocks

ONCE = {"retries": 0, "breaker": {"failures": 1000}}


def exchanging(world, *routes, **corp):
    return world.gateway(world.routes(*routes, exchanges={"corp": ONCE | corp}))


@pytest.fixture(scope="module")
def gateway(world):
    with exchanging(world) as gateway:
        yield gateway


def in_threads(bodies):
    """Runs them at once; ends when all have ended."""
    results = [None] * len(bodies)

    def run(index, body):
        results[index] = body()

    threads = [
        threading.Thread(target=run, args=(index, body)) for index, body in enumerate(bodies)
    ]
    for thread in threads:
        thread.start()
    return threads, results


class Peak:
    """Calls at the token service at once, each held for a moment."""

    def __init__(self, tokens):
        self.now = self.most = 0
        self.beside_first = False
        self.is_first_done = False
        self.lock = threading.Lock()
        self.never = threading.Event()
        tokens.failure = self

    def __call__(self, call, handler):
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
            self.beside_first |= self.now > 1 and not self.is_first_done
        self.never.wait(0.03)
        with self.lock:
            self.now -= 1
            self.is_first_done = True
        return False


# -- 35, 39: bad answers


def answering(status, body, content_type="application/json", headers=()):
    return lambda tokens: tokens.failing(status, body, content_type, headers)


def changing(answer=None, claims=None):
    def change(tokens):
        tokens.answer_changes, tokens.claim_changes = answer or {}, claims or {}

    return change


BAD = {
    "html": answering(200, b"<html>log in</html>", "text/html"),
    "html that calls itself json": answering(200, b"<html>log in</html>"),
    "five megabytes": answering(200, b'{"access_token":"' + b"a" * (5 << 20) + b'"}'),
    "deep": answering(200, b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
    "a redirect": answering(307, b"", headers=[("Location", "/token")]),
    "a negative life": changing({"expires_in": -1}),
    "a life that is none": changing({"expires_in": "for ever"}),
    "another token type": changing({"token_type": "mac"}),
    "no token type": changing({"token_type": None}),
    "another audience": changing(claims={"aud": "billing"}),
    "another person": changing(claims={"sub": "somebody-else"}),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_answer_is_told_and_not_kept(world, gateway, person, name):
    """And nothing was sent on: the next request has the service asked again."""
    token = world.issuer.token(person)
    BAD[name](world.tokens)
    answer = world.ask(gateway, "GET", "/x", person, token)
    assert answer.status == 502
    assert answer.problem in ("exchange_misconfigured", "exchange_unverified")
    assert world.upstream.seen(person=person) == []
    assert len(world.tokens.calls_for(token)) == 1  # a redirect was not followed
    world.tokens.reset()
    assert world.ask(gateway, "GET", "/x", person, token).status == 200
    assert len(world.tokens.calls_for(token)) == 2


def test_a_service_that_stalls_behind_its_head_is_too_slow(world, person):
    gone = threading.Event()

    def stall(_, handler):
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"
        handler.wfile.write(head)
        handler.wfile.flush()
        gone.wait(30)
        handler.close_connection = True
        return True

    with exchanging(world, timeout="300ms") as gateway:
        token = world.issuer.token(person)
        world.tokens.failure = stall
        answer = world.ask(gateway, "GET", "/x", person, token)
        assert (answer.status, answer.problem) == (504, "exchange_timeout")
        gone.set()
        world.tokens.reset()
        assert world.ask(gateway, "GET", "/x", person, token).status == 200


@pytest.mark.parametrize("status", [500, 503])
def test_a_failing_service_may_say_when_to_come_again(world, gateway, person, status):
    world.tokens.failing(status, headers=[("Retry-After", "7")])
    answer = world.ask(gateway, "GET", "/x", person)
    assert (answer.status, answer.problem) == (503, "exchange_unavailable")
    assert answer.values("retry-after") == ["7"]


@pytest.mark.parametrize("life", [10**30, 1e300, 2**63], ids=str)
def test_a_life_without_end_ends_with_the_token(world, gateway, person, life):
    world.tokens.answer_changes = {"expires_in": life}
    world.tokens.claim_changes = {"exp": now() + 4}
    token = world.issuer.token(person)
    assert world.ask(gateway, "GET", "/x", person, token).status == 200

    def is_asked_again():
        world.tokens.claim_changes = {"exp": now() + 4}
        assert world.ask(gateway, "GET", "/x", person, token).status == 200
        return len(world.tokens.calls_for(token)) > 1

    until(is_asked_again, "another exchange", 15, pause=0.1)


# -- 36: down


def test_while_the_service_is_down_kept_tokens_serve_and_it_comes_back_without_a_storm(
    world, person
):
    breaker = {"failures": 3, "cooldown": "500ms"}
    with exchanging(world, concurrency=4, breaker=breaker) as gateway:
        warm = {f"{person}-{number}": world.issuer.token(f"{person}-{number}") for number in "abc"}
        cold = {f"{person}-{number}": world.issuer.token(f"{person}-{number}")
                for number in range(30)}  # fmt: skip

        def asked(known):
            return [world.ask(gateway, "GET", "/x", *one).status for one in known.items()]

        assert asked(warm) == [200] * 3
        world.tokens.down()
        try:
            assert asked(cold) == [503] * 30
            assert asked(warm) == [200] * 3
            answer = world.ask(gateway, "GET", "/x", person)
            assert answer.problem == "exchange_unavailable"
            assert answer.values("retry-after") == ["1"]
            # Nobody asks it: what it would answer by now is not found out until the pause is over.
            samples = gateway.admin("/metrics")[1]
            assert 'tollgate_exchange_breaker_open{exchange="corp"} 1' in samples
        finally:
            world.tokens.up()
        peak = Peak(world.tokens)

        def persistent(name, token):
            ask = lambda: world.ask(gateway, "GET", "/x", name, token).status  # noqa: E731
            return lambda: until(lambda: ask() == 200, "the service's return", 30, pause=0.05)

        threads, served = in_threads([persistent(*one) for one in cold.items()])
        for thread in threads:
            thread.join(60)
        assert served == [True] * 30
        assert not peak.beside_first, "it was not tried by one call first"
        assert peak.most <= 4
        assert [len(world.tokens.calls_for(token)) for token in cold.values()] == [1] * 30


# -- 37: many callers of one key


def connections(port):
    """Bytes that the listener's program has yet to read, of each of its connections."""
    found = []
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(f":{port:04X}") and fields[3] == "01":
            found.append(int(fields[4].split(":")[1], 16))
    return found


def is_waiting(gateway, count):
    """Whether so many callers' requests have been read, and nobody works on them."""
    unread = connections(gateway.port)
    if len(unread) < count or any(unread):
        return False
    for task in pathlib.Path("/proc", str(gateway.pid), "task").iterdir():
        if (task / "stat").read_text().rpartition(")")[2].split()[0] != "S":
            return False
    return True


@contextlib.contextmanager
def crowd(gateway, count, person, token, path="/x"):
    """So many callers with the same request, each on a connection of its own."""
    with contextlib.ExitStack() as closing:
        callers = []
        for _ in range(count):
            callers.append(closing.enter_context(Connection(gateway.port, seconds=60)))
            callers[-1].send(request_bytes("GET", path, person, token))
        yield callers


def test_a_thousand_callers_of_one_key_make_one_exchange(world, person, tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= hard < 4_000:
        pytest.skip("too few descriptors on this machine")
    many = min(hard, 20_000) if hard >= 0 else 20_000
    port = free_port()
    echo = f'  server {{ listen 127.0.0.1:{port} backlog=4096;\n' \
        '  location / { return 200 "$http_authorization"; } }'  # fmt: skip
    nginx = Nginx(tmp_path, echo, port)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, many), hard))
    try:
        route = world.route("/*", forward={"to": f"http://127.0.0.1:{port}"})
        with exchanging(world, route, timeout="60s") as gateway:
            token = world.issuer.token(person)
            gate = world.tokens.held()
            with crowd(gateway, 1_000, person, token) as callers:
                assert world.tokens.wait_for_calls(1) == 1
                until(lambda: is_waiting(gateway, 1_000), "all of them to wait", 60)
                gate.set()
                answers = [caller.answer() for caller in callers]
            assert [answer.status for answer in answers] == [200] * 1_000
            [bearer] = {answer.body for answer in answers}
            assert world.tokens.issued[bearer.decode().removeprefix("Bearer ")].person == person
            assert len(world.tokens.calls_for(token)) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        nginx.end()


@pytest.mark.parametrize("status, reason", [(500, "exchange_unavailable"),
                                            (400, "exchange_denied")])  # fmt: skip
def test_an_error_is_told_to_all_who_waited_for_the_one_call(world, person, status, reason):
    with exchanging(world, timeout="60s") as gateway:
        token = world.issuer.token(person)
        gate = world.tokens.held()
        world.tokens.failing(status, {"error": "invalid_target"})
        with crowd(gateway, 200, person, token) as callers:
            assert world.tokens.wait_for_calls(1) == 1
            until(lambda: is_waiting(gateway, 200), "all of them to wait", 30)
            gate.set()
            assert {caller.answer().problem for caller in callers} == {reason}
        assert len(world.tokens.calls_for(token)) == 1


# -- 38: slow


def test_a_slow_service_holds_up_nobody_else(world, person):
    """While it does not answer at all: what needs it waits, at most so many calls of it are under
    way, and all other requests are served."""
    other = TokenService(secret=SECRET)
    world.upstream.promise.services.append(other)
    world.upstream.promise.kinds["/plain"] = "none"
    try:
        exchanges = {
            "corp": ONCE | {"concurrency": 3, "timeout": "60s"},
            "other": ONCE | {"tokenService": other.endpoint,
                             "client": {"id": "gateway", "secret": {"env": "GATEWAY_SECRET"}}},
        }  # fmt: skip
        routes = world.routes(
            world.route("/slow/*", exchange={"with": "corp"}),
            world.route("/other/*", exchange={"with": "other"}),
            world.route("/plain/*", exchange="strip"),
            exchanges=exchanges,
        )
        with world.gateway(routes) as gateway:
            warm = world.issuer.token(person)
            assert world.ask(gateway, "GET", "/slow/x", person, warm).status == 200
            gate = world.tokens.held()
            people = [f"{person}-{number}" for number in range(12)]
            threads, statuses = in_threads(
                [lambda one=one: world.ask(gateway, "GET", "/slow/x", one).status
                 for one in people])  # fmt: skip
            assert world.tokens.wait_for_calls(3) == 3
            until(lambda: is_waiting(gateway, 12), "all of them to wait")
            for number in range(30):
                name = f"{person}-other-{number}"
                assert world.ask(gateway, "GET", "/plain/x", name).status == 200
                assert world.ask(gateway, "GET", "/other/x", name).status == 200
                assert world.ask(gateway, "GET", "/slow/x", person, warm).status == 200
            assert world.tokens.waiting == 3 and statuses == [None] * 12
            peak = Peak(world.tokens)
            gate.set()
            for thread in threads:
                thread.join(30)
            assert statuses == [200] * 12
            assert peak.most <= 3
    finally:
        world.upstream.promise.services.remove(other)
        other.close()


# -- 40 to 44: keys


@pytest.fixture
def source(world):
    """An issuer that only this test knows."""
    source = Issuer(token_endpoint=world.tokens.endpoint)
    world.upstream.promise.issuers.append(source)
    yield source
    world.upstream.promise.issuers.remove(source)
    if not source.is_down:
        source.close()


def of_source(world, source, **more):
    settings = {"issuer": source.url, "audiences": [AUDIENCE]} | more
    return world.routes(issuers={"corp": None, "own": settings})


def ask(world, gateway, person, token, path="/x"):
    return world.ask(gateway, "GET", path, person, token)


def test_a_source_of_keys_that_is_down_lets_nobody_in_until_it_is_there(world, source, person):
    source.down()
    with world.gateway(of_source(world, source), ready="listening") as gateway:
        token = source.token(person)
        answer = ask(world, gateway, person, token)
        assert (answer.status, answer.problem) == (503, "keys_unavailable")
        status, body = gateway.admin("/readyz")
        assert status == 503 and "[-]keys of issuer own" in body
        assert world.upstream.seen(person=person) == []
        source.up()
        until(lambda: gateway.admin("/readyz")[0] == 200, "the keys", 30)
        assert ask(world, gateway, person, token).status == 200


@shifts_clocks
def test_keys_whose_source_stays_away_are_believed_for_a_day_and_no_longer(
    world, source, person, tmp_path
):
    clock = ShiftedClock(tmp_path)
    routes = of_source(world, source)
    with world.gateway(routes, environ=clock.environ) as gateway:
        known, fresh = source.token(person), source.token(person)
        assert ask(world, gateway, person, known).status == 200
        source.down()
        clock.put(monotonic=23 * 3_600)
        until(lambda: "those had before are used on" in gateway.said(), "a fetch that fails", 30)
        assert ask(world, gateway, person, known).status == 200
        assert ask(world, gateway, person, fresh).status == 200
        assert gateway.admin("/readyz")[0] == 200
        clock.put(monotonic=25 * 3_600)
        until(lambda: gateway.admin("/readyz")[0] == 503, "readiness to fail", 30)
        # One that was verified by them is believed no longer than one that comes now.
        for token in (source.token(person), known):
            until(lambda: ask(world, gateway, person, token).status == 503, "a refusal", 30)
            assert ask(world, gateway, person, token).problem == "keys_unavailable"
        source.up()
        until(lambda: gateway.admin("/readyz")[0] == 200, "the keys", 40)
        assert ask(world, gateway, person, known).status == 200


def bad_answers(stranger):
    """What is no key set, of whatever status and text; most of it has a stranger's key in it."""
    whole = json.dumps({"keys": [stranger.jwk()]}).encode()
    return [
        (200, b""),
        (200, b"<html>sorry</html>"),
        (200, b'{"keys":[]}'),
        (200, b"{}"),
        (200, whole[:-20]),
        (200, whole + whole),
        (200, b" " * (11 << 20) + whole),
        (200, json.dumps({"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}).encode()),
        (404, whole),
        (500, whole),
        (302, whole),
    ]


def test_bad_key_sets_replace_no_good_one(world, person):
    """Whatever its source says or doesn't, the keys that were had go on being good."""
    stranger = Key("ES256")
    bodies = bad_answers(stranger)
    with contextlib.ExitStack() as closing:
        sources = [Issuer(algorithms=("ES256",)) for _ in range(len(bodies) + 2)]
        world.upstream.promise.issuers.extend(sources)
        for source in sources:
            closing.callback(world.upstream.promise.issuers.remove, source)
            closing.callback(source.close)
        *bad, twice, down = sources
        issuers = {
            f"source-{number}": {"issuer": source.url, "audiences": [AUDIENCE],
                                 "jwks": source.url + "/jwks", "jwksRefresh": "1s"}
            for number, source in enumerate(sources)
        }  # fmt: skip
        gateway = closing.enter_context(world.gateway(world.routes(issuers=issuers)))

        def are_as_before():
            """With tokens that are new, so that the keys are looked at."""
            for source in sources:
                assert ask(world, gateway, person, source.token(person)).status == 200
                answer = ask(world, gateway, person, source.token(person, stranger))
                assert answer.status in (401, 503), answer
            assert gateway.admin("/readyz")[0] == 200

        are_as_before()
        for source, body in zip(bad, bodies):
            source.broken = body
        # The same name for two keys loses neither.
        twice.published = [Key("ES256").jwk(kid=twice.key.kid), twice.key.jwk()]
        down.down()
        before = [source.fetched() for source in sources[:-1]]

        def are_asked():
            # The first may have been answered before the change, the second still be under way.
            asked = [source.fetched() for source in sources[:-1]]
            told = gateway.err.read_text().count("can't be had")
            return all(now >= then + 3 for now, then in zip(asked, before)) and told >= len(bad) + 1

        until(are_asked, "all sources to be asked", 30)
        are_as_before()
        down.up()
        for source in sources:
            source.broken, source.published = None, [stranger.jwk()]
        for source in sources:
            until(lambda: ask(world, gateway, person, source.token(person, stranger)).status == 200,
                  "the new key", 30, pause=0.1)  # fmt: skip
            # And the former key is none any more.
            answer = ask(world, gateway, person, source.token(person))
            assert answer.status in (401, 503), answer


def test_a_flood_of_made_up_keys_costs_one_fetch_and_holds_up_nobody(world, source, person):
    with world.gateway(of_source(world, source)) as gateway:
        before = source.fetched()
        tokens = [source.token(person, header={"kid": f"made-up-{n}"}) for n in range(400)]

        def flood(part):
            def body():
                with Connection(gateway.port) as connection:
                    return {
                        connection.request("GET", "/x", person, token).problem for token in part
                    }

            return body

        threads, problems = in_threads([flood(tokens[number::8]) for number in range(8)])
        while any(thread.is_alive() for thread in threads):
            assert ask(world, gateway, person, source.token(person)).status == 200
            threads[0].join(0.01)
        assert set.union(*problems) == {"key_unknown"}
        assert source.fetched() == before + 1
        assert world.upstream.seen(person=person)


def test_callers_with_a_new_key_wait_for_one_fetch(world, source, person):
    with world.gateway(of_source(world, source)) as gateway:
        before = source.fetched()
        fresh = Key("RS256")
        source.keys.append(fresh)
        source.gate = threading.Event()
        people = [f"{person}-{number}" for number in range(40)]
        with contextlib.ExitStack() as closing:
            callers = []
            for name in people:
                callers.append(closing.enter_context(Connection(gateway.port)))
                callers[-1].send(request_bytes("GET", "/x", name, source.token(name, fresh)))
            until(lambda: source.fetched() == before + 1, "the fetch")
            until(lambda: is_waiting(gateway, 40), "all of them to wait")
            # Whose key is known does not wait.
            assert ask(world, gateway, person, source.token(person)).status == 200
            source.gate.set()
            assert [caller.answer().status for caller in callers] == [200] * 40
        assert source.fetched() == before + 1


def test_callers_wait_for_a_key_no_longer_than_the_issuers_timeout(world, source, person):
    with world.gateway(of_source(world, source, timeout="500ms")) as gateway:
        fresh = Key("RS256")
        source.keys.append(fresh)
        source.gate = threading.Event()
        tokens = [source.token(person, fresh) for _ in range(10)]
        threads, answers = in_threads(
            [lambda token=token: ask(world, gateway, person, token).problem for token in tokens]
        )
        for thread in threads:
            thread.join(30)
        assert answers == ["keys_unavailable"] * 10
        assert ask(world, gateway, person, source.token(person)).status == 200
        source.gate.set()


def test_a_file_of_keys_that_can_not_be_read_to_its_end_holds_up_nobody(world, person, tmp_path):
    """As on a network's file system that stands still: opening a pipe waits for its writer."""
    file = tmp_path / "keys"
    os.mkfifo(file)
    source = Key("ES256")
    issuers = {
        "other": {"issuer": "https://other.example", "audiences": [AUDIENCE], "jwks": str(file),
                  "timeout": "1s"}}  # fmt: skip
    routes = world.routes(world.route("/*", authenticate={"issuers": ["corp"]}), issuers=issuers)
    with world.gateway(routes, ready="listening") as gateway:
        # The first worker, which fetches keys, answers here too.
        until(lambda: "[+]keys of issuer corp" in gateway.admin("/readyz")[1], "corp's keys")
        until(lambda: "timed out" in gateway.admin("/readyz")[1], "the complaint", 30)
        assert world.ask(gateway, "GET", "/x", person).status == 200
        # However often it is tried: one thread.
        tasks = [
            (task / "comm").read_text().strip()
            for task in pathlib.Path("/proc", str(gateway.pid), "task").iterdir()
        ]
        assert tasks.count("tg-reader") == 1
        writer = os.open(file, os.O_WRONLY)
        keys = json.dumps({"keys": [source.jwk()]}).encode()

        def is_had():
            with contextlib.suppress(OSError):
                descriptor = os.open(file, os.O_WRONLY | os.O_NONBLOCK)
                os.write(descriptor, keys)
                os.close(descriptor)
            return gateway.admin("/readyz")[0] == 200

        os.write(writer, keys)
        os.close(writer)
        until(is_had, "the keys", 30, pause=0.05)


# -- 50: Redis comes back


def test_workers_come_back_to_redis_one_by_one(world, person):
    """A server that has lost all its connections is not met by all of them at once: each waits for
    a time of its own. The more a busy machine delays them, the further apart they are."""
    fake = FakeRedis()
    try:
        greeted = []
        fake.greeting = lambda words: greeted.append(time.monotonic()) or b"+OK\r\n"
        cache = {"url": fake.url, "keys": [{"env": "KEY"}], "timeout": "10s"}
        routes = world.routes(sharedCache=cache, workers=12)
        with world.gateway(routes, environ={"KEY": "1" * 64}):
            until(lambda: len(greeted) == 12, "all workers")
            fake.cut()
            until(lambda: len(greeted) == 24, "all workers again", 30)
            back = sorted(greeted[12:])
            # Each draws from 50 ms; all within a twentieth of that is a chance of 12 / 20^11.
            assert back[-1] - back[0] > 0.0025
    finally:
        fake.close()
