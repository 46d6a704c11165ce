"""Traces: W3C Trace Context on the way, and spans for a collector, judged by OpenTelemetry."""

import re
import threading

import pytest
from harness.certificates import Certificate
from harness.client import ask
from harness.collector import Collector
from harness.waiting import free_port, until
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from test_reload import Reloader

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
FIELD = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
INTERNAL, SERVER, CLIENT = 1, 2, 3


@pytest.fixture(scope="module", autouse=True)
def public(world):
    world.upstream.promise.kinds |= {"/public": "none", "/own": "none"}


@pytest.fixture(scope="module")
def collector():
    collector = Collector()
    yield collector
    collector.close()


@pytest.fixture(scope="module")
def gateway(world, collector):
    routes = world.routes(
        world.route("/x/*", name="everything"),
        world.route("/public/*", authenticate="none", exchange=None, name="public"),
        world.route(
            "/own/*", authenticate="none", exchange=None,
            forward={"to": world.upstream.url, "headers": {"set": {"traceparent": PARENT}}},
        ),
        tracing={"endpoint": collector.url, "service": "edge"},
    )  # fmt: skip
    with world.gateway(routes) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def plain(world):
    """One that takes no part in traces."""
    routes = world.routes(world.route("/public/*", authenticate="none", exchange=None))
    with world.gateway(routes) as gateway:
        yield gateway


def sent(world, path):
    """The trace's fields as the upstream got them."""
    request = world.upstream.seen(path)[-1]
    return request.values("traceparent"), request.values("tracestate")


def served(world, gateway, path, *fields):
    assert ask(gateway.port, "GET", path, fields=fields).status == 200
    return sent(world, path)


# -- on the way


def test_without_tracing_the_fields_pass_as_they_came(world, plain):
    fields = [("traceparent", PARENT), ("tracestate", "a=1, b=2"), ("tracestate", "c=3")]
    assert served(world, plain, "/public/plain", *fields) == ([PARENT], ["a=1, b=2", "c=3"])
    assert plain.logged(path="/public/plain")["trace"] == TRACE
    odd = [("traceparent", "rubbish"), ("tracestate", "Rubbish")]
    assert served(world, plain, "/public/odd", *odd) == (["rubbish"], ["Rubbish"])
    assert "trace" not in plain.logged(path="/public/odd")
    assert served(world, plain, "/public/none") == ([], [])
    assert "trace" not in plain.logged(path="/public/none")


def test_a_callers_trace_goes_on_with_the_gateway_as_the_parent(world, gateway, collector):
    number = "b" * 32
    given = f"00-{number}-00f067aa0ba902b7-01"
    fields = [("traceparent", given), ("tracestate", "a=1 , b=2"), ("tracestate", "c=3")]
    (parent,), state = served(world, gateway, "/public/goes-on", *fields)
    trace_id, span, flags = FIELD.fullmatch(parent).groups()
    assert (trace_id, flags, state) == (number, "01", ["a=1,b=2,c=3"])
    assert span != "00f067aa0ba902b7"
    assert gateway.logged(path="/public/goes-on")["trace"] == number
    spans = collector.trace(number, 2)
    assert spans["GET public"].parent == "00f067aa0ba902b7"
    assert spans["GET"].parent == spans["GET public"].id
    assert spans["GET"].id == span
    assert spans["GET"].message.trace_state == "a=1,b=2,c=3"


@pytest.mark.parametrize(
    "parents",
    [
        [],
        ["rubbish"],
        [PARENT.upper()],
        [PARENT + "-more"],
        [PARENT.replace("00-", "ff-", 1)],
        [f"00-{'0' * 32}-00f067aa0ba902b7-01"],
        [PARENT, PARENT],
    ],
    ids=["none", "rubbish", "upper case", "longer", "version ff", "zero", "two"],
)
def test_what_is_no_traceparent_begins_a_new_trace(world, gateway, collector, parents, request):
    path = f"/public/new-{request.node.callspec.id.replace(' ', '-')}"
    fields = [("traceparent", text) for text in parents] + [("tracestate", "a=1")]
    (parent,), state = served(world, gateway, path, *fields)
    trace_id, _, flags = FIELD.fullmatch(parent).groups()
    # The id is random (Level 2), and all of them are recorded here.
    assert (state, flags) == ([], "03")
    assert trace_id != TRACE and trace_id != "0" * 32
    assert gateway.logged(path=path)["trace"] == trace_id
    assert collector.trace(trace_id, 2)["GET public"].parent == ""


def test_a_later_version_goes_on_as_this_one(world, gateway):
    later = PARENT.replace("00-", "cc-", 1) + "-what-comes"
    (parent,), _ = served(world, gateway, "/public/later", ("traceparent", later))
    assert parent.startswith(f"00-{TRACE}-")


def test_a_tracestate_is_kept_within_its_bounds(world, gateway):
    many = ",".join(f"k{number}={'v' * 20}" for number in range(32))
    fields = [("traceparent", PARENT), ("tracestate", many)]
    (state,) = served(world, gateway, "/public/long", *fields)[1]
    assert len(state) <= 512 and many.startswith(state + ",")
    for bad in (many + ",one=more", "Upper=1", "a=1,b"):
        fields = [("traceparent", PARENT), ("tracestate", bad)]
        assert served(world, gateway, "/public/bad", *fields)[1] == []


def test_the_callers_decision_whether_a_trace_is_recorded_holds(world, gateway, collector):
    unrecorded = f"00-{'5' * 32}-00f067aa0ba902b7-00"
    (parent,), _ = served(world, gateway, "/public/unrecorded", ("traceparent", unrecorded))
    assert re.fullmatch(rf"00-{'5' * 32}-[0-9a-f]{{16}}-00", parent)
    assert "00f067aa0ba902b7" not in parent
    assert gateway.logged(path="/public/unrecorded")["trace"] == "5" * 32
    # What came after it has arrived, so it would have too.
    recorded = f"00-{'6' * 32}-00f067aa0ba902b7-01"
    served(world, gateway, "/public/recorded", ("traceparent", recorded))
    collector.trace("6" * 32, 2)
    assert collector.spans("5" * 32) == []


def test_a_route_that_sets_the_field_has_the_last_word(world, gateway):
    assert served(world, gateway, "/own/set", ("traceparent", "00-" + "1" * 32))[0] == [PARENT]


def test_a_field_that_ends_at_this_hop_is_no_parent(world, gateway):
    fields = [("Connection", "traceparent"), ("traceparent", PARENT)]
    (parent,), _ = served(world, gateway, "/public/hop", *fields)
    assert TRACE not in parent


def test_opentelemetrys_own_client_has_its_trace_continued(world, gateway, collector):
    propagator = TraceContextTextMapPropagator()
    with TracerProvider().get_tracer("client").start_as_current_span("call") as span:
        carrier = {}
        propagator.inject(carrier)
        served(world, gateway, "/public/sdk", *carrier.items())
        ours = span.get_span_context()
    # And its server reads what the gateway writes.
    request = world.upstream.seen("/public/sdk")[-1]
    context = propagator.extract({name.lower(): value for name, value in request.fields})
    theirs = trace.get_current_span(context).get_span_context()
    assert theirs.is_valid and theirs.is_remote and theirs.trace_flags.sampled
    assert theirs.trace_id == ours.trace_id and theirs.span_id != ours.span_id
    spans = collector.trace(f"{ours.trace_id:032x}", 2)
    assert spans["GET public"].parent == f"{ours.span_id:016x}"
    assert spans["GET"].id == f"{theirs.span_id:016x}"


# -- spans


def test_the_spans_of_a_request_say_what_was_done_and_nobody_s_secrets(
    world, gateway, collector, person
):
    token = world.issuer.token(person)
    path = "/x/secret-path?code=secret-query"
    number = "7" * 32
    fields = [("traceparent", f"00-{number}-00f067aa0ba902b7-01"), ("User-Agent", "secret-agent")]
    assert world.ask(gateway, "POST", path, person, token, fields=fields, body=b"1").status == 200
    spans = collector.trace(number, 4)
    whole, call = spans["POST everything"], spans["POST"]
    verify, exchange = spans["verify token"], spans["exchange token"]
    assert [span.kind for span in (whole, verify, exchange, call)] == [
        SERVER, INTERNAL, CLIENT, CLIENT,
    ]  # fmt: skip
    assert {span.parent for span in (verify, exchange, call)} == {whole.id}
    assert len({span.id for span in spans.values()}) == 4
    for span in (verify, exchange, call):
        assert whole.start <= span.start <= span.end <= whole.end, span.name
        assert not span.failed
    assert verify.end <= exchange.end <= call.end
    record = gateway.logged(trace=number)
    assert whole.attributes == {
        "http.request.method": "POST",
        "url.scheme": "http",
        "network.protocol.version": "1.1",
        "http.route": "everything",
        "http.response.status_code": 200,
        "tollgate.listener": "clear",
        "tollgate.request.id": record["id"],
        "tollgate.identity": "person",
        "tollgate.auth": "verified",
        "tollgate.exchange": "miss",
    }
    assert call.attributes == {
        "http.request.method": "POST",
        "server.address": "127.0.0.1",
        "server.port": world.upstream.port,
        "url.scheme": "http",
        "http.response.status_code": 200,
        "network.protocol.version": "1.1",
    }
    assert exchange.attributes == {"tollgate.exchange": "miss", "tollgate.audience": "orders"}
    assert verify.attributes == {"tollgate.issuer": "corp"}
    assert whole.resource["service.name"] == "edge" and whole.resource["service.version"]
    assert abs(whole.end - whole.start - record["duration_ms"] * 1e6) < 2e6
    everything = b"".join(body for _, body in collector.posts)
    for secret in (token, person, "secret", "127.0.0.1:"):
        assert secret.encode() not in everything, secret


def test_what_was_refused_and_what_failed_is_told_by_its_reason(world, gateway, collector):
    refused = f"00-{'8' * 32}-00f067aa0ba902b7-01"
    fields = [("traceparent", refused)]
    answer = ask(gateway.port, "GET", "/x/1", token="no.such.token", fields=fields)
    assert answer.status == 401
    spans = collector.trace("8" * 32, 2)
    assert spans["GET everything"].attributes["error.type"] == answer.problem
    # What a caller did wrong is no failure of the server's (OpenTelemetry's conventions).
    assert not spans["GET everything"].failed and spans["verify token"].failed
    failed = f"00-{'9' * 32}-00f067aa0ba902b7-01"
    world.upstream.on("/public/breaks", lambda exchange: exchange.reset())
    answer = ask(gateway.port, "POST", "/public/breaks", fields=[("traceparent", failed)])
    assert answer.status == 502
    spans = collector.trace("9" * 32, 2)
    assert spans["POST"].failed and spans["POST public"].failed
    assert spans["POST"].attributes["error.type"] == "upstream_failed"
    unknown = f"00-{'a' * 32}-00f067aa0ba902b7-01"
    assert ask(gateway.port, "GET", "/nowhere", fields=[("traceparent", unknown)]).status == 404
    assert collector.trace("a" * 32, 1)["GET"].attributes["error.type"] == "no_route"


def test_a_share_of_the_traces_begun_here_is_recorded(world, collector):
    routes = world.routes(
        world.route("/public/*", authenticate="none", exchange=None),
        tracing={"endpoint": collector.url, "sample": 0.5},
    )
    with world.gateway(routes) as gateway:
        flags = []
        for number in range(64):
            (parent,), _ = served(world, gateway, f"/public/share-{number}")
            trace_id, _, flag = FIELD.fullmatch(parent).groups()
            # OpenTelemetry's TraceIdRatioBased: the lower half of the id below the share.
            assert (flag == "03") == (int(trace_id[16:], 16) < 2**63), parent
            flags.append(flag)
        assert set(flags) == {"02", "03"}


# -- the collector


def numbers(gateway):
    text = gateway.admin("/metrics")[1]
    found = re.findall(r"^tollgate_trace_spans_(\w+)_total (\d+)$", text, re.M)
    return {name: int(value) for name, value in found}


def traced(world, collector_url, **more):
    return world.routes(
        world.route("/public/*", authenticate="none", exchange=None),
        tracing={"endpoint": collector_url} | more,
    )


def test_a_collector_that_is_down_costs_spans_and_no_request(world):
    port = free_port()
    with world.gateway(traced(world, f"http://127.0.0.1:{port}")) as gateway:
        for number in range(3):
            served(world, gateway, f"/public/down-{number}")
        until(lambda: numbers(gateway)["dropped"] >= 6, "spans that are dropped", 30)
        assert numbers(gateway)["sent"] == 0
        said = gateway.err.read_text()
        assert f"warning: tracing: http://127.0.0.1:{port}" in said
        assert said.count("tracing:") == 1, said


def test_spans_are_sent_again_where_the_collector_says_so_and_not_where_it_refuses(world):
    collector = Collector()
    collector.status, collector.fields = 503, {"Retry-After": "1"}
    with world.gateway(traced(world, collector.url)) as gateway:
        served(world, gateway, "/public/again")
        until(lambda: "answered 503" in gateway.err.read_text(), "the trouble")
        collector.status = 200
        until(lambda: numbers(gateway)["sent"] == 2, "the spans")
        until(lambda: "takes spans" in gateway.err.read_text(), "that it works again")
        collector.status = 400
        served(world, gateway, "/public/refused")
        until(lambda: numbers(gateway)["dropped"] == 2, "what was refused")
        collector.status = 200
        collector.answer = {"partialSuccess": {"rejectedSpans": "1", "errorMessage": "x"}}
        served(world, gateway, "/public/partly")
        until(lambda: numbers(gateway) == {"sent": 3, "dropped": 3}, "what was refused in part")
    collector.close()


def test_a_collector_that_takes_its_time_holds_nobody_up(world):
    collector = Collector()
    collector.held = threading.Event()
    with world.gateway(traced(world, collector.url)) as gateway:
        served(world, gateway, "/public/held-0")
        until(lambda: collector.posts, "the first batch")
        for number in range(200):
            served(world, gateway, f"/public/held-{number + 1}")
        assert numbers(gateway)["sent"] == 0
        collector.held.set()
        until(lambda: numbers(gateway)["sent"] == 402, "all spans")
        assert numbers(gateway)["dropped"] == 0
    collector.close()


def test_the_last_spans_are_sent_before_the_process_ends(world):
    collector = Collector()
    with world.gateway(traced(world, collector.url)) as gateway:
        served(world, gateway, "/public/last")
    assert sorted(span.name for span in collector.spans()) == ["GET", "GET /public/*"]
    collector.close()


def test_another_endpoint_and_share_take_effect_with_a_reload(world):
    first, second = Collector(), Collector(path="/base/v1/traces")
    with world.gateway(traced(world, first.url)) as gateway:
        served(world, gateway, "/public/first")
        until(lambda: len(first.spans()) == 2, "the first collector's spans")
        reload = Reloader(gateway)
        reload(traced(world, second.url + "/base/"))
        served(world, gateway, "/public/second")
        until(lambda: len(second.spans()) == 2, "the second collector's spans")
        reload(traced(world, second.url + "/base", sample=0))
        (parent,), _ = served(world, gateway, "/public/third")
        assert parent.endswith("-02")
        without = traced(world, "")
        del without["tracing"]
        reload(without)
        assert served(world, gateway, "/public/none", ("traceparent", "x")) == (["x"], [])
        assert numbers(gateway) == {}
        assert (len(first.spans()), len(second.spans())) == (2, 2)
    first.close()
    second.close()


def test_a_collector_over_tls_is_believed_by_the_systems_authorities(world, tmp_path):
    authority = Certificate(["Another authority"], authority=True)
    files = authority.write(tmp_path, "authority")
    server = Certificate(["127.0.0.1"], issuer=authority).write(tmp_path, "collector")
    collector = Collector(server)
    trusted = {"SSL_CERT_FILE": str(files["chain"])}
    with world.gateway(traced(world, collector.url), environ=trusted) as gateway:
        served(world, gateway, "/public/believed")
        until(lambda: len(collector.spans()) == 2, "the spans")
    with world.gateway(traced(world, collector.url)) as gateway:
        served(world, gateway, "/public/not-believed")
        until(lambda: "tracing: https://" in gateway.err.read_text(), "the trouble")
        assert len(collector.spans()) == 2
    collector.close()


def test_a_collector_may_ask_for_any_patience(world):
    collector = Collector()
    collector.status, collector.fields = 503, {"Retry-After": f"{2**63 - 1}"}
    with world.gateway(traced(world, collector.url)) as gateway:
        served(world, gateway, "/public/patience")
        until(lambda: "answered 503" in gateway.err.read_text(), "the trouble")
        served(world, gateway, "/public/alive")
    collector.close()


def test_a_state_that_a_route_sets_is_the_only_one(world, collector):
    changes = {"set": {"tracestate": "own=1"}}
    forward = {"to": world.upstream.url, "headers": changes}
    route = world.route("/public/*", authenticate="none", exchange=None, forward=forward)
    with world.gateway(world.routes(route, tracing={"endpoint": collector.url})) as gateway:
        fields = [("traceparent", PARENT), ("tracestate", "theirs=2")]
        (parent,), state = served(world, gateway, "/public/state", *fields)
    assert TRACE in parent and state == ["own=1"]
