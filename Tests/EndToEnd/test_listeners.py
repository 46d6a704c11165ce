"""Where the gateway listens: several addresses, IPv6, unix sockets, sockets of systemd's."""

import concurrent.futures
import json
import os
import pathlib
import shutil
import signal
import socket
import stat
import subprocess

import pytest
from harness.client import Connection, ask
from harness.gateway import Gateway
from harness.program import Program, environment, tollgate_binary
from harness.waiting import free_port, listens, until
from harness.world import SECRET


class LocalConnection(Connection):
    """A connection to a unix socket."""

    def __init__(self, path, tls=None, seconds=20):
        raw = socket.socket(socket.AF_UNIX)
        raw.settimeout(seconds)
        raw.connect(str(path))
        self.socket = tls.wrap_socket(raw, server_hostname="localhost") if tls else raw
        self.pending = b""


def answers(path):
    try:
        LocalConnection(path).close()
        return True
    except OSError:
        return False


def local_listener(path, **more):
    return {"name": "local", "address": f"unix:{path}"} | more


@pytest.fixture
def path(tmp_path):
    return tmp_path / "gateway.sock"


# -- addresses


def test_ipv4_and_ipv6_share_a_port(world, person):
    port = free_port()
    listeners = [
        {"name": "four", "address": f"0.0.0.0:{port}"},
        {"name": "six", "address": f"[::]:{port}"},
    ]
    with world.gateway(world.routes(listeners=listeners)) as gateway:
        token = world.issuer.token(person)
        for host, name in (("127.0.0.1", "four"), ("::1", "six")):
            connection = Connection.__new__(Connection)
            connection.socket, connection.pending = socket.create_connection((host, port), 20), b""
            answer = connection.request("GET", f"/{name}", person, token)
            assert answer.seen("x-forwarded-for") == [host]
            connection.close()
            record = gateway.logged(path=f"/{name}")
            assert (record["listener"], record["client"]) == (name, host)


# -- unix sockets


def test_a_unix_socket_is_a_listener_like_any_other(world, person, path):
    listeners = [local_listener(path), world.tls_listener | local_listener(f"{path}.tls")]
    listeners[1]["name"] = "local-tls"
    with world.gateway(world.routes(listeners=listeners)) as gateway:
        fields = [("X-Forwarded-For", "192.0.2.1"), ("X-Request-Id", "mine")]
        for at, tls, name in [(path, None, "local"), (f"{path}.tls", world.tls, "local-tls")]:
            with LocalConnection(at, tls) as connection:
                token = world.issuer.token(person)
                answer = connection.request("GET", f"/{name}", person, token, fields)
                assert answer.seen("x-forwarded-for") == ["unix:"]
                assert answer.seen("x-forwarded-proto") == ["https" if tls else "http"]
                assert answer.seen("x-request-id") != ["mine"]
            record = gateway.logged(path=f"/{name}")
            assert (record["listener"], record["client"]) == (name, "unix:")
    assert not path.exists()


def test_curl_speaks_to_it(world, person, path):
    with world.gateway(world.routes(listeners=[local_listener(path)])):
        run = subprocess.run(
            ["curl", "-sS", "--max-time", "20", "--unix-socket", str(path),
             "-H", f"Authorization: Bearer {world.issuer.token(person)}",
             "-H", f"X-Test-Person: {person}", "http://localhost/curl"],
            capture_output=True, timeout=40,
        )  # fmt: skip
        assert json.loads(run.stdout)["target"] == "/curl", run.stderr


def test_who_connects_to_a_trusted_one_speaks_for_others(world, person, path):
    listener = local_listener(path, trusted=True)
    with world.gateway(world.routes(listeners=[listener])) as gateway:
        token = world.issuer.token(person)
        fields = [
            ("X-Forwarded-For", "192.0.2.1"),
            ("X-Forwarded-Proto", "https"),
            ("X-Request-Id", "theirs"),
        ]
        with LocalConnection(path) as connection:
            answer = connection.request("GET", "/trusted", person, token, fields)
            # A proxy without an address adds none.
            assert answer.seen("x-forwarded-for") == ["192.0.2.1"]
            assert answer.seen("x-forwarded-proto") == ["https"]
            assert answer.seen("x-request-id") == ["theirs"]
        assert gateway.logged(path="/trusted")["client"] == "192.0.2.1"


def test_a_trusted_one_takes_proxy_headers(world, person, path):
    listener = local_listener(path, trusted=True, proxyProtocol=True)
    with world.gateway(world.routes(listeners=[listener])):
        with LocalConnection(path) as connection:
            connection.send(b"PROXY TCP4 192.0.2.9 198.51.100.1 51234 443\r\n")
            answer = connection.request("GET", "/told", person, world.issuer.token(person))
            assert answer.seen("x-forwarded-for") == ["192.0.2.9"]


@pytest.mark.parametrize("given, mode", [(None, 0o660), ("0600", 0o600), ("666", 0o666)])
def test_its_files_mode_says_who_may_connect(world, path, given, mode):
    listener = local_listener(path) | ({"mode": given} if given else {})
    with world.gateway(world.routes(listeners=[listener])):
        assert stat.S_IMODE(path.stat().st_mode) == mode


def test_all_workers_take_its_connections(world, person, path):
    routes = world.routes(listeners=[local_listener(path)], workers=3)
    with world.gateway(routes):
        token = world.issuer.token(person)

        def one(number):
            with LocalConnection(path) as connection:
                return connection.request("GET", f"/n{number}", person, token).status

        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            assert set(pool.map(one, range(400))) == {200}


def test_what_a_dead_process_left_is_replaced(world, person, path):
    routes = world.routes(listeners=[local_listener(path)])
    gateway = world.start(routes)
    gateway.signal(signal.SIGKILL)
    gateway.wait()
    assert path.exists()
    with world.gateway(routes):
        with LocalConnection(path) as connection:
            answer = connection.request("GET", "/again", person, world.issuer.token(person))
            assert answer.status == 200
    assert not path.exists()


def test_a_live_one_is_left_alone(world, person, path):
    routes = world.routes(listeners=[local_listener(path)])
    with world.gateway(routes):
        second = world.start(world.routes(listeners=[local_listener(path)]), ready=None)
        assert second.wait() == 3
        assert f"listen unix:{path}: somebody answers there" in second.said()
        with LocalConnection(path) as connection:
            answer = connection.request("GET", "/first", person, world.issuer.token(person))
            assert answer.status == 200


def test_a_file_that_is_no_socket_is_left_alone(world, path):
    path.write_text("precious")
    gateway = world.start(world.routes(listeners=[local_listener(path)]), ready=None)
    assert gateway.wait() == 3
    assert f"listen unix:{path}: the file is no socket" in gateway.said()
    assert path.read_text() == "precious"


def test_somebody_elses_is_not_removed_at_the_end(world, path):
    with world.gateway(world.routes(listeners=[local_listener(path)])):
        path.unlink()
        other = socket.socket(socket.AF_UNIX)
        other.bind(str(path))
    assert path.exists()
    other.close()


def test_a_failed_start_leaves_nothing_behind(world, path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        listeners = [local_listener(path), {"address": f"127.0.0.1:{port}"}]
        gateway = world.start(world.routes(listeners=listeners), ready=None)
        assert gateway.wait() == 3
    assert not path.exists()


def reload(gateway, **changes):
    """Another routes file, taken up."""
    before = gateway.said().count("reloaded ")
    gateway.file.write_text(json.dumps(gateway.routes | changes))
    gateway.signal(signal.SIGHUP)
    until(lambda: gateway.said().count("reloaded ") > before, "the reload")


def test_a_reload_keeps_what_stays_and_closes_what_goes(world, person, path):
    other = pathlib.Path(f"{path}.other")
    stays = world.clear_listener
    with world.gateway(world.routes(listeners=[stays, local_listener(path)])) as gateway:
        token = world.issuer.token(person)
        kept = LocalConnection(path)
        assert kept.request("GET", "/before", person, token).status == 200
        inode = path.stat().st_ino
        both = gateway.routes["listeners"] + [local_listener(other) | {"name": "other"}]
        reload(gateway, listeners=both)
        assert path.stat().st_ino == inode
        assert kept.request("GET", "/after", person, token).status == 200
        for at in (path, other):
            with LocalConnection(at) as connection:
                assert connection.request("GET", "/new", person, token).status == 200
        reload(gateway, listeners=[both[0], both[2]])
        assert not path.exists() and not answers(path)
        assert kept.ended()
        reload(gateway, listeners=[both[0], both[2] | {"mode": "0600"}])
        assert stat.S_IMODE(other.stat().st_mode) == 0o600
    assert not other.exists()


# -- sockets of systemd's


class Activated(Gateway):
    """Started by systemd-socket-activate, at the first connection to one of `sockets`."""

    def __init__(self, folder, routes, sockets):
        names, places = zip(*sockets)
        script = pathlib.Path(folder, "activate.sh")
        words = [shutil.which("systemd-socket-activate"), f"--fdname={':'.join(names)}"]
        words += [f"--listen={place}" for place in places]
        words += ["-E", f"GATEWAY_SECRET={SECRET}", "-E", "SWIFT_BACKTRACE=enable=no"]
        # Nothing else of the environment is passed on.
        for name in {"ASAN_OPTIONS", "TSAN_OPTIONS"} & set(os.environ):
            words += ["-E", f"{name}={os.environ[name]}"]
        script.write_text(f'#!/bin/sh\nexec {" ".join(words)} {tollgate_binary()} "$@"\n')
        script.chmod(0o755)
        super().__init__(folder, routes, ready=None, binary=script)


def test_systemds_sockets_are_listeners(world, person, tmp_path, path):
    ports = [free_port(), free_port()]
    sockets = [
        ("web", f"127.0.0.1:{ports[0]}"),
        ("web", f"127.0.0.1:{ports[1]}"),
        ("local", str(path)),
        ("spare", f"127.0.0.1:{free_port()}"),
    ]
    listeners = [
        world.tls_listener | {"name": "web", "address": "systemd:web"},
        {"name": "local", "address": "systemd:local"},
    ]
    gateway = Activated(tmp_path, world.routes(listeners=listeners), sockets)
    try:
        gateway.wait_until(lambda: listens(ports[0]), "systemd-socket-activate")
        gateway.wait_until(lambda: gateway.admin("/readyz")[0] == 200, "/readyz")
        token = world.issuer.token(person)
        for port in ports:
            answer = ask(port, "GET", "/web", person, token, tls=world.tls)
            assert answer.seen("x-forwarded-proto") == ["https"]
        with LocalConnection(path) as connection:
            assert connection.request("GET", "/local", person, token).status == 200
        assert gateway.logged(path="/web")["listener"] == "web"
        said = gateway.said()
        assert f"listening at systemd:web (127.0.0.1:{ports[0]}" in said
        assert 'systemd passed a socket "spare" that no listener uses' in said

        # Gone in one reload, back in the next: systemd does not pass it again.
        reload(gateway, listeners=listeners[1:])
        with LocalConnection(path) as connection:
            assert connection.request("GET", "/still", person, token).status == 200
        reload(gateway, listeners=listeners)
        assert ask(ports[1], "GET", "/back", person, token, tls=world.tls).status == 200
        gateway.stop()
        # The file is systemd's.
        assert path.exists()
    finally:
        gateway.end()


def started_with(world, tmp_path, **variables):
    """What a gateway with a listener `systemd:web` says that is not activated."""
    routes = world.routes(listeners=[{"address": "systemd:web"}], admin="off")
    file = tmp_path / "routes.json"
    file.write_text(json.dumps(routes))
    env = environment(GATEWAY_SECRET=SECRET, **variables)
    program = Program([tollgate_binary(), "run", file], tmp_path, "tollgate", env=env)
    assert program.wait() == 3
    return program.said()


def test_sockets_that_were_not_passed_are_missed(world, tmp_path):
    said = started_with(world, tmp_path)
    assert "listen systemd:web: no socket was passed: LISTEN_FDS is not set" in said
    said = started_with(world, tmp_path, LISTEN_FDS="1", LISTEN_PID="1", LISTEN_FDNAMES="web")
    assert "another process's: LISTEN_PID is not ours" in said


def test_a_socket_of_another_name_is_not_taken(world, tmp_path):
    port = free_port()
    routes = world.routes(listeners=[{"name": "web", "address": "systemd:web"}])
    gateway = Activated(tmp_path, routes, [("other", f"127.0.0.1:{port}")])
    try:
        gateway.wait_until(lambda: listens(port), "systemd-socket-activate")
        assert gateway.wait() == 3
        assert 'no socket of this name; passed are "other"' in gateway.said()
    finally:
        gateway.end()


def test_a_check_needs_no_socket(world, tmp_path):
    routes = world.routes(listeners=[{"address": "systemd:web"}, {"address": "unix:x.sock"}])
    file = tmp_path / "routes.json"
    file.write_text(json.dumps(routes))
    env = environment(GATEWAY_SECRET=SECRET)
    run = subprocess.run([tollgate_binary(), "check", file], capture_output=True, env=env)
    assert run.returncode == 0, run.stderr
    assert not os.path.exists(tmp_path / "x.sock")
