"""What becomes of kept tokens: had anew before they end, dropped when a service refuses them."""

import re
import threading

import pytest
from harness.keys import now
from harness.waiting import until

INVALID = ("WWW-Authenticate", 'Bearer realm="orders", error="invalid_token"')
BRIEF = {"corp": {"retries": 0, "breaker": {"failures": 1000}}}


@pytest.fixture(scope="module")
def gateway(world):
    with world.gateway(world.routes(world.route("/*"), exchanges=BRIEF)) as gateway:
        yield gateway


class Asking:
    """One person's requests, each with what the upstream saw."""

    def __init__(self, world, gateway, person, **claims):
        self.world, self.gateway, self.person = world, gateway, person
        self.token = world.issuer.token(person, **claims)

    def __call__(self, path="/x", method="GET", **more):
        return self.world.ask(self.gateway, method, path, self.person, self.token, **more)

    def bearer(self, path="/x"):
        answer = self(path)
        assert answer.status == 200, answer.body
        return answer.seen("authorization")[0]

    @property
    def calls(self):
        return len(self.world.tokens.calls_for(self.token))


# -- had anew ahead of its end


def test_a_token_is_had_anew_behind_a_hit_in_the_last_part_of_its_life(world, gateway, person):
    world.tokens.lifetime = 5
    ask = Asking(world, gateway, person)
    first = ask.bearer()
    assert ask.calls == 1
    # The request that begins the refresh still gets the old token, and waits for nothing.
    gate = world.tokens.held()
    until(lambda: ask.bearer() == first and world.tokens.waiting, "a call ahead of the end", 10)
    assert ask.bearer() == first
    gate.set()
    fresh = until(lambda: (now := ask.bearer()) != first and now, "the fresh token")
    assert ask.calls == 2
    assert fresh != first
    record = gateway.logged(exchange="refreshed")
    assert record["status"] == 200


def test_many_hits_begin_one_refresh(world, gateway, person):
    world.tokens.lifetime = 5
    ask = Asking(world, gateway, person)
    first = ask.bearer()
    gate = world.tokens.held()
    until(lambda: ask.bearer() and world.tokens.waiting, "a call ahead of the end", 10)
    threads = [threading.Thread(target=ask.bearer) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    gate.set()
    until(lambda: ask.bearer() != first, "the fresh token")
    assert ask.calls == 2


def test_a_refusal_of_the_refresh_ends_the_kept_token(world, gateway, person):
    world.tokens.lifetime = 6
    ask = Asking(world, gateway, person)
    ask.bearer()
    world.tokens.failing(400, {"error": "invalid_grant"})
    refused = until(lambda: (now := ask()).status == 401 and now, "the refusal", 10)
    assert refused.json()["reason"] == "subject_refused"


@pytest.mark.parametrize("status", [500, 503, 429, 404])
def test_a_failure_of_the_refresh_leaves_the_kept_token(world, gateway, person, status):
    world.tokens.lifetime = 6
    ask = Asking(world, gateway, person)
    first = ask.bearer()
    world.tokens.failing(status, b"nothing", "text/html")
    until(lambda: ask.bearer() == first and ask.calls > 1, "a call ahead of the end", 10)
    assert ask.bearer() == first
    world.tokens.failure = None


def test_nothing_is_had_anew_where_the_callers_token_ends_first(world, gateway, person):
    world.tokens.lifetime = 600
    ask = Asking(world, gateway, person, exp=now() + 6)
    first = ask.bearer()
    # Over its whole life: the calls stay one until the caller's own token has ended.
    until(lambda: (now := ask()).status == 401 and now, "the end of the caller's token", 15)
    assert ask.calls == 1
    assert first


def test_nothing_is_had_anew_ahead_where_that_is_turned_off(world, person):
    world.tokens.lifetime = 4
    off = {"corp": {"cache": {"refreshAhead": 0}}}
    with world.gateway(world.routes(exchanges=off)) as gateway:
        ask = Asking(world, gateway, person)
        first = ask.bearer()
        until(lambda: ask.bearer() != first, "the next token", 10)
        records = until(lambda: (now := gateway.log()) and len(now) > 2 and now, "records")
    outcomes = {record["exchange"] for record in records}
    assert outcomes == {"miss", "hit"}


# -- refused by the service behind


def refusing(world, path, tokens, status=401, challenge=INVALID):
    """The upstream refuses these tokens at this path."""

    @world.upstream.on(path)
    def behave(exchange):
        exchange.read_body()
        bearer = exchange.request.value("authorization")
        if bearer in tokens:
            return exchange.answer(status, b"no", [challenge] if challenge else [])
        exchange.answer_json({"fields": exchange.request.fields})


def test_a_token_that_the_service_refuses_is_had_anew_and_the_request_sent_again(
    world, gateway, person
):
    ask = Asking(world, gateway, person)
    path = f"/revoked/{person}"
    revoked = set()
    refusing(world, path, revoked)
    first = ask.bearer(path)
    revoked.add(first)
    # A token that was issued a moment ago is not had anew: the refusal is passed on.
    answer = ask(path)
    assert (answer.status, ask.calls) == (401, 1)
    fresh = until(lambda: (now := ask(path)).status == 200 and now, "a fresh token", 20, 0.25)
    assert fresh.seen("authorization")[0] != first
    assert ask.calls == 2
    # The caller saw no refusal of that request, and the next ones go well at once.
    assert ask(path).status == 200 and ask.calls == 2
    record = gateway.logged(path=path, status=200, exchange="miss", attempts=2)
    assert record["upstream_status"] == 200


def test_a_refused_request_with_content_is_answered_and_its_token_dropped(world, gateway, person):
    ask = Asking(world, gateway, person)
    path = f"/posted/{person}"
    revoked = set()
    refusing(world, path, revoked)
    first = ask.bearer(path)
    revoked.add(first)

    def posted():
        before = ask.calls
        answer = ask(path, "POST", body=b"content")
        return answer.status == 200 and ask.calls == before + 1

    # Each answer is the service's own until the token was old enough to be dropped.
    until(posted, "a fresh token for a later request", 20, 0.25)
    assert ask.calls == 2
    posts = [request for request in world.upstream.seen(path) if request.method == "POST"]
    assert all(request.body == b"content" for request in posts)


def test_a_service_that_refuses_every_token_has_one_had_anew_a_while(world, gateway, person):
    ask = Asking(world, gateway, person)
    path = f"/never/{person}"

    @world.upstream.on(path)
    def behave(exchange):
        exchange.read_body()
        exchange.answer(401, b"no", [INVALID])

    assert ask(path).status == 401
    until(lambda: ask(path).status == 401 and ask.calls == 2, "one token more", 20, 0.25)
    for _ in range(20):
        assert ask(path).status == 401
    assert ask.calls == 2


def test_another_refusal_changes_nothing(world, gateway, person):
    ask = Asking(world, gateway, person)
    for number, (status, challenge) in enumerate(
        [(401, None), (401, ("WWW-Authenticate", 'Bearer error="insufficient_scope"')),
         (403, INVALID)]
    ):  # fmt: skip
        refused = set()
        path = f"/other-{number}/{person}"
        refusing(world, path, refused, status, challenge)
        refused.add(ask.bearer(path))
        for _ in range(3):
            assert ask(path).status == status
    assert ask.calls == 1


# -- patience


def test_a_service_that_asks_for_patience_is_left_alone_for_as_long(world, person):
    with world.gateway(world.routes(exchanges=BRIEF)) as gateway:
        world.tokens.failing(429, {"error": "slow_down"}, headers=[("Retry-After", "2")])
        first = Asking(world, gateway, person)
        answer = first()
        assert (answer.status, answer.json()["reason"]) == (503, "exchange_unavailable")
        assert answer.values("retry-after") == ["2"]
        # Others are told at once, and the service is not called.
        before = len(world.tokens.calls)
        other = Asking(world, gateway, person + "-other")
        answer = other()
        assert (answer.status, answer.json()["reason"]) == (503, "exchange_unavailable")
        assert int(answer.values("retry-after")[0]) in (1, 2)
        assert len(world.tokens.calls) == before
        world.tokens.failure = None
        until(lambda: first().status == 200, "the end of the patience")


# -- numbers


def metrics(gateway):
    """The samples of /metrics by name and labels."""
    status, text = gateway.admin("/metrics")
    assert status == 200
    samples = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            samples[name] = float(value)
    return samples


def test_exchanges_are_counted(world, person):
    with world.gateway(world.routes(exchanges=BRIEF)) as gateway:
        ask = Asking(world, gateway, person)
        for _ in range(5):
            ask.bearer()
        world.tokens.failing(400, {"error": "invalid_target"})
        other = Asking(world, gateway, person + "-other")
        for _ in range(3):
            assert other().status == 403
        samples = metrics(gateway)

        def requests(outcome):
            labels = f'exchange="corp",outcome="{outcome}"'
            return samples[f"tollgate_exchange_requests_total{{{labels}}}"]

        assert requests("miss") == 1
        assert requests("hit") == 4
        assert requests("denied") == 3
        assert samples['tollgate_exchange_call_duration_seconds_count{exchange="corp"}'] == 2
        assert samples['tollgate_exchange_cache_entries{exchange="corp"}'] == 2
        assert samples['tollgate_exchange_cache_bytes{exchange="corp"}'] > 500
        # One token that ends in an hour, as its caller's does at the earliest.
        survival = samples['tollgate_exchange_survival_seconds{exchange="corp"}']
        assert 0 < survival <= 3700
        assert samples['tollgate_issuer_keys{issuer="corp"}'] >= 1
        assert samples['tollgate_issuer_keys_age_seconds{issuer="corp"}'] >= 0
        gateway.stop()
        said = gateway.err.read_text()
    line = next(line for line in said.splitlines() if "exchange corp:" in line)
    assert re.search(r"4 hit, 1 miss, 3 denied; 2 calls", line), line
    assert "without the token service half of the tokens kept would last" in line
