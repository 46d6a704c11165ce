"""A new program takes over and dies: the old one serves again, and what waited is not lost. One
that stays, or ends in good order, does not bring it back.
"""

import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import ssl
import threading

import pytest
from harness.certificates import Certificate
from harness.client import Connection, ask, request_bytes
from harness.waiting import free_port, listens, until
from test_metrics import samples
from test_reload import replaced
from test_service_manager import Manager
from test_upgrade import FAKE, Line, by_unix_socket, ended, line, loaded, running

SERVES = """\
    channel.sendall(b'ready\\n'); text.readline(); channel.sendall(b'serving\\n')
"""

DEATHS = {
    "it dies at once": "    sys.exit(0)\n",
    "it is killed at once": "    os.kill(os.getpid(), signal.SIGKILL)\n",
    "it dies a second later": "    signal.alarm(1); wait()\n",
    "it hangs up": "    channel.close(); text.close(); wait()\n",
    "it hangs": "    wait()\n",
    "it says nonsense": "    channel.sendall(b'nonsense\\n'); wait()\n",
}


@pytest.fixture(scope="module")
def steady(world):
    """One that is left and taken back to again and again."""
    with contextlib.closing(ended(Line(world))) as line:
        yield line


def listening(pid):
    """How many of a process's descriptors are TCP sockets that listen."""
    lines = pathlib.Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]
    inodes = {fields[9] for fields in map(str.split, lines) if fields[3] == "0A"}
    names = [os.readlink(entry) for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir()]
    return sum(name.startswith("socket:[") and name[8:-1] in inodes for name in names)


@pytest.mark.parametrize("death", DEATHS)
def test_one_that_accepts_nothing_and_dies_costs_nothing(world, steady, death):
    """Under load, with nobody accepting between the two: every request waits, none is lost."""
    line = steady
    line.script(FAKE + SERVES + DEATHS[death])
    before, seen = listening(line.pid), len(line.said)
    with loaded(world, line.gateway.port) as load:
        os.kill(line.pid, signal.SIGUSR2)
        until(lambda: "has taken over" in line.said[seen:], f"the upgrade\n{line.said}", 30)
        started = re.search(r"process (\d+) was started to take over", line.said[seen:])
        line.taken_back(int(started.group(1)))
        load.more(200)
    assert line.gateway.running and not running(int(started.group(1)))
    assert listening(line.pid) == before, "none left open, and none less"


def lost_with_its_connection(line, load):
    """What the dead one had accepted may be lost; that a connection was refused may not."""
    assert not any(b"refused" in text for _, text in load.lost), load.lost
    assert {outcome for outcome, _ in load.lost} <= {"broken"}
    assert line.gateway.running


def test_one_that_is_killed_while_it_serves_costs_what_it_had_accepted(world, line):
    """Twice, then one that is well takes over for good."""
    callers = 3
    for number in range(2):
        # One request a caller, those with a connection each time and those that keep theirs.
        with loaded(world, line.gateway.port, callers=callers, lost_max=2 * callers) as load:
            line.upgrade()
            if number:
                load.more(100)
            line.kill()
            load.more(300, 2 * callers)
        lost_with_its_connection(line, load)
        assert line.gateway.admin("/readyz")[0] == 200
        found = samples(line.gateway)
        assert found['tollgate_failed_upgrades_total{outcome="taken-back"}'] == str(number + 1)
        assert found['tollgate_failed_upgrades_total{outcome="not-taken-over"}'] == "0"
    assert "signal 9 ended it" in line.said
    with loaded(world, line.gateway.port) as load:
        line.upgrade()
        line.gone(line.pids[0])
        load.more(200)


def freeze(pid):
    """Stops a process and waits until none of its threads runs any more."""
    os.kill(pid, signal.SIGSTOP)
    tasks = list(pathlib.Path(f"/proc/{pid}/task").iterdir())

    def states():
        return {(task / "stat").read_text().rsplit(")", 1)[1].split()[0] for task in tasks}

    until(lambda: states() == {"T"}, "all to stand still")


@pytest.mark.parametrize("before, after", [(1, 3), (3, 1), (2, 2)])
def test_what_waits_when_it_dies_is_served(world, before, after):
    """Two hundred callers of one that stands still, which is then killed, whichever worker's socket
    they came to."""
    count = 200
    with contextlib.closing(ended(Line(world, world.routes(workers=before)))) as line:
        token = world.issuer.token("waits")
        line.gateway.routes["workers"] = after
        line.gateway.file.write_text(json.dumps(line.gateway.routes))
        line.upgrade()
        freeze(line.pid)
        with contextlib.ExitStack() as closing:
            callers = []
            for _ in range(count):
                caller = closing.enter_context(Connection(line.gateway.port))
                caller.send(request_bytes("GET", "/x", "waits", token))
                callers.append(caller)
            line.kill()
            lost = sum(caller.answer("GET").status != 200 for caller in callers)
        print(f"{count} waited, {lost} lost; rate below {3 / count:.1e}")
        assert lost == 0


def test_one_that_dies_after_its_probation_brings_nobody_back(world, line, person):
    line.upgrade()
    line.gone(line.pids[0])
    assert f"process {line.pid} goes on alone" in line.said
    assert world.ask(line.gateway, "GET", "/x", person).status == 200
    os.kill(line.pid, signal.SIGKILL)
    until(lambda: not listens(line.gateway.port), "closed doors")
    assert not running(line.gateway.pid) and "did not last" not in line.said


@pytest.mark.parametrize("told", ["the old one", "the new one", "both"])
def test_an_end_in_good_order_is_the_end_of_both(world, line, person, told):
    """Requests under way at either are finished, and the old one is the last to go: whoever looks
    after it would take its end for the service's."""
    path = f"/slow/{person}"
    arrived, go = threading.Semaphore(0), threading.Event()

    @world.upstream.on(path)
    def behave(exchange):
        exchange.read_body()
        arrived.release()
        assert go.wait(60)
        exchange.answer(200, b"late")

    token = world.issuer.token(person)
    with Connection(line.gateway.port) as first:
        first.send(request_bytes("POST", path, person, token, body=b"b"))
        assert arrived.acquire(timeout=10)
        line.upgrade()
        with Connection(line.gateway.port) as second:
            second.send(request_bytes("POST", path, person, token, body=b"b"))
            assert arrived.acquire(timeout=10)
            old, new = line.pids
            for pid in {"the old one": [old], "the new one": [new], "both": [new, old]}[told]:
                os.kill(pid, signal.SIGTERM)
            ending = f"ending, and process {new} is as well"
            until(lambda: ending in line.said, f"the end\n{line.said}")
            until(lambda: not listens(line.gateway.port), "closed doors")
            assert running(old) and running(new)
            go.set()
            for connection in (first, second):
                answer = connection.answer("POST")
                assert (answer.status, answer.body) == (200, b"late")
    line.gone(old)
    assert not running(new)
    assert "did not last" not in line.said and "are cut" not in line.said


def test_whoever_is_told_twice_ends_at_once(world, line, person):
    path = f"/never/{person}"
    arrived, go = threading.Event(), threading.Event()

    @world.upstream.on(path)
    def behave(exchange):
        arrived.set()
        go.wait(60)

    line.upgrade()
    token = world.issuer.token(person)
    with Connection(line.gateway.port) as caller:
        caller.send(request_bytes("GET", path, person, token))
        assert arrived.wait(10)
        os.kill(line.pids[0], signal.SIGTERM)
        until(lambda: "is as well" in line.said, "the end")
        os.kill(line.pids[0], signal.SIGTERM)
        line.gone(line.pids[0])
        assert not running(line.pids[1])
        go.set()


def write(line, routes):
    replaced(line.gateway.file, json.dumps(line.gateway.routes | routes).encode())


def test_a_reload_that_is_asked_for_meanwhile_is_not_forgotten(world, line, person):
    """By whoever is left: the old one when it is back, or the new one when it goes on alone."""
    for kills in (True, False):
        name = "back" if kills else "alone"
        line.upgrade()
        write(line, world.routes(world.route(f"/{name}/*")))
        for pid in line.pids[-2:]:
            os.kill(pid, signal.SIGHUP)
        if kills:
            line.kill()
        else:
            line.gone(line.pids[-2])
        former = "/alone/1" if kills else "/back/1"
        until(lambda: world.ask(line.gateway, "GET", former, person).status == 404, "routes")
        assert world.ask(line.gateway, "GET", f"/{name}/1", person).status == 200


def test_one_told_to_end_before_it_serves_takes_nobody_with_it(world, line, person):
    """It is no part of the service yet: whoever ends it takes the upgrade back."""
    os.kill(line.pid, signal.SIGUSR2)
    until(lambda: line.said.count("issuer corp: 1 key") == 2, "one that is ready", 30)
    # Some of the two seconds go by for which it is looked on before it is told to serve.
    for _ in range(20):
        assert world.ask(line.gateway, "GET", "/x", person).status == 200
    new = int(re.search(r"process (\d+) was started to take over", line.said).group(1))
    os.kill(new, signal.SIGTERM)
    until(lambda: "this process goes on" in line.said, f"the refusal\n{line.said}", 30)
    assert not running(new) and "has taken over" not in line.said
    assert world.ask(line.gateway, "GET", "/x", person).status == 200


def test_logs_that_are_rotated_meanwhile_are_opened_anew_by_both(world, line, person):
    """Whoever rotates them knows the old one, and its word is for both."""
    line.upgrade()
    file = line.gateway.log_file
    file.rename(file.with_suffix(".1"))
    os.kill(line.pids[0], signal.SIGUSR1)
    line.gone(line.pids[0])
    assert world.ask(line.gateway, "GET", f"/rotated/{person}", person).status == 200
    assert line.gateway.logged(path=f"/rotated/{person}")["status"] == 200


def test_reloads_over_the_admin_address_wait_until_one_is_left(world, line, person):
    line.upgrade()
    write(line, world.routes(world.route("/new/*")))
    answer = ask(line.gateway.admin_port, "POST", "/reload")
    assert answer.status == 200 and b"+ route /new/*" in answer.body, answer.body
    assert f"process {line.pid} goes on alone" in line.said


def test_one_whose_predecessor_is_killed_meanwhile_waits_for_nobody(world, line, person):
    line.upgrade()
    line.gateway.process.kill()
    line.gateway.process.wait(10)
    line.pids.pop(0)
    write(line, world.routes(world.route("/new/*")))
    os.kill(line.pid, signal.SIGHUP)
    until(lambda: world.ask(line.gateway, "GET", "/x", person).status == 404, "the reload")
    assert world.ask(line.gateway, "GET", "/new/1", person).status == 200


def test_a_second_upgrade_meanwhile_is_the_new_ones_when_it_is_alone(world, line, person):
    line.upgrade()
    os.kill(line.pids[0], signal.SIGUSR2)  # of no meaning: it has handed over
    line.upgrade()
    assert line.said.count("was started to take over") == 2
    # And back to the second.
    line.kill()
    assert world.ask(line.gateway, "GET", "/x", person).status == 200
    line.gone(line.pids[0])


def test_doors_of_all_kinds_are_open_again(world):
    """A unix socket with its file and its mode, and the address for probes; and a door that the new
    one does not have was never closed."""
    path = world.folder / f"door-{free_port()}.sock"
    unix = {"name": "unix", "address": f"unix:{path}", "mode": "0600"}
    more = {"name": "more", "address": f"127.0.0.1:{free_port()}"}
    admin = {"address": "127.0.0.1:0", "probes": f"127.0.0.1:{free_port()}"}
    probes = int(admin["probes"].rpartition(":")[2])
    routes = world.routes(listeners=[world.clear_listener, unix, more], admin=admin)
    with contextlib.closing(ended(Line(world, routes))) as line:
        token = world.issuer.token("unix")
        port = line.gateway.ports["more"]

        def serves():
            assert b" 200 " in by_unix_socket(path, token)
            assert ask(port, "GET", "/x", "unix", token).status == 200
            assert ask(probes, "GET", "/livez").status == 200
            assert line.gateway.live()

        before = os.stat(path)
        listeners = line.gateway.routes["listeners"]
        for changed in (
            [listeners[0], unix | {"mode": "0666"}],
            [listeners[0], more | {"address": f"127.0.0.1:{port}"}],
        ):
            write(line, {"listeners": changed})
            line.upgrade()
            serves()
            line.kill()
            serves()
            after = os.stat(path)
            assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)
        # Where the new one stays, what it has no use for is closed, and its file removed.
        line.upgrade()
        line.gone(line.pids[0])
        assert listens(port) and not path.exists()


def test_sessions_that_began_with_either_are_resumed(world):
    context = ssl.create_default_context(cadata=world.authority.pem.decode())
    routes = world.routes(listeners=[world.tls_listener])
    with contextlib.closing(ended(Line(world, routes))) as line:
        token = world.issuer.token("resumes")

        def connect(session):
            with Connection(line.gateway.port, context, session=session) as connection:
                answer = connection.request("GET", "/x", "resumes", token)
                assert answer.status == 200
                return connection.socket.session_reused, connection.socket.session

        _, first = connect(None)
        line.upgrade()
        _, second = connect(None)
        line.kill()
        assert connect(first)[0] and connect(second)[0]


def test_changed_files_are_seen_again(world, person, tmp_path):
    """The kernel's word of them, and the looks, of the one that is back."""
    pairs = [Certificate(["localhost", "127.0.0.1"], issuer=world.authority) for _ in range(3)]
    files = pairs[0].write(tmp_path, "api")
    listener = {"name": "tls", "address": "127.0.0.1:0", "tls": {"certificates": [files]}}
    with contextlib.closing(ended(Line(world, world.routes(listeners=[listener])))) as line:

        def serial():
            with Connection(line.gateway.port, world.tls) as connection:
                return int(connection.socket.getpeercert()["serialNumber"], 16)

        def replace(pair):
            replaced(files["chain"], pair.chain_pem)
            replaced(files["key"], pair.key_pem)

        line.upgrade()
        replace(pairs[1])  # while nobody looks
        line.kill()
        until(lambda: serial() == pairs[1].certificate.serial_number, "the second", 20)
        replace(pairs[2])
        until(lambda: serial() == pairs[2].certificate.serial_number, "the third", 20)


def test_the_service_manager_keeps_its_main_process_until_the_other_stays(world, tmp_path):
    """A main process that dies is the service's end for systemd, whatever another one does."""
    manager = Manager(os.fsencode(tmp_path / "notify"))
    environ = {"NOTIFY_SOCKET": manager.name}
    with contextlib.closing(ended(Line(world, environ=environ))) as line:
        assert manager.next()["READY"] == "1"
        line.upgrade()
        # Neither of the two has said anything yet.
        manager.socket.setblocking(False)
        with pytest.raises(BlockingIOError):
            manager.next()
        manager.socket.settimeout(20)
        line.kill()
        messages = [manager.next(), manager.next()]
        assert {message["from"] for message in messages} == {line.gateway.pid}
        assert messages[0]["MAINPID"] == str(line.gateway.pid)
        assert messages[1]["READY"] == "1" and "taken back" in messages[1]["STATUS"]
        line.upgrade()
        os.kill(line.gateway.pid, signal.SIGTERM)
        line.gone(line.gateway.pid)
        told = [manager.next() for _ in range(2)]
        assert all(message["STOPPING"] == "1" for message in told)
        assert {message["from"] for message in told} == set(line.pids)
    manager.close()
