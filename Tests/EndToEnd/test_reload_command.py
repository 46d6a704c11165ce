"""Reloads that are asked for and waited for: `tollgate reload`, `POST /reload`, and `--watch`; and
`tollgate health`, and what the admin address says of the configuration that runs."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import threading
import time

import pytest
from harness.certificates import Certificate
from harness.issuer import AUDIENCE, Issuer
from harness.program import environment, status_of, tollgate_binary
from harness.waiting import free_port, listens, until
from harness.world import SECRET


def tollgate(*arguments, env=None, cwd=None):
    return subprocess.run(
        [tollgate_binary(), *map(str, arguments)],
        capture_output=True, text=True, timeout=60, env=env or environment(), cwd=cwd,
    )  # fmt: skip


def admin_of(gateway):
    return f"127.0.0.1:{gateway.admin_port}"


def write(gateway, routes):
    """Puts a routes file in place with this gateway's listeners, log and admin address."""
    kept = {name: gateway.routes[name] for name in ("listeners", "accessLog", "admin")}
    gateway.routes = kept | routes
    gateway.file.write_text(json.dumps(gateway.routes, indent=2))


@pytest.fixture
def gateway(world):
    with world.gateway(world.routes(world.route("/x/*"))) as gateway:
        yield gateway


def metric(gateway, name):
    lines = gateway.admin("/metrics")[1].splitlines()
    found = [line for line in lines if line.startswith(name) and line[len(name)] in " {"]
    assert len(found) == 1, name
    return found[0]


def number(gateway, name):
    return float(metric(gateway, name).split()[-1])


# -- tollgate reload


def test_the_outcome_is_waited_for_and_says_what_changed(world, gateway, person):
    other = world.route("/new/*", name="new-one")
    more = {"issuers": {"second": {"issuer": world.issuer.url + "/2", "audiences": ["a"],
                                   "jwks": world.issuer.url + "/jwks"}}}  # fmt: skip
    write(gateway, world.routes(world.route("/x/*", limits={"body": "1MiB"}), other, **more))
    run = tollgate("reload", admin_of(gateway))
    assert run.returncode == 0, run.stderr
    lines = [line.strip() for line in run.stdout.splitlines()]
    assert {"~ route /x/*", "+ route new-one", "+ issuer second"} <= set(lines)
    assert not any("workers" in line or "exchange" in line for line in lines)
    # It is in effect when the command ends.
    assert world.ask(gateway, "GET", "/new/1", person).status == 200
    write(gateway, world.routes(world.route("/x/*", limits={"body": "1MiB"})))
    run = tollgate("reload", f"http://{admin_of(gateway)}")
    assert "- route new-one" in run.stdout and "- issuer second" in run.stdout
    assert world.ask(gateway, "GET", "/new/1", person).problem == "no_route"
    until(lambda: run.stdout.strip() in gateway.err.read_text(), "the same in what it says")


def test_listeners_and_replaced_files_are_among_what_changed(world, tmp_path, person):
    first = Certificate(["localhost"], issuer=world.authority)
    second = Certificate(["localhost"], issuer=world.authority)
    files = first.write(tmp_path, "one")
    tls = {"name": "tls", "address": "127.0.0.1:0", "tls": {"certificates": [files]}}
    with world.gateway(world.routes(listeners=[world.clear_listener, tls])) as gateway:
        for name, content in (("chain", second.chain_pem), ("key", second.key_pem)):
            with open(files[name], "wb") as file:
                file.write(content)
        port = free_port()
        gateway.routes["listeners"].append({"name": "more", "address": f"127.0.0.1:{port}"})
        gateway.file.write_text(json.dumps(gateway.routes))
        run = tollgate("reload", admin_of(gateway))
        assert run.returncode == 0, run.stderr
        lines = {line.strip() for line in run.stdout.splitlines()}
        assert "+ listener more" in lines
        # Files are taken up by themselves as well, and may have been before anybody asked.
        lines |= {line.strip() for line in gateway.err.read_text().splitlines()}
        assert {f"~ file {files['chain']}", f"~ file {files['key']}"} <= lines
        assert listens(port)


def test_mistakes_are_printed_as_check_prints_them(world, gateway, person):
    text = gateway.file.read_text()
    gateway.file.write_text(text.replace('"audience"', '"audiance"'))
    checked = tollgate("check", gateway.file, env=environment(GATEWAY_SECRET=SECRET))
    assert checked.returncode == 1
    run = tollgate("reload", admin_of(gateway))
    assert run.returncode == 1
    assert checked.stderr.strip() in run.stderr
    assert 'did you mean "audience"?' in run.stderr and "^~~~" in run.stderr
    assert world.ask(gateway, "GET", "/x/1", person).status == 200
    gateway.file.write_text(text)
    assert tollgate("reload", admin_of(gateway)).returncode == 0


def test_an_address_in_use_is_a_failure_of_its_own_kind(world, gateway, person):
    with world.gateway(world.routes(world.route("/x/*"))) as other:
        taken = {"name": "taken", "address": f"127.0.0.1:{other.port}"}
        kept = gateway.routes["listeners"]
        gateway.routes["listeners"] = kept + [taken]
        gateway.file.write_text(json.dumps(gateway.routes))
        run = tollgate("reload", admin_of(gateway))
        assert run.returncode == 3 and "EADDRINUSE" in run.stderr
        assert str(other.port) in run.stderr
        assert world.ask(gateway, "GET", "/x/1", person).status == 200


def test_a_gateway_that_is_not_there_is_named():
    port = free_port()
    for command in ("reload", "health"):
        run = tollgate(command, f"127.0.0.1:{port}")
        assert run.returncode == 3 and f"127.0.0.1:{port}" in run.stderr
        for wrong in (["nonsense:x"], ["a", "b"], ["https://127.0.0.1:1"]):
            assert tollgate(command, *wrong).returncode == 2


# -- which gateway is asked where nobody says


ASKING = (["reload"], ["health"], ["top", "--once"])


def test_the_gateway_of_the_routes_file_here_is_asked(world, gateway):
    """Without the secrets that the rest of the file needs: they are the gateway's."""
    for command in ASKING:
        run = tollgate(*command, cwd=gateway.folder)
        assert run.returncode == 0, (command, run.stderr)
    assert gateway.err.read_text().count("reloading") == 1
    # A mistake elsewhere is the gateway's to tell of.
    gateway.file.write_text(gateway.file.read_text().replace('"audience"', '"audiance"'))
    run = tollgate("reload", cwd=gateway.folder)
    assert run.returncode == 1 and 'did you mean "audience"?' in run.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "localhost", "127.0.0.1"])
def test_an_address_for_all_is_asked_over_loopback(world, tmp_path, host):
    port = free_port()
    routes = world.routes(admin={"address": f"{host}:{port}"})
    with world.gateway(routes) as gateway:
        text = json.dumps(gateway.routes).replace(str(port), "${ADMIN_PORT}")
        (tmp_path / "routes.json").write_text("// As people write it.\n" + text)
        env = environment(ADMIN_PORT=str(port))
        for command in ASKING[1:]:
            run = tollgate(*command, cwd=tmp_path, env=env)
            assert run.returncode == 0, (command, run.stderr)


def test_who_can_not_be_asked_is_told_of_with_the_file(tmp_path):
    port = free_port()
    cases = {
        '{"admin": "off"}': 'routes.json says "admin": "off"',
        '{"admin": {"address": "127.0.0.1:0"}}': "leaves the port of admin.address to the system",
        f'{{"admin": {{"address": "127.0.0.1:{port}"}}}}':
            f"127.0.0.1:{port} (admin.address of routes.json)",
    }  # fmt: skip
    for text, word in cases.items():
        (tmp_path / "routes.json").write_text(text)
        for command in ASKING:
            run = tollgate(*command, cwd=tmp_path)
            assert run.returncode == 3 and word in run.stderr, (text, command, run)
            assert run.stdout == ""


@pytest.mark.parametrize(
    "text, word",
    [
        ("{", "routes.json:1:"),
        ("[]", "routes.json:1:1: expected an object"),
        ('{"admin": {"adress": "127.0.0.1:1"}}', 'did you mean "address"?'),
        ('{"admin": {"address": "nowhere"}}', "admin.address: expected an address"),
        ('{"admin": {"address": "127.0.0.1:${NOT_SET}"}}', '"NOT_SET" is not set'),
    ],
)
def test_a_file_that_can_not_tell_is_complained_of_and_the_usual_address_asked(
    tmp_path, text, word
):
    (tmp_path / "routes.json").write_text(text)
    run = tollgate("health", cwd=tmp_path)
    assert word in run.stderr and "asking the usual address, 127.0.0.1:9901" in run.stderr


def test_many_who_ask_at_once_are_all_told(world, gateway):
    results = []

    def ask():
        results.append(gateway.admin("/reload", "POST"))

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(results) == 20
    assert all(status == 200 and "reloaded" in body for status, body in results), results


# -- POST /reload


def test_pages_of_elsewhere_cannot_reload(gateway):
    own = admin_of(gateway)
    cases = (
        ({}, 200),
        ({"Origin": f"http://{own}"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": f"https://{own}"}, 403),
        ({"Origin": "http://127.0.0.1"}, 403),
        ({"Origin": "http://evil.example", "Host": "evil.example"}, 421),
        ({"Origin": "http://evil.example:80", "Host": f"localhost:{gateway.admin_port}"}, 403),
    )
    for fields, status in cases:
        seen = gateway.err.read_text().count("reloading")
        answer = gateway.admin("/reload", "POST", headers=fields)
        assert answer[0] == status, (fields, answer)
        assert gateway.err.read_text().count("reloading") == seen + (status == 200)
    assert gateway.admin("/reload")[0] == 405
    assert gateway.admin("/reload", "HEAD")[0] == 405


def test_probes_cannot_reload(world):
    probes = free_port()
    admin = {"address": "127.0.0.1:0", "probes": f"127.0.0.1:{probes}"}
    with world.gateway(world.routes(admin=admin)) as gateway:
        run = tollgate("reload", f"127.0.0.1:{probes}")
        assert run.returncode == 3 and "Not found" in run.stderr
        assert tollgate("health", f"127.0.0.1:{probes}").returncode == 0
        assert "reloading" not in gateway.err.read_text()


# -- what runs


def test_the_admin_address_says_what_runs_and_no_secret(world, person):
    routes = world.routes(world.route("/x/*"))
    literal = "a-literal-secret-of-the-file"
    routes["exchanges"]["corp"]["client"]["secret"] = literal
    secret, world.tokens.secret = world.tokens.secret, literal
    try:
        with world.gateway(routes) as gateway:
            assert world.ask(gateway, "GET", "/x/1", person).status == 200
            status, text = gateway.admin("/config")
            shown = json.loads(text)
            assert status == 200 and literal not in text
            assert shown["config"]["routes"][0]["match"]["path"] == "/x/*"
            assert shown["digest"] == gateway.logged(path="/x/1")["config"]
            assert f'digest="{shown["digest"]}"' in metric(gateway, "tollgate_config_info")
            # What lies on the disk is not what runs.
            write(gateway, routes | {"routes": [world.route("/new/*")]})
            assert json.loads(gateway.admin("/config")[1]) == shown
            assert tollgate("reload", admin_of(gateway)).returncode == 0
            after = json.loads(gateway.admin("/config")[1])
            assert after["config"]["routes"][0]["match"]["path"] == "/new/*"
            assert after["digest"] != shown["digest"] and after["since"] > shown["since"]
    finally:
        world.tokens.secret = secret


def test_a_reload_that_failed_is_in_the_metrics_until_one_succeeds(world, gateway):
    success = "tollgate_config_last_reload_successful"
    since = "tollgate_config_last_reload_success_timestamp_seconds"
    assert number(gateway, success) == 1
    began, info = number(gateway, since), metric(gateway, "tollgate_config_info")
    assert began > 1_700_000_000
    text = gateway.file.read_text()
    gateway.file.write_text("{")
    assert tollgate("reload", admin_of(gateway)).returncode == 1
    assert number(gateway, success) == 0 and number(gateway, since) == began
    assert metric(gateway, "tollgate_config_info") == info
    assert json.loads(gateway.admin("/config")[1])["lastReloadSuccessful"] is False
    gateway.file.write_text(text)
    assert tollgate("reload", admin_of(gateway)).returncode == 0
    assert number(gateway, success) == 1 and number(gateway, since) > began


def test_a_reload_that_changes_nothing_is_a_success_like_any_other(gateway):
    """As Prometheus has it: the time is that of the last success, and not that of a change."""
    since = "tollgate_config_last_reload_success_timestamp_seconds"
    before, info = number(gateway, since), metric(gateway, "tollgate_config_info")
    run = tollgate("reload", admin_of(gateway))
    assert run.returncode == 0 and "it says the same as before" in run.stdout
    assert number(gateway, since) > before
    assert metric(gateway, "tollgate_config_info") == info
    shown = json.loads(gateway.admin("/config")[1])["since"]
    assert shown.startswith(time_of(number(gateway, since)))


def time_of(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


# -- tollgate health


def test_health_says_what_is_missing(world):
    source = Issuer()
    source.broken = (503, b"{}")
    settings = {"issuer": source.url, "audiences": [AUDIENCE]}
    try:
        with world.gateway(
            world.routes(issuers={"late-one": settings}), ready="listening"
        ) as gateway:
            until(lambda: source.fetched() >= 1, "the keys to be asked for")
            run = tollgate("health", admin_of(gateway))
            assert run.returncode == 1 and "late-one" in run.stderr
            assert "corp" not in run.stderr
            source.broken = None
            until(lambda: tollgate("health", admin_of(gateway)).returncode == 0, "readiness")
    finally:
        source.close()


def test_health_says_where_no_gateway_can_be_asked(world, gateway):
    address = f"127.0.0.1:{gateway.port}"
    run = tollgate("health", address)
    assert run.returncode == 3 and run.stdout == ""
    assert run.stderr.startswith(f"tollgate health: {address} is no gateway's admin address: it ")


# -- --watch


@pytest.fixture
def watching(world, tmp_path):
    """Starts a gateway that watches its routes file; `wrapper` stands before its command."""
    from harness.program import Program

    started = []

    def start(path, wrapper=(), **more):
        command = [*wrapper, tollgate_binary(), "run", path, "--watch"]
        env = environment(GATEWAY_SECRET=SECRET)
        program = Program(command, tmp_path, f"watching-{len(started)}", env=env, **more)
        started.append(program)
        program.wait_until(lambda: "listening at" in program.err.read_text(), "the listener")
        return program

    yield start
    for program in started:
        assert program.end() == 0, program.said()


def text_of(world, port, path):
    routes = world.routes(world.route(path))
    routes |= {"listeners": [{"address": f"127.0.0.1:{port}"}], "admin": "off",
               "accessLog": "off"}  # fmt: skip
    return json.dumps(routes)


def status(port, path):
    from harness.client import ask

    return ask(port, "GET", path).status


def awaits(port, path):
    # 401: a route has it and wants a token.
    until(lambda: status(port, path) == 401, f"{path} to be routed", 20)


def test_a_file_that_changes_while_a_new_process_takes_over_is_taken_up(
    world, watching, tmp_path
):
    port, file = free_port(), tmp_path / "routes.json"
    file.write_text(text_of(world, port, "/one"))
    program = watching(file)
    awaits(port, "/one")
    os.kill(program.pid, signal.SIGUSR2)
    started = until(
        lambda: re.search(r"process (\d+) was started to take over", program.err.read_text()),
        "the new one", 20,
    )  # fmt: skip
    tasks = pathlib.Path(f"/proc/{started[1]}/task")
    # It has read its file when it has workers.
    until(lambda: any("worker" in (task / "comm").read_text() for task in tasks.iterdir()),
          "its workers", 20)  # fmt: skip
    file.write_text(text_of(world, port, "/two"))
    until(lambda: "goes on alone" in program.err.read_text(), "the takeover", 30)
    try:
        awaits(port, "/two")
    finally:
        os.kill(int(started[1]), signal.SIGTERM)


def test_a_file_that_is_written_or_renamed_into_its_place_is_taken_up(world, watching, tmp_path):
    port, file = free_port(), tmp_path / "routes.json"
    file.write_text(text_of(world, port, "/one"))
    program = watching(file)
    awaits(port, "/one")
    file.write_text(text_of(world, port, "/two"))
    awaits(port, "/two")
    for name in ("/three", "/four"):
        beside = tmp_path / "routes.json.tmp"
        beside.write_text(text_of(world, port, name))
        os.replace(beside, file)
        awaits(port, name)
    # One that is broken, or gone for a while, is told of and changes nothing.
    file.write_text("{")
    until(lambda: "nothing has changed" in program.err.read_text(), "the refusal")
    file.unlink()
    file.write_text(text_of(world, port, "/five"))
    awaits(port, "/five")


def test_a_config_map_that_is_swapped_is_taken_up(world, watching, tmp_path):
    """Kubernetes: routes.json -> ..data/routes.json, ..data -> a folder that is replaced."""
    port, volume = free_port(), tmp_path / "volume"
    volume.mkdir()

    def put(name, path):
        (volume / name).mkdir()
        (volume / name / "routes.json").write_text(text_of(world, port, path))
        beside = volume / "..data_tmp"
        beside.symlink_to(name)
        os.replace(beside, volume / "..data")

    put("..one", "/one")
    (volume / "routes.json").symlink_to("..data/routes.json")
    watching(volume / "routes.json")
    awaits(port, "/one")
    put("..two", "/two")
    shutil.rmtree(volume / "..one")
    awaits(port, "/two")


def test_a_folder_that_another_takes_the_place_of_is_watched_on(world, watching, tmp_path):
    port, folder = free_port(), tmp_path / "folder"

    def made(name, path):
        (tmp_path / name).mkdir()
        (tmp_path / name / "routes.json").write_text(text_of(world, port, path))

    made("folder", "/one")
    program = watching(folder / "routes.json")
    awaits(port, "/one")
    made("next", "/two")
    folder.rename(tmp_path / "former")
    (tmp_path / "next").rename(folder)
    awaits(port, "/two")
    # It is the folder there that counts, also for what is done in it from then on.
    (folder / "routes.json").write_text(text_of(world, port, "/three"))
    awaits(port, "/three")
    assert inode_of(folder) in watched_by(program.pid)
    assert inode_of(tmp_path / "former") not in watched_by(program.pid)


def inode_of(folder):
    return os.stat(folder).st_ino


def watched_by(pid):
    """The folders that the kernel tells this process of, by their inodes."""
    found = set()
    for file in pathlib.Path(f"/proc/{pid}/fdinfo").iterdir():
        with contextlib.suppress(OSError):
            for ino in re.findall(r"^inotify wd:\S+ ino:(\w+)", file.read_text(), re.M):
                found.add(int(ino, 16))
    return found


@pytest.mark.skipif(not shutil.which("strace"), reason="there is no strace")
def test_the_kernel_wakes_the_gateway_when_a_file_changes(world, watching, tmp_path):
    """It looks now and then all the same, so what it was woken by is in the trace."""
    port, file, trace = free_port(), tmp_path / "routes.json", tmp_path / "trace"
    file.write_text(text_of(world, port, "/0"))
    program = watching(file)
    awaits(port, "/0")
    assert inode_of(tmp_path) in watched_by(program.pid)
    command = ["strace", "-qq", "-o", trace, "-e", "trace=rt_sigtimedwait", "-p", program.pid]
    tracer = subprocess.Popen([str(word) for word in command], stderr=subprocess.PIPE)
    try:
        until(lambda: tracer.poll() is not None or status_of(program.pid, "TracerPid"), "strace")
        if tracer.poll() is not None:
            pytest.skip(f"strace does not work here: {tracer.stderr.read()!r}")
        for number in range(1, 4):
            beside = tmp_path / "beside"
            beside.write_text(text_of(world, port, f"/{number}"))
            os.replace(beside, file)
            awaits(port, f"/{number}")
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(10)
        tracer.stderr.close()
    # A look now and then may have come before it, and not each time.
    assert "= 29 (SIGIO)" in trace.read_text()


def test_files_that_are_changed_one_after_the_other_are_taken_up_together(
    world, watching, tmp_path
):
    """A certificate and then its key: what lies there in between is wrong."""
    port, file = free_port(), tmp_path / "routes.json"
    pairs = [Certificate(["localhost"], issuer=world.authority) for _ in range(4)]
    files = pairs[0].write(tmp_path, "api")
    routes = json.loads(text_of(world, port, "/one"))
    routes["listeners"][0]["tls"] = {"certificates": [files]}
    file.write_text(json.dumps(routes))
    program = watching(file)
    for number, pair in enumerate(pairs[1:], 1):
        pathlib.Path(files["chain"]).write_bytes(pair.chain_pem)
        pathlib.Path(files["key"]).write_bytes(pair.key_pem)
        until(lambda: program.err.read_text().count("reloaded") == number, "the reload")
    # The look now and then may fall in between, and not each time.
    assert program.err.read_text().count("nothing has changed") <= 1


def test_a_file_whose_times_tell_nothing_is_read_now_and_then(world, watching, tmp_path):
    """Same file, same size, same time of change of its content: some mounts tell no more."""
    port, file = free_port(), tmp_path / "routes.json"
    file.write_text(text_of(world, port, "/one"))
    before = os.stat(file)
    watching(file)
    awaits(port, "/one")
    with open(file, "r+") as same:
        same.write(text_of(world, port, "/two"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    awaits(port, "/two")


def can_mount():
    return os.geteuid() == 0 and shutil.which("unshare") is not None


@pytest.mark.skipif(not can_mount(), reason="nothing can be mounted here")
def test_a_single_file_that_is_mounted_is_taken_up_when_it_is_written(world, watching, tmp_path):
    """docker run -v ./routes.json:/etc/tollgate/routes.json: of the folder nothing is heard."""
    port, file, inside = free_port(), tmp_path / "outside.json", tmp_path / "inside.json"
    file.write_text(text_of(world, port, "/one"))
    inside.write_text("")
    mounting = f'mount --bind "{file}" "{inside}" && exec "$@"'
    tried = subprocess.run(["unshare", "-m", "sh", "-c", f'mount --bind "{file}" "{inside}"'],
                           capture_output=True)  # fmt: skip
    if tried.returncode:
        pytest.skip("nothing can be mounted here")
    watching(inside, wrapper=["unshare", "-m", "sh", "-c", mounting, "sh"])
    awaits(port, "/one")
    file.write_text(text_of(world, port, "/two"))
    awaits(port, "/two")
