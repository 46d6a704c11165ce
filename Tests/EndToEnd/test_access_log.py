"""The access log: one JSON line a request, with what is true of it and no secret."""

import json
import re
import signal
import threading

import pytest
from harness.client import Connection, ask, request_bytes
from harness.keys import claims_of
from harness.waiting import until

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@pytest.fixture(scope="module")
def gateway(world):
    routes = world.routes(
        world.route("/*", name="everything"),
        world.route("/unnamed/{id}"),
        world.route("/public/*", authenticate="none", exchange=None),
        listeners=[world.clear_listener, world.tls_listener],
    )
    world.upstream.promise.kinds["/public"] = "none"
    with world.gateway(routes) as gateway:
        yield gateway


def test_a_request_is_told_in_full(world, gateway, person):
    token = world.issuer.token(person)
    fields = [("User-Agent", "test/1.0"), ("Host-Not", "x")]
    answer = world.ask(
        gateway, "POST", "/full?secret=query", person, token, fields=fields, body=b"12345",
        host="api.example:99",
    )  # fmt: skip
    record = gateway.logged(path="/full")
    assert TIME.fullmatch(record["time"])
    expected = {
        "id": answer.seen("x-request-id")[0],
        "listener": "clear",
        "client": "127.0.0.1",
        "method": "POST",
        "path": "/full",
        "user_agent": "test/1.0",
        "route": "everything",
        "status": 200,
        "issuer": "corp",
        "jti": claims_of(token)["jti"],
        "identity": "person",
        "auth": "verified",
        "exchange": "miss",
        "upstream_status": 200,
        "attempts": 1,
    }
    assert {name: record.get(name) for name in expected} == expected
    assert record["host"] in ("api.example:99", "api.example")
    assert record["protocol"] in ("HTTP/1.1", "1.1", "http/1.1", "h1")
    assert str(world.upstream.port) in record["upstream"]
    assert record["bytes_in"] >= 5 and record["bytes_out"] >= len(answer.body)
    for name in ("duration_ms", "auth_ms", "exchange_ms", "first_byte_ms"):
        assert isinstance(record[name], (int, float)) and record[name] >= 0, name
    assert record["config"]
    for name in ("reason", "tls", "aborted", "exchange_error"):
        assert name not in record, name
    assert "query" not in json.dumps(record)


def test_what_does_not_apply_is_left_out(gateway):
    ask(gateway.port, "GET", "/public/plain")
    record = gateway.logged(path="/public/plain")
    assert record["auth"] == "none"
    for name in ("issuer", "jti", "identity", "identity_rule", "user_agent", "tls", "reason"):
        assert name not in record, name
    assert record.get("exchange", "none") == "none"


def test_tls_is_told(world, gateway, person):
    token = world.issuer.token(person)
    ask(gateway.ports["tls"], "GET", "/tls", person, token, world.tls)
    record = gateway.logged(path="/tls")
    assert record["listener"] == "tls"
    assert "1.3" in str(record["tls"])


def test_a_route_without_a_name_is_called_by_its_path(world, gateway, person):
    world.ask(gateway, "GET", "/unnamed/7", person)
    assert gateway.logged(path="/unnamed/7")["route"] == "/unnamed/{id}"


def test_configured_claims_are_told_by_default_as_client_and_hashed_subject(
    world, gateway, person
):
    import hashlib

    token = world.issuer.token(person, client_id="web")
    world.ask(gateway, "GET", "/claims", person, token)
    record = gateway.logged(path="/claims")
    text = f"{world.issuer.url}\0{person}".encode()
    digest = hashlib.sha256(text).hexdigest()[:16]
    assert "web" in json.dumps(record)
    assert digest in json.dumps(record)
    assert f'"{person}"' not in json.dumps(record)


def test_claims_and_fields_are_configured(world, person):
    file = world.folder / "chosen.log"
    log = {
        "path": str(file),
        "claims": ["scope", "/nested/team"],
        "fields": ["time", "status", "path", "claims"],
    }
    with world.gateway(world.routes(accessLog=log)) as gateway:
        token = world.issuer.token(person, nested={"team": "blue"})
        assert world.ask(gateway, "GET", "/chosen", person, token).status == 200
        line = until(lambda: file.exists() and file.read_text(), "a line")
    record = json.loads(line)
    assert record["status"] == 200
    assert "blue" in line and "orders:read" in line
    assert "method" not in record and "duration_ms" not in record


def test_a_hostile_request_cannot_forge_a_line(world, gateway, person):
    fields = [("User-Agent", 'x"}\t{"status":200,"path":"/forged\x80\xff\\')]
    targets = ["/hostile%0Ax%22%7d", '/ho"stile', "/hostile/%E2%80%A8", "/hostile%22,%22x"]
    for number, target in enumerate(targets):
        agent = [(name, f"hostile-{number} {value}") for name, value in fields]
        world.ask(gateway, "GET", target, person, fields=agent)
    refused = until(
        lambda: len(found := [r for r in gateway.log() if "hostile" in json.dumps(r)]) >= 3
        and found,
        "a line for each",
    )
    lines = gateway.log_text().splitlines()
    assert all(isinstance(json.loads(line), dict) for line in lines)
    assert len(refused) <= len(targets)
    assert not [record for record in gateway.log() if record.get("path") == "/forged"]


def test_every_refusal_has_a_line(world, gateway, person):
    ask(gateway.port, "GET", "/nothing-here")
    assert gateway.logged(path="/nothing-here")["reason"] == "token_missing"
    with Connection(gateway.port) as connection:
        connection.send(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        assert connection.answer().status == 400
    assert gateway.logged(reason="malformed_request")["status"] == 400


def test_a_line_is_written_when_the_answer_has_ended(world, gateway, person):
    gate = threading.Event()

    @world.upstream.on("/long")
    def behaviour(exchange):
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc")
        gate.wait(20)
        exchange.send(b"def")

    with Connection(gateway.port) as connection:
        connection.send(request_bytes("GET", "/long", person, world.issuer.token(person)))
        assert connection.head().status == 200
        assert connection.exactly(3) == b"abc"
        world.ask(gateway, "GET", "/meanwhile", person)
        gateway.logged(path="/meanwhile")
        assert not [r for r in gateway.log() if r.get("path") == "/long"]
        gate.set()
        assert connection.exactly(3) == b"def"
    assert gateway.logged(path="/long")["bytes_out"] >= 6


def test_a_caller_who_leaves_is_told(world, gateway, person):
    arrived = threading.Event()

    @world.upstream.on("/left-early")
    def behaviour(exchange):
        arrived.set()
        exchange.wait_for_end(10)
        exchange.ended = True

    with Connection(gateway.port) as connection:
        connection.send(request_bytes("GET", "/left-early", person, world.issuer.token(person)))
        assert arrived.wait(10)
    record = gateway.logged(path="/left-early")
    assert (record["status"], record["reason"], record["aborted"]) == (
        499, "caller_gone", "client",
    )  # fmt: skip


def test_the_file_is_opened_anew_after_rotation(world, person):
    with world.gateway(world.routes()) as gateway:
        world.ask(gateway, "GET", "/before", person)
        gateway.logged(path="/before")
        rotated = gateway.log_file.with_suffix(".1")
        gateway.log_file.rename(rotated)
        gateway.signal(signal.SIGUSR1)
        until(lambda: gateway.log_file.exists(), "a new log file")
        world.ask(gateway, "GET", "/after", person)
        gateway.logged(path="/after")
        assert "/after" not in rotated.read_text()
        assert "/before" in rotated.read_text()


def test_the_log_may_go_to_standard_output(world, person):
    with world.gateway(world.routes(accessLog={"path": "-"})) as gateway:
        world.ask(gateway, "GET", "/out", person)
        line = until(
            lambda: [text for text in gateway.out.read_text().splitlines() if "/out" in text],
            "a line on standard output",
        )[0]
        assert json.loads(line)["status"] == 200


def test_the_log_may_be_off(world, person):
    with world.gateway(world.routes(accessLog="off")) as gateway:
        assert world.ask(gateway, "GET", "/off", person).status == 200
        assert '"/off"' not in gateway.out.read_text()


def test_a_disk_that_is_full_holds_nobody_up(world, person):
    with world.gateway(world.routes(accessLog={"path": "/dev/full"})) as gateway:
        token = world.issuer.token(person)
        with Connection(gateway.port) as connection:
            for _ in range(200):
                assert connection.request("GET", "/full", person, token).status == 200


def test_every_line_of_a_busy_gateway_is_written(world, gateway, person):
    token = world.issuer.token(person)

    def caller():
        with Connection(gateway.port) as connection:
            for _ in range(100):
                connection.request("GET", "/busy", person, token)

    threads = [threading.Thread(target=caller) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    records = until(
        lambda: len(found := [r for r in gateway.log() if r.get("path") == "/busy"]) == 600
        and found,
        "600 lines",
    )
    assert len({record["id"] for record in records}) == 600


@pytest.mark.parametrize("format", ["json", "logfmt"])
def test_a_line_of_any_length_is_whole(world, person, format):
    """Longer than what is handed over at a time, and beginning at its every part."""
    routes = world.routes(
        {"match": {"path": "/*"}, "authenticate": "none", "respond": {"status": 204}},
        limits={"requestLine": "1MiB"},
    )
    routes["accessLog"] = {"path": "access.log", "format": format}
    lengths = [1, 20_000, 70_000, 5, 300_000, 64_000, 999_000, 2, *range(15_000, 20_000, 250)]
    with world.gateway(routes) as gateway:
        file = gateway.folder / "access.log"
        with world.connect(gateway) as connection:
            for length in lengths:
                answer = connection.request("GET", "/" + length * "x", person)
                assert answer.status == 204
        until(lambda: file.exists() and file.read_text().count("\n") == len(lengths), "the lines")
        for line, length in zip(file.read_text().splitlines(), lengths):
            path = "/" + length * "x"
            if format == "json":
                assert json.loads(line)["path"] == path
            else:
                assert f" path={path} " in line and " config=" in line


def test_a_line_that_is_shorter_than_its_values_is_whole(world, person):
    """All claims are put together and one of them is shown: the others must not take the room of
    what comes behind them."""
    routes = world.routes(
        {"match": {"path": "/*"}, "respond": {"status": 204}}, limits={"requestLine": "1MiB"}
    )
    routes["accessLog"] = {
        "path": "access.log",
        "format": "{path} {sub} {duration_ms} {config}",
        "claims": ["sub", "a", "b", "c"],
    }
    token = world.issuer.token(person, **{name: 250 * name for name in "abc"})
    lengths = range(80_800, 82_000, 100)
    with world.gateway(routes) as gateway:
        file = gateway.folder / "access.log"
        for count, length in enumerate(lengths, 1):
            path = "/" + length * "x"
            assert ask(gateway.port, "GET", path, person, token).status == 204
            # Each begins with nothing before it.
            until(lambda: file.exists() and file.read_text().count("\n") == count, "the line")
        for line, length in zip(file.read_text().splitlines(), lengths):
            path, subject, duration, config = line.split(" ")
            assert len(path) == 1 + length and subject == person
            assert float(duration) > 0 and len(config) == 16
