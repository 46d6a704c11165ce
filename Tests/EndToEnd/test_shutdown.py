"""The end: what was accepted is finished, then the process ends with status 0."""

import signal
import socket
import threading

import pytest
from harness.client import Connection, request_bytes
from harness.waiting import until


def in_flight(world, gateway, person, path, tls=None):
    """A request whose answer waits for `gate`."""
    arrived, gate = threading.Event(), threading.Event()

    @world.upstream.on(path)
    def behaviour(exchange):
        exchange.read_body()
        arrived.set()
        gate.wait(30)
        exchange.answer(200, b"finished" * 1000)

    connection = Connection(gateway.port, tls)
    connection.send(request_bytes("POST", path, person, world.issuer.token(person), body=b"b"))
    assert arrived.wait(10)
    return connection, gate


def refuses(port):
    try:
        with socket.create_connection(("127.0.0.1", port), 2) as probe:
            probe.settimeout(2)
            probe.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            return not probe.recv(100)
    except OSError:
        return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("with_tls", [False, True], ids=["clear", "tls"])
def test_accepted_requests_finish(world, person, number, with_tls):
    listener = world.tls_listener if with_tls else world.clear_listener
    gateway = world.start(world.routes(listeners=[listener]))
    try:
        connection, gate = in_flight(
            world, gateway, person, "/in-flight", world.tls if with_tls else None
        )
        gateway.signal(number)
        until(lambda: refuses(gateway.port), "the listener to close")
        assert gateway.running
        gate.set()
        answer = connection.answer("POST")
        assert (answer.status, answer.body) == (200, b"finished" * 1000)
        assert answer.value("connection") == "close" or connection.ended()
        assert gateway.wait() == 0, gateway.said()
        connection.close()
        world.look_for_secrets(gateway)
        assert gateway.logged(path="/in-flight")["status"] == 200
    finally:
        gateway.end()


def test_a_download_under_way_is_finished_whole(world, person):
    gate = threading.Event()

    @world.upstream.on("/long-download")
    def behaviour(exchange):
        exchange.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        gate.wait(30)
        exchange.send(b"4\r\nlast\r\n0\r\n\r\n")

    gateway = world.start()
    try:
        with Connection(gateway.port) as connection:
            token = world.issuer.token(person)
            connection.send(request_bytes("GET", "/long-download", person, token))
            head = connection.head()
            assert head.status == 200
            gateway.signal(signal.SIGTERM)
            until(lambda: refuses(gateway.port), "the listener to close")
            gate.set()
            connection.chunked(head)
            assert head.body == b"firstlast"
        assert gateway.wait() == 0, gateway.said()
    finally:
        gateway.end()


def test_idle_connections_are_ended(world, person):
    gateway = world.start()
    try:
        connections = [Connection(gateway.port) for _ in range(10)]
        token = world.issuer.token(person)
        for connection in connections[:8]:
            assert connection.request("GET", "/x", person, token).status == 200
        gateway.signal(signal.SIGTERM)
        for connection in connections:
            assert connection.ended(10)
            connection.close()
        assert gateway.wait() == 0, gateway.said()
    finally:
        gateway.end()


def test_readiness_fails_before_the_listener_closes(world, person):
    gateway = world.start(world.routes(shutdown={"delay": "2s"}))
    try:
        gateway.signal(signal.SIGTERM)
        until(lambda: gateway.admin("/readyz")[0] == 503, "readiness to fail", 2)
        assert world.ask(gateway, "GET", "/still", person).status == 200
        assert gateway.wait() == 0, gateway.said()
    finally:
        gateway.end()


def test_what_takes_too_long_is_cut(world, person):
    gateway = world.start(world.routes(shutdown={"grace": "300ms"}))
    try:
        connection, gate = in_flight(world, gateway, person, "/too-long")
        gateway.signal(signal.SIGTERM)
        status = gateway.wait(10)
        gate.set()
        assert status == 0, gateway.said()
        connection.close()
    finally:
        gateway.end()


def test_a_second_signal_ends_at_once(world, person):
    gateway = world.start()
    try:
        connection, gate = in_flight(world, gateway, person, "/second")
        gateway.signal(signal.SIGTERM)
        until(lambda: refuses(gateway.port), "the listener to close")
        assert gateway.running
        gateway.signal(signal.SIGTERM)
        gateway.wait(5)
        gate.set()
        connection.close()
    finally:
        gateway.end()


def test_no_request_is_lost_while_it_drains(world, person):
    """Callers that retry on a fresh connection never see a broken answer."""
    gateway = world.start()
    token, broken, done = world.issuer.token(person), [], []
    began = threading.Barrier(5)

    def caller():
        began.wait()
        while True:
            try:
                connection = Connection(gateway.port)
            except OSError:
                return
            with connection:
                while True:
                    try:
                        connection.send(request_bytes("GET", "/drain", person, token))
                        first = connection.socket.recv(1, socket.MSG_PEEK)
                    except OSError:
                        break
                    if not first:
                        break  # closed between requests, before a byte of an answer
                    try:
                        answer = connection.answer()
                    except Exception as error:  # noqa: BLE001
                        broken.append(repr(error))
                        return
                    done.append(answer.status)
                    if answer.value("connection") == "close":
                        break

    threads = [threading.Thread(target=caller) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        began.wait()
        until(lambda: len(done) > 50, "some traffic")
        gateway.signal(signal.SIGTERM)
        assert gateway.wait() == 0, gateway.said()
        for thread in threads:
            thread.join(20)
        assert not broken
        assert set(done) == {200}
    finally:
        gateway.end()


@pytest.mark.parametrize("number", [signal.SIGPIPE, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD])
def test_other_signals_do_not_end_it(world, person, number):
    with world.gateway() as gateway:
        gateway.signal(number)
        assert world.ask(gateway, "GET", "/x", person).status == 200
        assert gateway.running
