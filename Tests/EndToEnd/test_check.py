"""`tollgate check`: what `run` would say and nothing started; and with --live, how all those are
whom the gateway would depend on."""

import contextlib
import json
import re
import socket
import subprocess
import threading

import pytest
from harness.certificates import Certificate
from harness.issuer import AUDIENCE, Issuer, Service
from harness.keys import Key
from harness.program import Nginx, environment, tollgate_binary
from harness.waiting import free_port, until
from harness.world import SECRET, merged


def tollgate(*arguments, seconds=60):
    return subprocess.run(
        [tollgate_binary(), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=seconds,
        stdin=subprocess.DEVNULL,
        env=environment(GATEWAY_SECRET=SECRET),
    )


@pytest.fixture
def write(tmp_path):
    """Writes a routes file, a dictionary or text, and returns where."""

    def write(routes):
        file = tmp_path / "routes.json"
        file.write_text(routes if isinstance(routes, str) else json.dumps(routes, indent=2))
        return file

    return write


def whole(world, *routes, **more):
    return world.routes(*routes, **({"listeners": [{"address": "127.0.0.1:1"}]} | more))


def tls_listener(chain, key):
    return [{"address": "127.0.0.1:1", "tls": {"certificates": [{"chain": chain, "key": key}]}}]


BROKEN = {
    "no JSON": lambda world: '{"routes": [',
    "nothing": lambda world: "{}",
    "an unknown key": lambda world: whole(world, wrkers=2),
    "a wrong value": lambda world: whole(world, workers=0, limits={"body": "10 parsecs"}),
    "no such secret": lambda world: whole(
        world, exchanges={"corp": {"client": {"secret": {"env": "NOWHERE"}}}}
    ),
    "no such file": lambda world: whole(world, listeners=tls_listener("no.pem", "no.key")),
    "no certificate": lambda world: whole(
        world, listeners=tls_listener("routes.json", "routes.json")
    ),
    "two routes for one request": lambda world: whole(world, world.route("/a"), world.route("/a")),
    "warnings too": lambda world: whole(
        world, workers=0, admin={"address": "0.0.0.0:9901"},
        issuers={"corp": {"audiences": "any"}},
    ),
    "a file that is not there": lambda world: whole(world, include=["here/not.json"]),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_check_says_of_a_broken_file_exactly_what_run_says(world, write, name):
    file = write(BROKEN[name](world))
    checked, run = tollgate("check", file), tollgate("run", file)
    assert (run.returncode, run.stdout) == (1, "")
    assert (checked.returncode, checked.stdout) == (1, "")
    assert checked.stderr == run.stderr and str(file) in checked.stderr


def test_both_say_the_same_of_a_file_that_is_not_there(tmp_path):
    file = tmp_path / "nowhere.json"
    checked, run = tollgate("check", file), tollgate("run", file)
    assert checked.returncode == run.returncode == 1
    assert checked.stderr == run.stderr != ""


def test_what_deserves_a_second_look_is_told_and_fails_nothing(world, write):
    routes = whole(
        world,
        world.route("/a/*", name="all"),
        world.route("/a", name="top"),
        world.route("/a/{id}/*", name="below"),
        world.route("/b", exchange="passthrough"),
        issuers={"corp": {"audiences": "any"}},
        admin={"address": "0.0.0.0:9901"},
        exchanges={"corp": {"client": {"secret": "in the open"}}},
    )
    file = write(routes)
    run = tollgate("check", file)
    assert (run.returncode, run.stdout) == (0, f"{file}: ok\n"), run.stderr
    line = rf"^{re.escape(str(file))}:\d+:\d+: warning: ([^:]+): (.*)$"
    told = dict(re.findall(line, run.stderr, re.M))
    assert set(told) == {
        "routes[0].match", "routes[3].exchange", "issuers.corp.audiences", "admin.address",
        "exchanges.corp.client.secret",
    }  # fmt: skip
    assert "routes[1] and routes[2]" in told["routes[0].match"]
    assert "in the open" not in run.stderr


def test_all_that_is_missing_is_told_together(world, write):
    file = write(
        whole(
            world,
            listeners=tls_listener("no.pem", "no.key"),
            exchanges={"corp": {"client": {"secret": {"env": "NOWHERE"}}, "tls": {"ca": "no.ca"}}},
            wrkers=2,
        )
    )
    run = tollgate("check", file)
    assert run.returncode == 1
    for word in ("no.pem", "no.key", "no.ca"):
        assert re.search(rf": can't read \S*{word}: no such file", run.stderr), run.stderr
    assert '"NOWHERE" is not set' in run.stderr and 'did you mean "workers"?' in run.stderr


def test_certificates_are_looked_into_where_the_rest_is_wrong_too(world, write, tmp_path):
    good = Certificate(["localhost"]).write(tmp_path, "good")
    other = Certificate(["localhost"]).write(tmp_path, "other")
    ended = Certificate(["localhost"], days=1, starts_days_ago=3).write(tmp_path, "ended")
    (tmp_path / "nonsense.pem").write_text("nonsense")
    certificates = [
        {"chain": good["chain"], "key": other["key"]},
        ended,
        {"chain": "nonsense.pem", "key": good["key"]},
    ]
    listeners = [{"address": "127.0.0.1:1", "tls": {"certificates": certificates}}]
    upstreams = {"a": {"servers": ["https://a.example"], "tls": {"ca": "nonsense.pem"}}}
    file = write(whole(world, listeners=listeners, upstreams=upstreams, wrkers=2))
    run = tollgate("check", file)
    assert run.returncode == 1
    lines = re.findall(rf"^{re.escape(str(file))}:\d+:\d+: (.*)$", run.stderr, re.M)
    assert 'wrkers: unknown key; did you mean "workers"?' in lines
    at = "listeners[0].tls.certificates"
    key = other["key"]
    assert f"{at}[0].key: {key} is not the private key of the chain's first certificate" in lines
    chain = ended["chain"]
    assert f"warning: {at}[1].chain: the certificate in {chain} has expired" in lines
    said = "\n".join(lines)
    assert f"{at}[2].chain: {tmp_path}/nonsense.pem holds no certificate chain in PEM" in said
    assert f"upstreams.a.tls.ca: {tmp_path}/nonsense.pem holds no certificates in PEM" in said
    # Each once, and with the rest mended the first of them again, in the same words.
    assert len(lines) == len(set(lines)) == 5
    mended = tollgate("check", write(whole(world, listeners=listeners, upstreams=upstreams)))
    assert f"{at}[0].key: {key} is not the private key" in mended.stderr


def test_a_folder_that_the_log_lacks_is_told_of(world, write, tmp_path):
    file = write(whole(world, accessLog={"path": "logs/access.log"}))
    run = tollgate("check", file)
    assert run.returncode == 0
    assert "warning: accessLog.path: there is no folder" in run.stderr
    (tmp_path / "logs").mkdir()
    assert tollgate("check", file).stderr == ""


def test_words_of_other_proxies_lead_to_the_gateways_own(world, write):
    route = world.route(
        "/p/:id", forward={"upgrade": "ws", "headers": {"set": {"X-User": "{sub}"}}},
        rateLimit={"requests": 1, "by": "sub"},
    )  # fmt: skip
    run = tollgate("check", write(whole(world, route, accessLog={"file": "a.log"})))
    assert run.returncode == 1
    for meant in ("websocket", "{claim:sub}", "claim:sub", "path"):
        assert f'did you mean "{meant}"?' in run.stderr, run.stderr
    assert 'warning: routes[0].match.path: ":id" matches' in run.stderr
    assert 'is "{id}"' in run.stderr


def test_a_gateway_that_starts_says_the_same_warnings(world):
    with world.gateway(world.routes(issuers={"corp": {"audiences": "any"}})) as gateway:
        checked = tollgate("check", gateway.file)
        assert checked.returncode == 0
        lines = [line for line in checked.stderr.splitlines() if "warning" in line]
        said = gateway.err.read_text()
        assert len(lines) == 1 and lines[0] in said


# --live


def live(write, routes):
    """The exit status, and what is said by key: (is well, text)."""
    run = tollgate("check", "--live", write(routes))
    lines = run.stdout.splitlines()
    assert lines and lines[0].endswith(": ok"), run.stdout + run.stderr
    found = {}
    for line in lines[1:]:
        sign, key, text = re.fullmatch(r"\[([+-])\] (\S+): (.*)", line).groups()
        assert key not in found
        found[key] = (sign == "+", text)
    return run.returncode, found


@pytest.fixture
def asked(world):
    """Tokens are served as ever, but what check asks is refused, and kept."""
    calls = []

    def refuse(call, handler):
        if call.value("grant_type") != "urn:tollgate:check":
            return False
        calls.append(call)
        world.tokens.send(handler, 400, {"error": "unsupported_grant_type"})
        return True

    world.tokens.failure = refuse
    return calls


def test_all_are_well(world, write, asked):
    before = len(world.issuer.fetches)
    status, found = live(write, whole(world))
    assert status == 0, found
    assert found == {
        "issuers.corp": (True, f"1 key from {world.issuer.url}/jwks"),
        "exchanges.corp": (
            True,
            f"{world.tokens.endpoint} refuses as a token endpoint does"
            " (400, unsupported_grant_type)",
        ),
        "routes[0].forward.to": (True, f"{world.upstream.url} takes connections"),
    }
    # Each was asked once, and no credentials went anywhere.
    assert world.issuer.fetches[before:] == ["/.well-known/openid-configuration", "/jwks"]
    [call] = asked
    assert call.form == [("grant_type", "urn:tollgate:check")]
    assert call.authorization is None and call.certificate is None
    assert SECRET not in str(call.head)


def test_without_live_nobody_is_asked(world, write, asked):
    before = len(world.issuer.fetches)
    run = tollgate("check", write(whole(world)))
    assert run.returncode == 0 and "[" not in run.stdout
    assert len(world.issuer.fetches) == before and asked == []


def test_a_broken_file_asks_nobody_either(world, write, asked):
    run = tollgate("check", "--live", write(whole(world, workers=0)))
    assert (run.returncode, run.stdout) == (1, "")
    assert asked == []


@contextlib.contextmanager
def issuer(**changes):
    other = Issuer()
    for name, value in changes.items():
        setattr(other, name, value)
    try:
        yield other
    finally:
        other.close()


def test_what_is_wrong_with_issuers_is_told(world, write, asked, tmp_path):
    closed = f"http://127.0.0.1:{free_port()}"
    elsewhere = {"issuer": "https://somebody.else.example"}
    with contextlib.ExitStack() as stack:
        def serve(**changes):
            return stack.enter_context(issuer(**changes)).url

        secret = [{"kty": "oct", "k": "c2VjcmV0", "kid": "1"}]
        (tmp_path / "keys.json").write_text(json.dumps({"keys": [Key("ES256").jwk()]}))
        urls = {
            "closed": closed,
            "another": serve(discovery_changes=elsewhere),
            "none": serve(published=[]),
            "secret": serve(published=secret),
            "nonsense": serve(broken=(200, b"<html>")),
            "down": serve(broken=(503, b"")),
            "unfit": serve(keys=[Key("ES256")]),
            "nowhere": "https://no.such.name.invalid",
            "keyless": serve(discovery_changes={"jwks_uri": None}),
        }  # fmt: skip
        issuers = {name: {"issuer": url, "audiences": [AUDIENCE]} for name, url in urls.items()}
        issuers["unfit"]["algorithms"] = ["RS256", "PS256"]
        issuers["file"] = {
            "issuer": "here", "jwks": str(tmp_path / "keys.json"), "audiences": [AUDIENCE],
        }  # fmt: skip
        issuers["lost"] = merged(issuers["file"], {"issuer": "there", "jwks": "no-such-file"})
        status, found = live(write, whole(world, issuers=issuers))
    assert status == 1
    words = {
        "closed": "connection refused",
        "another": 'its issuer is another: "https://somebody.else.example"',
        "none": "no usable key",
        "secret": "no usable key (",
        "nonsense": "/jwks: ",
        "down": "answered 503",
        "unfit": 'none of its keys is for one of "algorithms" (PS256, RS256)',
        "nowhere": "no.such.name.invalid",
        "lost": "no such file",
    }
    for name, text in words.items():
        is_well, said = found[f"issuers.{name}"]
        assert not is_well and text in said, (name, said)
    assert not found["issuers.keyless"][0]
    assert found["issuers.file"] == (True, f"1 key from {tmp_path}/keys.json")
    # The others are no worse for it.
    assert found["issuers.corp"][0] and found["exchanges.corp"][0]


class Page(Service):
    """What is no token service."""

    def __init__(self, *answer, **more):
        self.says = answer
        for name, value in more.items():
            setattr(self, name, value)
        super().__init__()

    def answer(self, handler):
        handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        status, body, *headers = self.says
        self.send(handler, status, body, headers=headers)


def test_what_is_wrong_with_token_services_is_told(world, write, asked):
    exchange = world.routes()["exchanges"]["corp"]
    pages = {
        "page": (404, b"<html>"),
        "framework": (404, {"status": 404, "error": "Not Found"}),
        "answer": (200, {"access_token": "x"}),
        "moved": (302, b"", ("Location", "https://elsewhere.example/token")),
        "down": (503, {"error": "temporarily_unavailable"}),
    }
    with contextlib.ExitStack() as stack:
        def serve(*answer, **more):
            page = Page(*answer, **more)
            stack.callback(page.close)
            return page.url

        refusal = (401, {"error": "invalid_client"})
        urls = {name: serve(*answer) for name, answer in pages.items()}
        urls["well"] = serve(*refusal)
        urls["untrusted"] = serve(*refusal, certificate=world.certificate_files)
        urls["trusted"] = serve(*refusal, certificate=world.certificate_files)
        urls["closed"] = f"http://127.0.0.1:{free_port()}"
        exchanges = {name: exchange | {"tokenService": url + "/t"} for name, url in urls.items()}
        authority = world.authority_file
        exchanges["trusted"]["tls"] = {"ca": str(authority)}
        exchanges["discovered"] = exchange | {"tokenService": "corp"}
        exchanges["lost"] = exchange | {"tokenService": "lost"}
        routes = whole(
            world,
            world.route("/*", exchange={"with": "corp"}),
            exchanges=exchanges,
            issuers={"lost": {
                "issuer": f"http://127.0.0.1:{free_port()}", "audiences": [AUDIENCE],
            }},
        )  # fmt: skip
        status, found = live(write, routes)
    assert status == 1
    words = {
        "page": "answered 404 without an OAuth error: no token endpoint is there",
        "framework": "answered 404 without an OAuth error",
        "answer": "answered 200 to what every token endpoint refuses",
        "moved": "redirects (302)",
        "down": "answered 503",
        "untrusted": "certificate verify failed: unable to get local issuer certificate",
        "closed": "connection refused",
        "lost": 'issuer "lost"',
    }
    for name, text in words.items():
        is_well, said = found[f"exchanges.{name}"]
        assert not is_well and text in said, (name, said)
    for name in ("well", "trusted"):
        is_well, said = found[f"exchanges.{name}"]
        assert is_well and "(401, invalid_client)" in said, (name, said)
    assert found["exchanges.discovered"] == found["exchanges.corp"]
    assert found["exchanges.corp"][0]


@contextlib.contextmanager
def s_server(files, *options):
    """`openssl s_server` on a free port."""
    port = free_port()
    command = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", files["chain"],
               "-key", files["key"], *options]  # fmt: skip
    server = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    heard = []

    def listen():
        while part := server.stdout.readline():
            heard.append(part)

    thread = threading.Thread(target=listen)
    thread.start()
    try:
        until(lambda: b"ACCEPT" in b"".join(heard), "s_server to listen")
        yield f"https://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(10)
        thread.join(10)
        server.stdin.close()
        server.stdout.close()


def test_what_is_wrong_with_servers_is_told(world, write, asked, tmp_path):
    authority = world.authority_file
    trust = {"ca": str(authority)}
    good = world.certificate_files
    ended = Certificate(["127.0.0.1"], issuer=world.authority, days=1, starts_days_ago=3)
    other = Certificate(["other.example"], issuer=world.authority)
    with contextlib.ExitStack() as stack:
        def secure(files, *options):
            return stack.enter_context(s_server(files, *options))

        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        sick = free_port()
        http = f"""server {{ listen 127.0.0.1:{sick};
          location = /well {{ return 204; }} location = /sick {{ return 503; }} }}"""
        nginx = Nginx(tmp_path, http, sick)
        stack.callback(nginx.end)
        servers = {
            "closed": (f"http://127.0.0.1:{free_port()}", {}),
            "unix": (f"unix:{tmp_path}/no.sock", {}),
            "nowhere": ("http://no.such.name.invalid", {}),
            "secure": (secure(good), {"tls": trust}),
            "old": (secure(good, "-tls1_2"), {"tls": trust}),
            "ended": (secure(ended.write(tmp_path, "ended")), {"tls": trust}),
            "other": (secure(other.write(tmp_path, "other")), {"tls": trust}),
            "named": (
                secure(other.write(tmp_path, "named")),
                {"tls": trust | {"serverName": "other.example"}},
            ),
            "untrusted": (secure(good), {}),
            "asking": (secure(good, "-Verify", "1", "-CAfile", str(authority)), {"tls": trust}),
            "shown": (
                secure(good, "-Verify", "1", "-CAfile", str(authority)),
                {"tls": trust | {"certificate": good["chain"], "key": good["key"]}},
            ),
            "plain": (f"https://127.0.0.1:{sick}", {"tls": trust}),
            "silent": (
                f"https://127.0.0.1:{silent.getsockname()[1]}",
                {"tls": trust, "connectTimeout": "300ms"},
            ),
            "well": (f"http://127.0.0.1:{nginx.port}", {"healthCheck": {"path": "/well"}}),
            "sick": (f"http://127.0.0.1:{nginx.port}", {"healthCheck": {"path": "/sick"}}),
            "mute": (
                f"http://127.0.0.1:{silent.getsockname()[1]}",
                {"healthCheck": {"path": "/", "timeout": "300ms"}},
            ),
        }
        upstreams = {name: {"servers": [url]} | more for name, (url, more) in servers.items()}
        upstreams["two"] = {"servers": [world.upstream.url, servers["closed"][0]]}
        status, found = live(write, whole(world, upstreams=upstreams))
    assert status == 1
    wrong = {
        "closed": "connection refused",
        "unix": "no such file or directory",
        "nowhere": "no.such.name.invalid",
        "ended": "certificate verify failed: certificate has expired",
        "other": "certificate verify failed: IP address mismatch",
        "untrusted": "certificate verify failed: unable to get local issuer certificate",
        "asking": "ends the connection after the TLS handshake",
        "plain": "TLS failed: TLS: ",
        "silent": "can't be reached in time",
        "sick": "answers GET /sick with 503",
        "mute": "GET /: did not answer in time",
    }
    key = "upstreams.{}.servers[0]"
    for name, text in wrong.items():
        is_well, said = found[key.format(name)]
        assert not is_well and text in said, (name, said)
        assert said.startswith(servers[name][0]), said
    well = {
        "secure": "takes connections, TLSv1.3",
        "named": "takes connections, TLSv1.3",
        "shown": "takes connections, TLSv1.3",
        "old": "takes connections, TLSv1.2",
        "well": "answers GET /well with 204",
        "two": "takes connections",
    }
    for name, text in well.items():
        is_well, said = found[key.format(name)]
        assert is_well and text in said, (name, said)
    assert not found["upstreams.two.servers[1]"][0]


def test_what_a_service_says_does_not_rule_the_terminal(world, write, asked):
    with issuer(discovery_changes={"issuer": "\u001b[2J\n[+] all is well\u009b"}) as other:
        routes = whole(world, issuers={"bad": {"issuer": other.url, "audiences": [AUDIENCE]}})
        run = tollgate("check", "--live", write(routes))
    assert run.returncode == 1
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", run.stdout)
    assert len(run.stdout.splitlines()) == 5
