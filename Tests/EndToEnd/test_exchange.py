"""The token exchange: what is asked, how long it is kept, who shares it, and how it fails."""

import base64
import threading
import urllib.parse

import pytest
from harness.keys import claims_of, mint, now
from harness.token_service import ACCESS_TOKEN, EXCHANGE
from harness.waiting import until
from harness.world import SECRET


@pytest.fixture(scope="module")
def gateway(world):
    routes = world.routes(
        world.route("/*"),
        world.route("/billing/*", exchange={"audience": "billing"}),
        world.route(
            "/full/*",
            exchange={
                "audience": ["one", "two words"],
                "resource": "https://r.example/a?b=c&d",
                "scope": ["orders:read", "orders:write"],
            },
        ),
        exchanges={"corp": {"retries": 0, "breaker": {"failures": 1000}}},
    )
    world.upstream.promise.audiences |= {
        "/billing": "billing",
        "/full": ["one", "two words", "https://r.example/a?b=c&d"],
    }
    with world.gateway(routes) as gateway:
        yield gateway


def exchange_of(world, gateway, person, path="/x", **changes):
    """A request of a new token; the answer, and the calls of the token service it made."""
    token = world.issuer.token(person, **changes)
    answer = world.ask(gateway, "GET", path, person, token)
    return answer, world.tokens.calls_for(token)


# -- what is asked


def test_the_call_is_as_rfc_8693_says(world, gateway, person):
    answer, calls = exchange_of(world, gateway, person)
    assert answer.status == 200
    assert len(calls) == 1
    form = dict(calls[0].form)
    assert len(form) == len(calls[0].form)
    assert form.pop("subject_token").count(".") == 2
    assert form == {
        "grant_type": EXCHANGE,
        "subject_token_type": ACCESS_TOKEN,
        "audience": "orders",
    }
    credentials = base64.b64decode(calls[0].authorization.removeprefix("Basic "))
    assert credentials == f"gateway:{SECRET}".encode()
    assert "application/json" in (calls[0].accept or "application/json")


def test_audiences_resources_and_scopes_are_asked_for(world, gateway, person):
    answer, calls = exchange_of(world, gateway, person, "/full/x")
    assert answer.status == 200
    assert calls[0].values("audience") == ["one", "two words"]
    assert calls[0].values("resource") == ["https://r.example/a?b=c&d"]
    assert calls[0].values("scope") == ["orders:read orders:write"]


def test_the_secret_may_go_in_the_form(world, person):
    client = {"method": "client_secret_post"}
    with world.gateway(world.routes(exchanges={"corp": {"client": client}})) as gateway:
        world.tokens.method = "client_secret_post"
        answer, calls = exchange_of(world, gateway, person)
    assert answer.status == 200
    assert calls[0].authorization is None
    assert calls[0].value("client_id") == "gateway"
    assert calls[0].value("client_secret") == SECRET


def test_strange_credentials_are_form_encoded_first(world, person):
    """RFC 6749 §2.3.1: a colon or a percent sign in the id must not move the border."""
    strange = {"id": "ga:te way+%41é", "secret": {"env": "STRANGE_SECRET"}}
    secret = "s:e c+r%2Fet&=é"
    routes = world.routes(exchanges={"corp": {"client": strange}})
    old = world.tokens.client, world.tokens.secret
    world.tokens.client, world.tokens.secret = strange["id"], secret
    try:
        with world.gateway(routes, environ={"STRANGE_SECRET": secret}) as gateway:
            answer, calls = exchange_of(world, gateway, person)
        assert answer.status == 200
        plain = base64.b64decode(calls[0].authorization.removeprefix("Basic ")).decode()
        name, _, password = plain.partition(":")
        assert urllib.parse.unquote_plus(name) == strange["id"]
        assert urllib.parse.unquote_plus(password) == secret
    finally:
        world.tokens.client, world.tokens.secret = old


def test_more_parameters_and_types_are_sent(world, person):
    more = {
        "parameters": {"tenant": "a&b"},
        "requestedTokenType": ACCESS_TOKEN,
        "subjectTokenType": "urn:ietf:params:oauth:token-type:jwt",
    }
    with world.gateway(world.routes(exchanges={"corp": more})) as gateway:
        answer, calls = exchange_of(world, gateway, person)
    assert answer.status == 200
    assert calls[0].value("tenant") == "a&b"
    assert calls[0].value("requested_token_type") == ACCESS_TOKEN
    assert calls[0].value("subject_token_type").endswith(":jwt")


def test_the_token_endpoint_is_found_by_discovery(world, person):
    with world.gateway(world.routes(exchanges={"corp": {"tokenService": "corp"}})) as gateway:
        answer, calls = exchange_of(world, gateway, person)
    assert (answer.status, len(calls)) == (200, 1)


# -- how long it is kept, and for whom


def test_an_exchanged_token_is_kept(world, gateway, person):
    token = world.issuer.token(person)
    seen = set()
    for _ in range(10):
        answer = world.ask(gateway, "GET", f"/kept/{person}", person, token)
        seen.add(answer.seen("authorization")[0])
    assert len(seen) == 1
    assert len(world.tokens.calls_for(token)) == 1
    records = until(
        lambda: len(found := at_path(gateway, f"/kept/{person}")) == 10 and found, "ten records"
    )
    # Lines of two workers may come in another order.
    assert sorted(record["exchange"] for record in records) == ["hit"] * 9 + ["miss"]
    assert all(record["audience"] in ("orders", ["orders"]) for record in records)


def test_each_target_is_exchanged_for_by_itself(world, gateway, person):
    token = world.issuer.token(person)
    for _ in range(2):
        for path in ("/x", "/billing/x"):
            assert world.ask(gateway, "GET", path, person, token).status == 200
    calls = world.tokens.calls_for(token)
    assert [call.value("audience") for call in calls] == ["orders", "billing"]


def test_each_token_is_exchanged_by_itself(world, gateway, person):
    """Never by the subject alone: two tokens of one person are two exchanges."""
    first, second = world.issuer.token(person), world.issuer.token(person)
    for token in (first, second, first, second):
        assert world.ask(gateway, "GET", "/x", person, token).status == 200
    assert len(world.tokens.calls_for(first)) == len(world.tokens.calls_for(second)) == 1


def test_people_never_get_each_others_token(world, gateway):
    people = [f"apart-{number}" for number in range(20)]
    tokens = {name: world.issuer.token(name) for name in people}
    for _ in range(3):
        for name in people:
            answer = world.ask(gateway, "GET", "/x", name, tokens[name])
            bearer = answer.seen("authorization")[0].removeprefix("Bearer ")
            assert claims_of(bearer)["sub"] == name


@pytest.mark.parametrize(
    "lifetime, told, kept",
    [(3600, "same", True), (3600, None, True), (None, None, False), (None, 3600, True)],
    ids=["both", "the token's own end", "neither", "the answer's end"],
)
def test_what_is_kept_has_a_known_end(world, gateway, person, lifetime, told, kept):
    world.tokens.claim_changes = {} if lifetime else {"exp": None}
    world.tokens.answer_changes = {} if told == "same" else {"expires_in": told}
    # The upstream's check wants an end; here it may be missing.
    world.upstream.promise.kinds["/ends"] = "any"
    token = world.issuer.token(person)
    for _ in range(3):
        assert world.ask(gateway, "GET", "/ends/x", person, token).status == 200
    assert len(world.tokens.calls_for(token)) == (1 if kept else 3)


@pytest.mark.parametrize("which", ["expires_in", "exp"])
def test_a_kept_token_is_exchanged_anew_before_it_ends(world, gateway, person, which):
    """The earlier of the two ends counts, less a margin of at most a fifth."""
    if which == "exp":
        world.tokens.claim_changes = {"exp": now() + 5}
    else:
        world.tokens.answer_changes = {"expires_in": 4}
    token = world.issuer.token(person)

    def asked_again():
        if which == "exp":
            world.tokens.claim_changes = {"exp": now() + 5}
        assert world.ask(gateway, "GET", "/ends-soon", person, token).status == 200
        return len(world.tokens.calls_for(token)) > 1

    until(asked_again, "a second exchange", 12, pause=0.2)


@pytest.mark.parametrize("lifetime", [0, -1, -3600])
def test_a_token_that_ended_already_is_not_sent_on(world, gateway, person, lifetime):
    world.tokens.lifetime = lifetime
    answer, _ = exchange_of(world, gateway, person)
    assert answer.status == 502
    assert world.upstream.seen(person=person) == []


@pytest.mark.parametrize("value", ["3600", 3600.0, 3600.7, 1e3])
def test_a_lifetime_in_another_spelling_is_understood(world, gateway, person, value):
    world.tokens.answer_changes = {"expires_in": value}
    answer, _ = exchange_of(world, gateway, person)
    assert answer.status == 200


@pytest.mark.parametrize("value", [10**30, "soon", True, [3600], {"a": 1}, -(10**30)])
def test_a_lifetime_that_makes_no_sense_breaks_nothing(world, gateway, person, value):
    world.tokens.answer_changes = {"expires_in": value}
    answer, _ = exchange_of(world, gateway, person)
    assert answer.status in (200, 502)


def test_concurrent_misses_are_joined_into_one_call(world, gateway, person):
    gate = world.tokens.held()
    token, answers = world.issuer.token(person), []
    threads = [
        threading.Thread(
            target=lambda: answers.append(world.ask(gateway, "GET", "/joined", person, token))
        )
        for _ in range(32)
    ]
    for thread in threads:
        thread.start()
    assert world.tokens.wait_for_calls(1) == 1
    until(lambda: connections(gateway) >= 32, "all the callers to be connected")
    gate.set()
    for thread in threads:
        thread.join(30)
    assert [answer.status for answer in answers] == [200] * 32
    assert len(world.tokens.calls_for(token)) == 1
    kinds = until(
        lambda: len(records := at_path(gateway, "/joined")) == 32 and records, "32 records"
    )
    kinds = [record["exchange"] for record in kinds]
    assert kinds.count("miss") == 1
    assert set(kinds) <= {"miss", "joined", "hit"}


def at_path(gateway, path):
    """The records of the access log with this path."""
    return [record for record in gateway.log() if record.get("path") == path]


def connections(gateway):
    """How many callers' connections the gateway's listener has."""
    count = 0
    port = f":{gateway.port:04X}"
    for line in open("/proc/net/tcp"):
        fields = line.split()
        if fields[1].endswith(port) and fields[3] == "01":
            count += 1
    return count


def test_the_call_belongs_to_none_of_the_callers(world, gateway, person):
    """The one who began it hangs up: the others still get their token, from the same call."""
    from harness.client import Connection, request_bytes

    gate = world.tokens.held()
    token = world.issuer.token(person)
    first = Connection(gateway.port)
    first.send(request_bytes("GET", "/left", person, token))
    assert world.tokens.wait_for_calls(1) == 1
    second = Connection(gateway.port)
    second.send(request_bytes("GET", "/stayed", person, token))
    until(lambda: connections(gateway) >= 2, "both to be connected")
    first.reset()
    gateway.logged(path="/left", reason="caller_gone")
    gate.set()
    answer = second.answer()
    second.close()
    assert answer.status == 200
    assert len(world.tokens.calls_for(token)) == 1
    assert world.upstream.seen("/left") == []


def test_a_failure_is_told_to_all_who_waited(world, gateway, person):
    gate = world.tokens.held()
    world.tokens.failing(500)
    token, answers = world.issuer.token(person), []
    threads = [
        threading.Thread(
            target=lambda: answers.append(world.ask(gateway, "GET", "/told", person, token))
        )
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    assert world.tokens.wait_for_calls(1) == 1
    until(lambda: connections(gateway) >= 8, "all the callers to be connected")
    gate.set()
    for thread in threads:
        thread.join(30)
    assert {answer.problem for answer in answers} == {"exchange_unavailable"}
    assert len(world.tokens.calls_for(token)) <= 8
    # A failure is not kept: the next one asks again.
    world.tokens.reset()
    assert world.ask(gateway, "GET", "/told", person, token).status == 200


# -- how it fails


def refused(world, gateway, person, status, *reasons, **changes):
    answer, calls = exchange_of(world, gateway, person, f"/refused/{person}", **changes)
    assert answer.status == status, answer
    assert answer.problem in reasons, answer
    assert world.upstream.seen(person=person) == []
    record = gateway.logged(path=f"/refused/{person}", status=status)
    assert record["reason"] == answer.problem
    return answer, calls, record


@pytest.mark.parametrize(
    "body",
    [
        {"error": "invalid_grant"},
        {"error": "invalid_token", "error_description": "expired"},
        {"error": "invalid_request", "error_description": "Invalid token"},
    ],
    ids=str,
)
def test_a_subject_that_is_no_longer_good_is_the_callers_affair(world, gateway, person, body):
    world.tokens.failing(400, body)
    answer, _, record = refused(world, gateway, person, 401, "subject_refused")
    assert 'error="invalid_token"' in answer.value("www-authenticate")
    assert body["error"] in record["exchange_error"]
    assert record["exchange"] == "denied"


@pytest.mark.parametrize(
    "status, body",
    [
        (400, {"error": "invalid_target"}),
        (403, {"error": "access_denied"}),
        (400, {"error": "invalid_scope"}),
        (400, {"error": "invalid_request"}),
        (400, {"error": "invalid_request", "error_description": "invalid token"}),
        (404, {"error": "whatever"}),
    ],
    ids=str,
)
def test_a_target_that_is_refused_is_forbidden(world, gateway, person, status, body):
    world.tokens.failing(status, body)
    _, _, record = refused(world, gateway, person, 403, "exchange_denied")
    assert body["error"] in record["exchange_error"]


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_a_token_service_that_quotes_the_secret_as_it_came_is_not_quoted(world, person, method):
    secret = "a+b/c d%&"
    encoded = urllib.parse.quote_plus(secret)

    def fail(call, handler):
        quoted = call.authorization or f"client_secret={encoded}"
        body = {"error": "access_denied", "error_description": f"what is {quoted}?"}
        world.tokens.send(handler, 403, body)
        return True

    world.tokens.failure = fail
    routes = world.routes(exchanges={"corp": {"client": {"method": method}}})
    with world.gateway(routes, environ={"GATEWAY_SECRET": secret}) as gateway:
        assert world.ask(gateway, "GET", "/x", person).problem == "exchange_denied"
        assert gateway.logged(path="/x")["exchange_error"] == "access_denied"


def test_a_refusal_is_remembered_for_that_subject_and_target_only(world, gateway, person):
    world.tokens.failing(400, {"error": "invalid_target"})
    token = world.issuer.token(person)
    for _ in range(4):
        assert world.ask(gateway, "GET", "/x", person, token).status == 403
    assert len(world.tokens.calls_for(token)) == 1
    world.tokens.reset()
    assert world.ask(gateway, "GET", "/billing/x", person, token).status == 200
    assert exchange_of(world, gateway, person)[0].status == 200
    assert world.ask(gateway, "GET", "/x", person, token).status == 403


@pytest.mark.parametrize(
    "status, body, content_type",
    [
        (401, {"error": "invalid_client"}, "application/json"),
        (400, {"error": "invalid_client"}, "application/json"),
        (400, {"error": "unauthorized_client"}, "application/json"),
        (400, {"error": "unsupported_grant_type"}, "application/json"),
        (404, b"<html>not here</html>", "text/html"),
        (400, b"", "application/json"),
        (400, b'{"error":', "application/json"),
        (400, {"message": "no error member"}, "application/json"),
        (200, b"<html>log in</html>", "text/html"),
        (200, b"", "application/json"),
        (200, b"null", "application/json"),
        (200, b"[]", "application/json"),
        (200, {"token": "x"}, "application/json"),
        (200, {"access_token": ""}, "application/json"),
        (200, {"access_token": 5, "token_type": "Bearer"}, "application/json"),
        (200, {"access_token": "a b\r\nX-Evil: 1", "token_type": "Bearer"}, "application/json"),
        (200, {"access_token": "opaque", "token_type": "mac"}, "application/json"),
        (200, b"[" * 100_000, "application/json"),
        (200, b'{"access_token":"' + b"a" * (5 << 20) + b'"}', "application/json"),
        (204, b"", "application/json"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_nonsense_from_the_token_service_is_a_bad_gateway(
    world, gateway, person, status, body, content_type
):
    world.tokens.failing(status, body, content_type)
    _, _, record = refused(
        world, gateway, person, 502, "exchange_misconfigured", "exchange_unverified"
    )
    assert len(record.get("exchange_error", "")) <= 300


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_never_followed(world, gateway, person, status):
    fields = [("Location", world.tokens.url + "/elsewhere")]
    world.tokens.failing(status, b"", headers=fields)
    calls = len(world.tokens.calls)
    refused(world, gateway, person, 502, "exchange_misconfigured")
    assert len(world.tokens.calls) == calls + 1


@pytest.mark.parametrize("status", [500, 502, 503, 504, 599])
def test_a_token_service_that_fails_is_unavailable(world, gateway, person, status):
    world.tokens.failing(status)
    _, calls, record = refused(world, gateway, person, 503, "exchange_unavailable")
    assert len(calls) == 1
    assert record["exchange"] == "failed"


def test_too_many_requests_passes_its_retry_after_on(world, person):
    # A gateway of its own: for so long it leaves the service alone.
    with world.gateway() as gateway:
        world.tokens.failing(429, {"error": "slow_down"}, headers=[("Retry-After", "7")])
        answer, _, _ = refused(world, gateway, person, 503, "exchange_unavailable")
        assert answer.value("retry-after") == "7"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n5\r\n{\"acc",
        b"220 smtp.example ready\r\n",
        b"\x00\x01\x02\x03" * 100,
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    ],
    ids=lambda raw: repr(raw)[:40],
)
def test_a_token_service_that_breaks_off_is_told_and_survived(world, gateway, person, raw):
    world.tokens.failing_raw(raw)
    nonsense = raw.startswith((b"220", b"\x00")) or raw.count(b"Length") > 1
    answer, _ = exchange_of(world, gateway, person)
    if nonsense:
        assert answer.problem in ("exchange_misconfigured", "exchange_unavailable")
    else:
        assert (answer.status, answer.problem) == (503, "exchange_unavailable")
    world.tokens.reset()
    assert exchange_of(world, gateway, person)[0].status == 200


def test_a_slow_token_service_times_out(world, person):
    gate = world.tokens.held()
    slow = {"timeout": "300ms", "retries": 0}
    with world.gateway(world.routes(exchanges={"corp": slow})) as gateway:
        answer, _ = exchange_of(world, gateway, person)
        assert (answer.status, answer.problem) == (504, "exchange_timeout")
        gate.set()
        world.tokens.reset()
        assert exchange_of(world, gateway, person)[0].status == 200


def test_a_token_service_that_is_down_is_unavailable(world, person):
    from harness.waiting import free_port

    down = {"tokenService": f"http://127.0.0.1:{free_port()}/token", "retries": 0}
    with world.gateway(world.routes(exchanges={"corp": down})) as gateway:
        answer, _ = exchange_of(world, gateway, person)
        assert (answer.status, answer.problem) == (503, "exchange_unavailable")


def test_a_failing_call_is_tried_again_as_configured(world, person):
    again = {"retries": 1, "breaker": {"failures": 100}}
    with world.gateway(world.routes(exchanges={"corp": again})) as gateway:
        failures = []

        def fail_once(call, handler):
            failures.append(call)
            if len(failures) > 1:
                return False
            world.tokens.send(handler, 503, {})
            return True

        world.tokens.failure = fail_once
        answer, calls = exchange_of(world, gateway, person)
        assert (answer.status, len(calls)) == (200, 2)
        world.tokens.failing(400, {"error": "invalid_target"})
        _, calls = exchange_of(world, gateway, person)
        assert len(calls) == 1


def test_the_breaker_opens_and_closes(world, person):
    settings = {"retries": 0, "breaker": {"failures": 3, "cooldown": "1s"}}
    with world.gateway(world.routes(exchanges={"corp": settings})) as gateway:
        world.tokens.failing(500)
        warm = world.issuer.token(person)
        for _ in range(3):
            assert exchange_of(world, gateway, person)[0].problem == "exchange_unavailable"
        calls = len(world.tokens.calls)
        answer, _ = exchange_of(world, gateway, person)
        assert (answer.status, answer.problem) == (503, "exchange_unavailable")
        assert int(answer.value("retry-after")) >= 1
        assert len(world.tokens.calls) == calls, "the open breaker let a call through"
        world.tokens.reset()
        until(
            lambda: world.ask(gateway, "GET", "/x", person, warm).status == 200,
            "the breaker to close",
            10,
            pause=0.1,
        )


def test_refusals_never_open_the_breaker(world, person):
    settings = {"retries": 0, "breaker": {"failures": 2, "cooldown": "60s"}}
    with world.gateway(world.routes(exchanges={"corp": settings})) as gateway:
        for status, error in ((400, "invalid_target"), (400, "invalid_grant"), (429, "slow")):
            world.tokens.failing(status, {"error": error})
            for _ in range(4):
                exchange_of(world, gateway, person)
        world.tokens.reset()
        assert exchange_of(world, gateway, person)[0].status == 200


# -- what comes back is verified


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "billing"},
        {"aud": ["billing", "invoices"]},
        {"aud": None},
        {"aud": "ORDERS"},
        {"sub": "somebody-else"},
        {"sub": None},
        {"sub": ""},
        {"sub": 5},
    ],
    ids=str,
)
def test_a_token_for_another_service_or_person_is_not_sent_on(world, gateway, person, changes):
    world.tokens.claim_changes = changes
    refused(world, gateway, person, 502, "exchange_unverified")
    world.tokens.claim_changes = {}
    assert exchange_of(world, gateway, person)[0].status == 200


def test_the_callers_own_token_is_not_an_answer(world, gateway, person):
    """A service that hands the subject token back has exchanged nothing."""

    def hand_back(call, handler):
        world.tokens.send(handler, 200, {
            "access_token": call.value("subject_token"), "issued_token_type": ACCESS_TOKEN,
            "token_type": "Bearer", "expires_in": 300,
        })  # fmt: skip
        return True

    world.tokens.failure = hand_back
    refused(world, gateway, person, 502, "exchange_unverified", "exchange_misconfigured")


def test_what_is_verified_may_be_loosened(world, person):
    loose = {"verify": {"audience": ["billing"], "subject": "any"}}
    with world.gateway(world.routes(exchanges={"corp": loose})) as gateway:
        world.upstream.promise.kinds["/loose"] = "any"
        world.tokens.claim_changes = {"aud": "billing", "sub": "another-name"}
        assert exchange_of(world, gateway, person, "/loose/x")[0].status == 200
        world.tokens.claim_changes = {"aud": "orders"}
        answer, _ = exchange_of(world, gateway, person, "/loose/x")
        assert answer.problem == "exchange_unverified"


def test_an_opaque_token_is_sent_on(world, gateway, person):
    """What is not a JWT cannot be looked into; only `verify.signature` refuses it."""
    answer = {"access_token": f"opaque-{person}", "token_type": "Bearer", "expires_in": 300}
    world.tokens.failing(200, answer)
    world.upstream.promise.kinds["/opaque"] = "any"
    got, _ = exchange_of(world, gateway, person, "/opaque/x")
    assert got.seen("authorization") == [f"Bearer opaque-{person}"]


def test_a_token_type_is_told_without_case(world, gateway, person):
    world.tokens.answer_changes = {"token_type": "bearer"}
    assert exchange_of(world, gateway, person)[0].status == 200


def test_an_issued_token_type_that_is_no_access_token_is_not_sent_on(world, gateway, person):
    world.tokens.answer_changes = {
        "issued_token_type": "urn:ietf:params:oauth:token-type:id_token",
        "token_type": "N_A",
    }
    refused(world, gateway, person, 502, "exchange_misconfigured", "exchange_unverified")


def test_the_subject_ends_the_entry_too(world, gateway, person):
    """A kept token is no way around the caller's own end."""
    token = world.issuer.token(person, exp=now() + 3)
    assert world.ask(gateway, "GET", "/x", person, token).status == 200
    answer = until(
        lambda: (a := world.ask(gateway, "GET", "/x", person, token)).status != 200 and a,
        "the caller's token to end",
        10,
        pause=0.2,
    )
    assert answer.problem == "token_expired"


def test_a_refused_exchanged_token_is_exchanged_once_more(world, person):
    """A 401 invalid_token from the upstream to an entry older than 10 s: seen in its simple part,
    a fresh entry is not exchanged again."""
    with world.gateway(world.routes()) as gateway:
        fields = [("WWW-Authenticate", 'Bearer error="invalid_token"')]
        world.upstream.on("/says-401", lambda exchange: exchange.answer(401, b"", fields))
        token = world.issuer.token(person)
        for _ in range(3):
            assert world.ask(gateway, "GET", "/says-401", person, token).status == 401
        assert len(world.tokens.calls_for(token)) == 1


def test_tokens_of_other_shapes_are_minted_well(world):
    """The token service of these tests itself: what it signs, it verifies."""
    token = mint(world.tokens.key, {"sub": "x"})
    assert world.tokens.key.verifies(token)
    assert not world.tokens.key.verifies(token[:-6] + "AAAAAA")
