"""Another configuration takes over: on SIGHUP, and when a file that is named changes."""

import json
import os
import pathlib
import signal
import socket
import ssl
import threading

import pytest
from harness.certificates import Certificate
from harness.client import ask, request_bytes, trusting
from harness.issuer import AUDIENCE
from harness.waiting import free_port, until
from harness.world import SECRET


class Reloader:
    """A gateway whose routes file a test changes."""

    def __init__(self, gateway):
        self.gateway = gateway
        self.seen = 0

    def said_since(self):
        return self.gateway.err.read_text()[self.seen :]

    def __call__(self, routes=None, text=None, word="reloaded"):
        """Writes the file, asks for a reload, and waits for what is said of it."""
        gateway = self.gateway
        if routes is not None:
            kept = {name: gateway.routes[name] for name in ("listeners", "accessLog", "admin")}
            gateway.routes = kept | routes
            text = json.dumps(gateway.routes, indent=2)
        if text is not None:
            gateway.file.write_text(text)
        self.seen = len(gateway.err.read_text())
        gateway.signal(signal.SIGHUP)
        self.wait_for(word)
        return self.said_since()

    def wait_for(self, word, seconds=15):
        until(lambda: word in self.said_since(), f"{word!r} in what the gateway says", seconds)


@pytest.fixture
def gateway(world):
    with world.gateway(world.routes(world.route("/x/*"))) as gateway:
        yield gateway


# -- what the file says


def test_a_hangup_has_the_routes_file_read_again(world, gateway, person):
    assert world.ask(gateway, "GET", "/new/1", person).problem == "no_route"
    before = gateway.logged(path="/new/1")["config"]
    Reloader(gateway)(world.routes(world.route("/x/*"), world.route("/new/*")))
    assert world.ask(gateway, "GET", "/new/2", person).status == 200
    assert gateway.logged(path="/new/2")["config"] != before
    Reloader(gateway)(world.routes(world.route("/new/*")))
    assert world.ask(gateway, "GET", "/x/1", person).problem == "no_route"


def test_an_open_connection_goes_on_by_the_new_file(world, gateway, person):
    token = world.issuer.token(person)
    with world.connect(gateway) as connection:
        assert connection.request("GET", "/x/1", person, token).status == 200
        Reloader(gateway)(world.routes(world.route("/new/*")))
        assert connection.request("GET", "/x/1", person, token).problem == "no_route"
        assert connection.request("GET", "/new/1", person, token).status == 200


def test_a_request_under_way_ends_by_the_file_that_it_began_with(world, gateway, person):
    path = f"/x/{person}"
    arrived, go = threading.Event(), threading.Event()

    @world.upstream.on(path)
    def behave(exchange):
        exchange.read_body()
        arrived.set()
        assert go.wait(20)
        exchange.answer(200, b"late")

    answers = []
    caller = threading.Thread(
        target=lambda: answers.append(world.ask(gateway, "GET", path, person))
    )
    caller.start()
    assert arrived.wait(10)
    Reloader(gateway)(world.routes(world.route("/new/*")))
    go.set()
    caller.join(20)
    assert [(answer.status, answer.body) for answer in answers] == [(200, b"late")]
    assert gateway.logged(path=path)["status"] == 200


@pytest.mark.parametrize(
    "text, word",
    [
        ("{", "routes.json:1:"),
        ('{"routes": [], "lissteners": []}', 'did you mean "listeners"'),
    ],
    ids=["broken", "misspelt"],
)
def test_a_file_with_a_mistake_changes_nothing(world, gateway, person, text, word):
    reload = Reloader(gateway)
    said = reload(text=text, word="nothing has changed")
    assert word in said
    assert world.ask(gateway, "GET", "/x/1", person).status == 200
    # The next good one is taken.
    reload(world.routes(world.route("/new/*")))
    assert world.ask(gateway, "GET", "/new/1", person).status == 200


def test_a_file_that_is_gone_changes_nothing(world, gateway, person):
    gateway.file.unlink()
    Reloader(gateway)(word="nothing has changed")
    assert world.ask(gateway, "GET", "/x/1", person).status == 200


# -- what goes on


def test_tokens_keys_and_connections_to_servers_go_on(world, gateway, person):
    token = world.issuer.token(person)

    def seen():
        # Workers have connections of their own.
        answers = [world.ask(gateway, "GET", "/x/1", person, token) for _ in range(10)]
        assert all(answer.status == 200 for answer in answers)
        return {answer.json()["connection"] for answer in answers}

    connections = seen() | seen()
    fetches = world.issuer.fetched()
    for number in range(3):
        Reloader(gateway)(world.routes(world.route("/x/*"), world.route(f"/{number}/*")))
    assert seen() <= connections
    assert len(world.tokens.calls_for(token)) == 1
    assert world.issuer.fetched() == fetches


def test_another_secret_or_audience_is_no_reason_to_forget_and_another_target_is_its_own(
    world, gateway, person
):
    token = world.issuer.token(person)
    world.upstream.promise.audiences |= {"/y": "billing"}
    assert world.ask(gateway, "GET", "/x/1", person, token).status == 200
    other = world.route("/y/*", exchange={"audience": "billing"})
    routes = world.routes(world.route("/x/*"), other)
    Reloader(gateway)(routes)
    assert world.ask(gateway, "GET", "/y/1", person, token).status == 200
    assert world.ask(gateway, "GET", "/x/1", person, token).status == 200
    assert [call.value("audience") for call in world.tokens.calls_for(token)] == [
        "orders", "billing",
    ]  # fmt: skip


def test_an_issuer_that_is_taken_away_is_no_longer_believed(world, person):
    other = world.issuer.url + "/other"
    with world.gateway(world.routes(world.route("/x/*"))) as gateway:
        token = world.issuer.token(person)
        assert world.ask(gateway, "GET", "/x/1", person, token).status == 200
        issuers = {"corp": {"issuer": other, "jwks": world.issuer.url + "/jwks"}}
        Reloader(gateway)(world.routes(world.route("/x/*"), issuers=issuers))
        assert world.ask(gateway, "GET", "/x/1", person, token).problem == "issuer_unknown"
        # Other audiences: what was verified by the old settings is not believed either.
        issuers = {"corp": {"audiences": ["https://elsewhere.example"]}}
        Reloader(gateway)(world.routes(world.route("/x/*"), issuers=issuers))
        assert world.ask(gateway, "GET", "/x/1", person, token).problem == "audience_wrong"
        Reloader(gateway)(world.routes(world.route("/x/*")))
        assert world.ask(gateway, "GET", "/x/1", person, token).status == 200


@pytest.mark.parametrize("name", ["corp", "partner-credentials", "keys"])
def test_another_audience_is_another_whatever_the_issuer_is_called(world, person, name):
    """Also where its name reads as if something secret were in it, which no digest shows."""

    def routes(audience):
        issuers = {name: {"issuer": world.issuer.url, "audiences": [audience]}}
        return world.routes(world.route("/x/*"), issuers=None) | {"issuers": issuers}

    token = world.issuer.token(person)
    with world.gateway(routes(AUDIENCE)) as gateway:
        assert world.ask(gateway, "GET", "/x/1", person, token).status == 200
        Reloader(gateway)(routes("https://another.example"))
        assert world.ask(gateway, "GET", "/x/1", person, token).problem == "audience_wrong"


def test_an_issuer_becomes_a_token_service(world, person):
    """Its metadata were of no use before: its keys are named in the file."""
    routes = world.routes(world.route("/x/*"))
    routes["issuers"]["corp"]["jwks"] = world.issuer.url + "/jwks"
    with world.gateway(routes) as gateway:
        assert world.ask(gateway, "GET", "/x/1", person).status == 200
        routes["exchanges"]["corp"]["tokenService"] = "corp"
        Reloader(gateway)(routes)
        until(lambda: world.ask(gateway, "GET", "/x/1", person).status == 200, "an exchange")


def test_a_token_service_that_is_put_right_is_asked_at_once(world, person):
    routes = world.routes(world.route("/x/*"))
    corp = routes["exchanges"]["corp"]
    breaker = {"failures": 1, "cooldown": "1h"}
    corp |= {"tokenService": f"http://127.0.0.1:{free_port()}/", "breaker": breaker, "retries": 0}
    with world.gateway(routes) as gateway:
        for _ in range(2):
            assert world.ask(gateway, "GET", "/x", person).problem == "exchange_unavailable"
        corp["tokenService"] = world.tokens.endpoint
        Reloader(gateway)(routes)
        assert world.ask(gateway, "GET", "/x", person).status == 200


def test_a_refusal_of_the_gateway_is_forgotten(world, person):
    routes = world.routes(world.route("/x/*"))
    routes["exchanges"]["corp"]["cache"] = {"denied": "1h"}
    token = world.issuer.token(person)
    with world.gateway(routes) as gateway:
        world.tokens.failing(400, {"error": "unauthorized_client"})
        assert world.ask(gateway, "GET", "/x", person, token).problem == "exchange_misconfigured"
        world.tokens.failure, world.tokens.method = None, "client_secret_post"
        routes["exchanges"]["corp"]["client"]["method"] = "client_secret_post"
        Reloader(gateway)(routes)
        assert world.ask(gateway, "GET", "/x", person, token).status == 200


def test_an_upstream_may_be_named_like_a_url(world, person):
    url = world.upstream.url
    routes = world.routes(world.route("/x/*"), upstreams={url: {"servers": [url]}})
    with world.gateway(routes) as gateway:
        reload = Reloader(gateway)
        for number in range(3):
            routes["routes"][0]["name"] = f"changed-{number}"
            reload(routes)
            assert world.ask(gateway, "GET", "/x", person).status == 200


@pytest.mark.parametrize("change", ["a certificate is asked for", "another authority", "clear"])
def test_who_came_in_as_nobody_does_any_more_is_turned_out(world, person, tmp_path, change):
    first, second = (Certificate([f"authority {n}"], authority=True) for n in (1, 2))
    for number, authority in enumerate((first, second)):
        (tmp_path / f"{number}.pem").write_bytes(authority.pem)
    mine = Certificate(["me"], issuer=first).write(tmp_path, "me")
    context = trusting(world.authority)
    context.load_cert_chain(mine["chain"], mine["key"])
    plain = {"certificates": [world.certificate_files]}
    asking = plain | {"clientAuth": "require", "clientCA": str(tmp_path / "0.pem")}
    before, after = {
        "a certificate is asked for": (plain, asking),
        "another authority": (asking, asking | {"clientCA": str(tmp_path / "1.pem")}),
        "clear": (None, plain),
    }[change]
    listener = {"name": "tls", "address": "127.0.0.1:0"} | ({"tls": before} if before else {})
    token = world.issuer.token(person)
    with world.gateway(world.routes(listeners=[listener])) as gateway:
        tls = before and context
        idle, busy = (world.connect(gateway, tls=tls) for _ in range(2))
        for connection in (idle, busy):
            assert connection.request("GET", "/x", person, token).status == 200
        arrived, go = threading.Event(), threading.Event()

        @world.upstream.on(f"/held/{person}")
        def behave(exchange):
            arrived.set()
            go.wait(20)
            exchange.answer_json({"fields": exchange.request.fields})

        busy.send(request_bytes("GET", f"/held/{person}", person, token))
        assert arrived.wait(10)
        gateway.routes["listeners"][0]["tls"] = after
        Reloader(gateway)(text=json.dumps(gateway.routes))
        assert idle.ended()
        go.set()
        # What was under way is answered.
        answer = busy.answer()
        assert answer.status == 200
        assert busy.ended()


def test_no_request_is_lost_while_it_reloads(world, person):
    """New and kept connections, in the clear and over TLS, and twenty reloads."""
    listeners = [world.clear_listener, world.tls_listener]
    with world.gateway(world.routes(world.route("/x/*"), listeners=listeners)) as gateway:
        token = world.issuer.token(person)
        stop = threading.Event()
        counts, failures = [0] * 4, []

        def call(number, listener, tls, is_kept):
            connection = None
            while not stop.is_set():
                try:
                    if connection is None or not is_kept:
                        if connection:
                            connection.close()
                        connection = world.connect(gateway, listener, tls=tls)
                    answer = connection.request("GET", "/x/1", person, token)
                    assert answer.status == 200, answer
                    counts[number] += 1
                except Exception as error:  # noqa: BLE001
                    failures.append(repr(error))
                    connection = None

        callers = [
            threading.Thread(target=call, args=(number, name, tls, is_kept))
            for number, (name, tls, is_kept) in enumerate(
                [("clear", None, True), ("clear", None, False),
                 ("tls", world.tls, True), ("tls", world.tls, False)]
            )
        ]  # fmt: skip
        for caller in callers:
            caller.start()
        reload = Reloader(gateway)
        for number in range(20):
            reload(world.routes(world.route("/x/*"), world.route(f"/{number}/*")))
        until(lambda: min(counts) > 50, "requests by every way", 60)
        stop.set()
        for caller in callers:
            caller.join(20)
        assert not failures, failures[:5]
        print(f"{sum(counts)} requests over 20 reloads, none lost")


# -- doors


def test_listeners_come_and_go(world, gateway, person):
    token = world.issuer.token(person)
    port = free_port()
    old = gateway.routes["listeners"]
    more = {"name": "more", "address": f"127.0.0.1:{port}"}
    reload = Reloader(gateway)
    gateway.routes["listeners"] = [*old, more]
    reload(world.routes(world.route("/x/*")))
    assert ask(port, "GET", "/x/1", person, token).status == 200
    with world.connect(gateway) as kept:
        assert kept.request("GET", "/x/1", person, token).status == 200
        gateway.routes["listeners"] = [more]
        reload(world.routes(world.route("/x/*")))
        # Who came by the old one is served to the end of what was asked, and then let go.
        until(lambda: refuses(gateway.port), "the old address to be closed")
        assert ask(port, "GET", "/x/1", person, token).status == 200
        assert kept.ended()
    gateway.routes["listeners"] = old
    reload(world.routes(world.route("/x/*")))
    assert world.ask(gateway, "GET", "/x/1", person, token).status == 200


def refuses(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_an_address_in_use_changes_nothing(world, gateway, person):
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        old = gateway.routes["listeners"]
        gateway.routes["listeners"] = [*old, {"name": "taken", "address": taken}]
        said = Reloader(gateway)(world.routes(world.route("/new/*")), word="nothing has changed")
        assert "EADDRINUSE" in said
        assert world.ask(gateway, "GET", "/x/1", person).status == 200


# -- files that are named


def replaced(path, data):
    """The way of editors and orchestrators: another file in its place."""
    beside = pathlib.Path(str(path) + ".new")
    beside.write_bytes(data)
    os.replace(beside, path)


def serial_at(port, authority):
    context = ssl.create_default_context(cadata=authority.pem.decode())
    with socket.create_connection(("127.0.0.1", port), 10) as raw:
        with context.wrap_socket(raw, server_hostname="localhost") as connection:
            return int(connection.getpeercert()["serialNumber"], 16)


def test_a_certificate_that_is_replaced_serves_new_connections(world, person, tmp_path):
    first = Certificate(["localhost"], issuer=world.authority)
    second = Certificate(["localhost"], issuer=world.authority)
    files = first.write(tmp_path, "api")
    listener = {"name": "tls", "address": "127.0.0.1:0", "tls": {"certificates": [files]}}
    with world.gateway(world.routes(world.route("/x/*"), listeners=[listener])) as gateway:
        token = world.issuer.token(person)
        assert serial_at(gateway.port, world.authority) == first.certificate.serial_number
        with world.connect(gateway, tls=trusting(world.authority)) as old:
            assert old.request("GET", "/x/1", person, token).status == 200
            # Half of it: the chain has gone on and the key has not yet.
            replaced(files["chain"], second.chain_pem)
            reload = Reloader(gateway)
            reload.wait_for("nothing has changed")
            assert serial_at(gateway.port, world.authority) == first.certificate.serial_number
            replaced(files["key"], second.key_pem)
            reload.wait_for("reloaded")
            until(
                lambda: serial_at(gateway.port, world.authority)
                == second.certificate.serial_number,
                "the new certificate",
            )
            assert old.request("GET", "/x/2", person, token).status == 200


def test_a_secret_that_is_replaced_is_used_from_then_on(world, person, tmp_path):
    file = tmp_path / "secret"
    file.write_text("old-secret\n")
    exchanges = {"corp": {"client": {"secret": {"env": None, "file": str(file)}}}}
    world.tokens.secret = "old-secret"
    try:
        with world.gateway(world.routes(exchanges=exchanges)) as gateway:
            assert world.ask(gateway, "GET", "/x/1", person + "-1").status == 200
            world.tokens.secret = "new-secret"
            assert world.ask(gateway, "GET", "/x/1", person + "-2").status == 502
            replaced(file, b"new-secret\n")
            Reloader(gateway).wait_for("reloaded")
            assert world.ask(gateway, "GET", "/x/1", person + "-3").status == 200
    finally:
        world.tokens.secret = SECRET


def test_a_key_set_file_behind_a_symbolic_link_may_be_swapped(world, person, tmp_path):
    """As Kubernetes does: a folder of its own for each version, and a link to it."""
    keys = {"keys": [world.issuer.key.jwk()]}
    others = {"keys": [world.tokens.key.jwk()]}
    for name, text in ("one", others), ("two", keys):
        (tmp_path / name).mkdir()
        (tmp_path / name / "keys.json").write_text(json.dumps(text))
    link = tmp_path / "current"
    link.symlink_to("one")
    issuers = {"corp": {"jwks": str(link / "keys.json")}}
    with world.gateway(world.routes(issuers=issuers)) as gateway:
        token = world.issuer.token(person)
        assert world.ask(gateway, "GET", "/x/1", person, token).status == 401
        swapped = tmp_path / "swapped"
        swapped.symlink_to("two")
        os.replace(swapped, link)
        Reloader(gateway).wait_for("reloaded")
        until(lambda: world.ask(gateway, "GET", "/x/1", person, token).status == 200, "the key")


def test_a_change_of_a_named_file_does_not_apply_what_stands_half_edited_in_the_routes_file(
    world, person, tmp_path
):
    file = tmp_path / "secret"
    file.write_text(SECRET)
    exchanges = {"corp": {"client": {"secret": {"env": None, "file": str(file)}}}}
    routes = world.routes(world.route("/x/*"), exchanges=exchanges)
    with world.gateway(routes) as gateway:
        text = gateway.file.read_text()
        gateway.file.write_text("{ half edited")
        replaced(file, SECRET.encode() + b"\n")
        Reloader(gateway).wait_for("reloaded")
        assert world.ask(gateway, "GET", "/x/1", person).status == 200
        gateway.file.write_text(text)


def test_many_hangups_at_once_end_with_the_last_file(world, gateway, person):
    for number in range(20):
        gateway.file.write_text(
            json.dumps(gateway.routes | world.routes(world.route(f"/n{number}/*")))
        )
        gateway.signal(signal.SIGHUP)
    until(lambda: world.ask(gateway, "GET", "/n19/1", person).status == 200, "the last file")
    assert gateway.running


def test_reloads_leave_no_threads_and_no_descriptors(world, gateway, person):
    def counted():
        folder = pathlib.Path("/proc", str(gateway.pid))
        return len(list((folder / "fd").iterdir())), len(list((folder / "task").iterdir()))

    token = world.issuer.token(person)
    reload = Reloader(gateway)
    for number in range(3):
        reload(world.routes(world.route("/x/*"), world.route(f"/{number}/*")))
        assert world.ask(gateway, "GET", "/x/1", person, token).status == 200
    before = counted()
    for number in range(30):
        gateway.routes["accessLog"] = {"path": str(gateway.folder / f"log-{number % 2}")}
        reload(world.routes(world.route("/x/*"), world.route(f"/{number}/*")))
        assert world.ask(gateway, "GET", "/x/1", person, token).status == 200
    until(
        lambda: all(now <= then + 2 for now, then in zip(counted(), before)),
        f"descriptors and threads back at {before}",
        20,
    )
