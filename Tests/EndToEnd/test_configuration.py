"""The routes file: every mistake told at once, with its place and what to do; exit statuses."""

import json
import re
import subprocess

import pytest
from harness.certificates import Certificate
from harness.client import ask
from harness.program import environment, tollgate_binary
from harness.waiting import free_port
from harness.world import SECRET

LINE = re.compile(r"^(\S+?):(\d+):(\d+): ([^:]+): (.+)$", re.M)


def command(*arguments, env=None, cwd=None, seconds=30):
    run = subprocess.run(
        [tollgate_binary(), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=seconds,
        stdin=subprocess.DEVNULL,
        env=environment(GATEWAY_SECRET=SECRET, **(env or {})),
        cwd=cwd,
    )
    run.said = run.stdout + run.stderr
    return run


@pytest.fixture
def check(world, tmp_path):
    """Writes a routes file and checks it; `check.file` is where."""

    def check(routes, env=None):
        text = routes if isinstance(routes, str) else json.dumps(routes, indent=2)
        check.file.write_text(text)
        return command("check", check.file, env=env)

    check.file = tmp_path / "routes.json"
    return check


def base(world, *routes, **more):
    listeners = more.pop("listeners", [{"address": "127.0.0.1:1"}])
    return world.routes(*routes, listeners=listeners, **more)


def test_the_smallest_file_that_works_is_well(world, check, tmp_path):
    Certificate(["api.example"]).write(tmp_path, "api")
    text = """
    {
      "issuers": { "corp": { "issuer": "https://login.example.com",
                             "audiences": ["https://api.example.com"] } },
      "exchanges": { "corp": { "tokenService": "corp",
          "client": { "id": "gateway", "secret": { "env": "GATEWAY_SECRET" } } } },
      "listeners": [ { "address": "0.0.0.0:8443",
          "tls": { "certificates": [ { "chain": "api.pem", "key": "api.key" } ] } } ],
      "routes": [
        { "match": { "path": "/orders/*" }, "exchange": { "audience": "orders" },
          "forward": { "to": "http://orders:8080" } }
      ]
    }
    """
    run = check(text)
    assert run.returncode == 0, run.said


def test_comments_and_trailing_commas_are_allowed(world, check):
    text = json.dumps(base(world), indent=2)
    text = "// a comment\n/* another\n one */\n" + text.replace("\n  ]", ",\n  ]")
    text = text.replace('"routes":', '// about routes\n  "routes":')
    run = check(text)
    assert run.returncode == 0, run.said


def test_an_unknown_key_is_told_with_place_caret_and_suggestion(check, world):
    text = """{
  "routes": [
    { "match": { "path": "/a/*" }, "exchange": { "audience": "a" },
      "forward": { "to": "http://127.0.0.1:1" } },
    { "match": { "path": "/b/*" }, "exchange": { "audiance": "b" },
      "forward": { "to": "http://127.0.0.1:1" } }
  ],
""" + json.dumps({k: v for k, v in base(world).items() if k != "routes"})[1:]
    run = check(text)
    assert run.returncode == 1
    assert (
        f"{check.file}:5:50: routes[1].exchange.audiance: unknown key;"
        ' did you mean "audience"?' in run.said
        or 'routes.json:5:50: routes[1].exchange.audiance: unknown key; did you mean "audience"?'
        in run.said
    ), run.said
    shown = '    { "match": { "path": "/b/*" }, "exchange": { "audiance": "b" },'
    lines = run.said.splitlines()
    index = next(i for i, line in enumerate(lines) if shown in line)
    assert re.match(r"^\s+5 \| ", lines[index]), lines[index]
    caret = lines[index + 1]
    assert caret.index("^") == lines[index].index('"audiance"')
    assert caret.strip(" |") == "^" + "~" * (len('"audiance"') - 1)


def test_all_mistakes_are_told_in_one_go(world, check):
    routes = base(
        world,
        world.route("no-slash"),
        world.route("/ok", forward={"to": "nowhere"}),
        world.route("/other", exchange={"with": "nobody", "audience": "x"}),
        world.route("/more", methodes=["GET"]),
        issuers={"corp": {"clockSkew": "30 parsecs", "algorithms": ["HS256"]}},
        limits={"headers": "lots", "headerCount": -1},
        wokers=2,
    )
    run = check(routes)
    assert run.returncode == 1
    places = {match[3] for match in LINE.findall(run.said)}
    for place in (
        "wokers", "issuers.corp.clockSkew", "limits.headers", "limits.headerCount",
        "routes[0].match.path", "routes[1].forward.to", "routes[2].exchange.with",
        "routes[3].methodes",
    ):  # fmt: skip
        assert place in places, f"{place} is not told:\n{run.said}"
    assert any(place.startswith("issuers.corp.algorithms") for place in places), run.said
    for _, line, column, _, _ in LINE.findall(run.said):
        assert int(line) >= 1 and int(column) >= 1


def changed(**more):
    return lambda world: base(world, **more)


def route_changed(**more):
    return lambda world: base(world, world.route("/x", **more))


BROKEN = {
    "no listeners": lambda world: {k: v for k, v in base(world).items() if k != "listeners"},
    "empty listeners": changed(listeners=[]),
    "no routes": lambda world: {k: v for k, v in base(world).items() if k != "routes"},
    "an address without a port": changed(listeners=[{"address": "127.0.0.1"}]),
    "a port too large": changed(listeners=[{"address": "127.0.0.1:65536"}]),
    "two listeners of one name": changed(
        listeners=[{"name": "a", "address": "127.0.0.1:1"}, {"name": "a", "address": "127.0.0.1:2"}]
    ),
    "two listeners of one address": changed(
        listeners=[{"address": "127.0.0.1:1"}, {"address": "127.0.0.1:1"}]
    ),
    "a certificate that is not there": changed(
        listeners=[{"address": "127.0.0.1:1",
                    "tls": {"certificates": [{"chain": "nope.pem", "key": "nope.key"}]}}]
    ),
    "no certificates": changed(listeners=[{"address": "127.0.0.1:1", "tls": {"certificates": []}}]),
    "an old TLS version": lambda world: base(
        world,
        listeners=[{"address": "127.0.0.1:1", "tls": {
            "certificates": [world.certificate_files], "minVersion": "1.1"}}],
    ),
    "workers that are none": changed(workers=0),
    "workers in words": changed(workers="many"),
    "everybody trusted": changed(trustedProxies=["0.0.0.0/0"]),
    "everybody trusted, v6": changed(trustedProxies=["::/0"]),
    "no network": changed(trustedProxies=["10.0.0.0/33"]),
    "an issuer without audiences": changed(issuers={"corp": {"audiences": None}}),
    "an issuer with an empty list of audiences": changed(issuers={"corp": {"audiences": []}}),
    "an issuer in the clear": changed(issuers={"corp": {"issuer": "http://login.example.com"}}),
    "keys in the clear": changed(issuers={"corp": {"jwks": "http://login.example.com/jwks"}}),
    "a token service in the clear": changed(
        exchanges={"corp": {"tokenService": "http://login.example.com/token"}}
    ),
    "one issuer twice": lambda world: base(
        world, issuers={"again": {"issuer": world.issuer.url, "audiences": ["x"]}}
    ),
    "the algorithm none": changed(issuers={"corp": {"algorithms": ["none"]}}),
    "no algorithm": changed(issuers={"corp": {"algorithms": []}}),
    "an unknown algorithm": changed(issuers={"corp": {"algorithms": ["RS257"]}}),
    "an unknown preset": changed(issuers={"corp": {"identities": {"system": ["tetrapack"]}}}),
    "a rule without a test": changed(
        issuers={"corp": {"identities": {"system": [{"claim": "a"}]}}}
    ),
    "a rule with two tests": changed(
        issuers={"corp": {"identities": {"system": [{"claim": "a", "equals": "b", "prefix": "c"}]}}}
    ),
    "a claim pointer that is none": changed(
        issuers={"corp": {"identities": {"system": [{"claim": "/a~2", "absent": True}]}}}
    ),
    "an exchange of no issuer": changed(exchanges={"corp": {"tokenService": "nobody"}}),
    "an exchange without a client": changed(exchanges={"corp": {"client": None}}),
    "a client without a secret": changed(exchanges={"corp": {"client": {"secret": None}}}),
    "an unknown grant": changed(exchanges={"corp": {"grant": "password"}}),
    "a secret of an unset variable": changed(
        exchanges={"corp": {"client": {"secret": {"env": "NOT_SET_ANYWHERE"}}}}
    ),
    "a secret of a missing file": changed(
        exchanges={"corp": {"client": {"secret": {"env": None, "file": "/nonexistent/secret"}}}}
    ),
    "an unset variable in a string": changed(
        issuers={"corp": {"audiences": ["${NOT_SET_ANYWHERE}"]}}
    ),
    "a reserved parameter": changed(exchanges={"corp": {"parameters": {"audience": "x"}}}),
    "a duration without a unit": changed(limits={"headerTimeout": "10"}),
    "a duration as a number": changed(limits={"headerTimeout": 10}),
    "a size without sense": changed(limits={"body": "10 lots"}),
    "a negative size": changed(limits={"body": "-1MiB"}),
    "a huge duration": changed(limits={"headerTimeout": "99999999999999999999h"}),
    "a route without exchange": route_changed(exchange=None),
    "a route without a target": route_changed(forward=None),
    "a route with two targets": route_changed(respond={"status": 200}),
    "a path without a slash": lambda world: base(world, world.route("orders")),
    "a star in the middle": lambda world: base(world, world.route("/a*b")),
    "a star before the end": lambda world: base(world, world.route("/*/b")),
    "a path with dots": lambda world: base(world, world.route("/a/../b")),
    "two routes that both fit": lambda world: base(world, world.route("/a"), world.route("/a")),
    "two routes that differ by a parameter's name": lambda world: base(
        world, world.route("/{a}"), world.route("/{b}")
    ),
    "a listener that is not there": lambda world: base(
        world, world.route("/x") | {"match": {"path": "/x", "listeners": ["nope"]}}
    ),
    "a wildcard host in the middle": lambda world: base(
        world, world.route("/x") | {"match": {"path": "/x", "host": "a.*.example"}}
    ),
    "a method with a space": lambda world: base(
        world, world.route("/x") | {"match": {"path": "/x", "methods": ["GET IT"]}}
    ),
    "an upstream with a path": route_changed(forward={"to": "http://127.0.0.1:1/path"}),
    "an upstream of another scheme": route_changed(forward={"to": "ftp://127.0.0.1"}),
    "an upstream with a password": route_changed(forward={"to": "http://u:p@127.0.0.1"}),
    "authorization set by hand": route_changed(
        forward={"headers": {"set": {"Authorization": "Bearer x"}}}
    ),
    "a realm with a quote": route_changed(authenticate={"realm": 'a "realm"'}),
    "a response status that is none": lambda world: base(
        world,
        {"match": {"path": "/x"}, "authenticate": "none", "respond": {"status": 99}},
    ),
    "a public route that exchanges": route_changed(authenticate="none"),
    "an admission that is none": route_changed(admit={"person": "maybe"}),
    "a path rule that is none": route_changed(pathRules={"encodedSlash": "drop"}),
    "a text where an object belongs": changed(limits="small"),
    "an object where a list belongs": lambda world: base(world) | {"routes": {}},
    "null for a text": changed(issuers={"corp": {"issuer": []}}),
    "an admin address for all": changed(admin={"address": 5}),
    "an unknown log format": changed(accessLog={"path": "-", "format": "xml"}),
    "an unknown log field": changed(accessLog={"path": "-", "fields": ["tiem"]}),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_refused_with_a_place(world, check, name):
    run = check(BROKEN[name](world))
    assert run.returncode == 1, run.said
    problems = LINE.findall(run.said)
    assert problems, run.said
    assert all(file.endswith("routes.json") for file, *_ in problems), run.said
    assert "^" in run.said
    assert "Fatal" not in run.said and "error: Swift" not in run.said
    assert SECRET not in run.said


@pytest.mark.parametrize(
    "text, line, column",
    [
        ("", 1, 1),
        ("{", 1, 2),
        ('{\n  "a": 1,\n  "a": 2\n}', 3, 3),
        ('{\n  "routes": [}\n}', 2, 14),
        ('{"a": "\n"}', 1, 8),
        ('{"a": 01}', None, None),
        ('{"a": "\\ud800"}', None, None),
        ("[1, 2]", 1, 1),
        ('{} x', 1, 4),
        ('{"a": 1} /* never ends', 1, 10),
        ("{\"a\": '1'}", 1, 7),
        ("{a: 1}", 1, 2),
        ("[" * 10_000, None, None),
        ('{"a": tru}', 1, 7),
        ("\ufeff{}", None, None),
    ],
)
def test_text_that_is_not_json_is_told_where(check, text, line, column):
    run = check(text)
    assert run.returncode == 1, run.said
    place = re.search(r"routes\.json:(\d+):(\d+): ", run.said)
    assert place, run.said
    if line:
        assert int(place[1]) == line, run.said
        assert abs(int(place[2]) - column) <= 2, run.said


def test_bytes_that_are_not_utf_8_are_refused(check):
    check("{}")
    check.file.write_bytes(b'{"routes": "\xff\xfe"}')
    run = command("check", check.file)
    assert run.returncode == 1 and "UTF-8" in run.said, run.said


def test_columns_count_characters(world, check):
    text = '{ "é日本": 1, "wokers": 2 }'
    run = check(text)
    places = {match[3]: match for match in LINE.findall(run.said)}
    assert int(places["wokers"][2]) == text.index('"wokers"') + 1, run.said


def test_mismatching_certificate_files_are_refused(world, check, tmp_path):
    one = Certificate(["one.example"]).write(tmp_path, "one")
    two = Certificate(["two.example"]).write(tmp_path, "two")
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    half = tmp_path / "half.pem"
    half.write_bytes(open(one["chain"], "rb").read()[:300])
    pairs = [
        {"chain": one["chain"], "key": two["key"]},
        {"chain": str(garbage), "key": one["key"]},
        {"chain": str(empty), "key": one["key"]},
        {"chain": str(half), "key": one["key"]},
        {"chain": one["chain"], "key": str(garbage)},
        {"chain": one["key"], "key": one["chain"]},
        {"chain": str(tmp_path), "key": one["key"]},
    ]
    for pair in pairs:
        listener = {"address": "127.0.0.1:1", "tls": {"certificates": [pair]}}
        run = check(base(world, listeners=[listener]))
        assert run.returncode == 1, (pair, run.said)
        assert "listeners[0].tls.certificates" in run.said, run.said


def test_authorities_for_client_certificates_must_be_certificates(world, check, tmp_path):
    own = Certificate(["own.example"]).write(tmp_path, "own")
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    half = tmp_path / "half.pem"
    half.write_bytes(open(own["chain"], "rb").read() + open(own["chain"], "rb").read()[:300])
    empty = tmp_path / "empty.pem"
    empty.write_text("")

    def checked(file):
        tls = {"certificates": [own], "clientAuth": "request", "clientCA": str(file)}
        return check(base(world, listeners=[{"address": "127.0.0.1:1", "tls": tls}]))

    for file in (garbage, half, empty, own["key"], tmp_path, tmp_path / "missing.pem"):
        run = checked(file)
        assert run.returncode == 1, (file, run.said)
        assert "listeners[0].tls.clientCA" in run.said, run.said
    assert checked(own["chain"]).returncode == 0


def test_a_certificate_that_has_expired_is_told(world, check, tmp_path):
    old = Certificate(["old.example"], days=5, starts_days_ago=10).write(tmp_path, "old")
    listener = {"address": "127.0.0.1:1", "tls": {"certificates": [old]}}
    run = check(base(world, listeners=[listener]))
    assert "expired" in run.said, run.said


def test_what_is_not_built_yet_is_refused_and_never_ignored(world, check):
    listener = {"address": "127.0.0.1:0", "http2": True}
    run = check(base(world, listeners=[listener]))
    assert run.returncode == 1, f"http2 was accepted: {run.said}"
    assert "listeners[0].http2: not supported yet" in run.said


def test_a_literal_secret_is_warned_of(world, check):
    run = check(base(world, exchanges={"corp": {"client": {"secret": "literally-secret"}}}))
    assert run.returncode == 0, run.said
    assert "warning" in run.said
    assert "exchanges.corp.client.secret" in run.said
    assert "literally-secret" not in run.said


def test_a_passed_through_token_is_warned_of(world, check):
    run = check(base(world, world.route("/x", exchange="passthrough")))
    if run.returncode == 1:
        assert "not supported yet" in run.said
    else:
        assert "warning" in run.said and "routes[0].exchange" in run.said


def test_variables_are_replaced(world, check, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("from-a-file\n")
    routes = base(
        world,
        issuers={"corp": {"audiences": ["${AUDIENCE_HERE}", "${NOT_HERE:-fallback}", "$${x}"]}},
        exchanges={"corp": {"client": {"secret": {"env": None, "file": "secret"}}}},
    )
    run = check(routes, env={"AUDIENCE_HERE": "x"})
    assert run.returncode == 0, run.said


def test_variables_and_secret_files_take_part(world, person, tmp_path):
    secret = world.folder / "a-secret"
    secret.write_text(SECRET + "\n")
    routes = world.routes(
        issuers={"corp": {"audiences": ["${THE_AUDIENCE}"]}},
        exchanges={"corp": {"client": {"secret": {"env": None, "file": str(secret)}}}},
    )
    with world.gateway(routes, environ={"THE_AUDIENCE": "https://from.env"}) as gateway:
        token = world.issuer.token(person, aud="https://from.env")
        assert world.ask(gateway, "GET", "/x", person, token).status == 200


def test_files_are_found_beside_the_file_that_names_them(world, check, tmp_path):
    Certificate(["x.example"]).write(tmp_path, "beside")
    listener = {
        "address": "127.0.0.1:1",
        "tls": {"certificates": [{"chain": "beside.pem", "key": "beside.key"}]},
    }
    check.file.write_text(json.dumps(base(world, listeners=[listener])))
    run = command("check", check.file, cwd="/")
    assert run.returncode == 0, run.said


# -- run refuses what check refuses, and starts nothing


def test_run_refuses_a_broken_file_and_starts_nothing(world, tmp_path):
    port = free_port()
    routes = base(world, listeners=[{"address": f"127.0.0.1:{port}"}], wokers=1)
    file = tmp_path / "routes.json"
    file.write_text(json.dumps(routes))
    run = command("run", file)
    assert run.returncode == 1
    assert "wokers" in run.said
    assert LINE.findall(run.said) == LINE.findall(command("check", file).said)


def test_a_missing_file_is_told(tmp_path):
    for verb in ("run", "check"):
        run = command(verb, tmp_path / "nothing.json")
        assert run.returncode == 1
        assert "nothing.json" in run.said


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    run = command("check", tmp_path)
    assert run.returncode == 1, run.said
    assert "Fatal" not in run.said


def test_routes_json_here_is_taken_by_default(world, tmp_path):
    (tmp_path / "routes.json").write_text(json.dumps(base(world)))
    assert command("check", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize("what", ["listener", "admin"])
def test_an_address_in_use_is_exit_status_3(world, tmp_path, what):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        other = free_port()
        address = f"127.0.0.1:{port if what == 'listener' else other}"
        routes = base(world, listeners=[{"address": address}])
        admin_port = port if what == "admin" else free_port()
        routes["admin"] = {"address": f"127.0.0.1:{admin_port}"}
        file = tmp_path / "routes.json"
        file.write_text(json.dumps(routes))
        run = command("run", file)
        assert run.returncode == 3, run.said
        assert f"127.0.0.1:{port}" in run.said and "in use" in run.said


def test_a_second_gateway_on_the_same_address_is_noticed(world, person, tmp_path):
    """Both would listen with SO_REUSEPORT: the kernel alone would let them."""
    with world.gateway(world.routes()) as gateway:
        routes = base(world, listeners=[{"address": f"127.0.0.1:{gateway.port}"}], admin="off")
        file = tmp_path / "routes.json"
        file.write_text(json.dumps(routes))
        run = command("run", file)
        assert run.returncode == 3, run.said
        assert world.ask(gateway, "GET", "/x", person).status == 200


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["run", "a", "b"], ["check", "--nope"], []], ids=str
)
def test_a_wrong_command_line_is_exit_status_2(arguments):
    run = command(*arguments)
    assert run.returncode == 2, run.said
    assert "tollgate" in run.said


def test_help_and_version_are_said():
    run = command("version")
    assert run.returncode == 0
    assert re.search(r"\d+\.\d+", run.stdout)
    for arguments in (["--help"], ["help"]):
        run = command(*arguments)
        assert run.returncode == 0, run.said
        assert all(word in run.stdout for word in ("run", "check", "demo", "version"))


def test_ipv6_may_be_listened_on(world, person):
    import socket

    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 on this machine")
    routes = world.routes(listeners=[{"address": "[::1]:0"}])
    with world.gateway(routes) as gateway:
        with socket.create_connection(("::1", gateway.port), 10) as connection:
            from harness.client import request_bytes

            connection.sendall(request_bytes("GET", "/x", person, world.issuer.token(person)))
            assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")
        assert gateway.logged(path="/x")["client"] == "::1"


def test_ask_is_not_answered_by_a_gateway_that_did_not_start(world):
    with pytest.raises(OSError):
        ask(free_port(), "GET", "/")
