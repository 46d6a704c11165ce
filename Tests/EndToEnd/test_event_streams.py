"""Server-sent events and long polls: every byte goes on when it comes."""

import os
import subprocess
import threading

import pytest
from harness.client import Connection, request_bytes
from harness.waiting import PATIENCE


@pytest.fixture(scope="module")
def gateway(world):
    routes = world.routes(
        world.route("/*"),
        world.route("/long/*", forward={"timeout": "30s", "idleTimeout": "30s"}),
        listeners=[world.clear_listener, world.tls_listener],
    )
    with world.gateway(routes) as gateway:
        yield gateway


class Curl:
    """`curl -N` whose output is read as it comes."""

    def __init__(self, world, gateway, listener, path, person):
        ca = world.authority_file
        scheme = "https" if listener == "tls" else "http"
        self.process = subprocess.Popen(
            ["curl", "-sSN", "--max-time", str(60 * PATIENCE), "--cacert", str(ca),
             "-H", f"Authorization: Bearer {world.issuer.token(person)}",
             "-H", f"X-Test-Person: {person}", "-H", "Accept: text/event-stream",
             f"{scheme}://localhost:{gateway.ports[listener]}{path}"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def read(self, count):
        data = b""
        while len(data) < count and (more := os.read(self.process.stdout.fileno(), count)):
            data += more
        return data


@pytest.mark.parametrize("framing", ["chunked", "close"])
@pytest.mark.parametrize("listener", ["clear", "tls"])
def test_each_event_is_seen_before_the_next_is_sent(world, gateway, person, listener, framing):
    seen = threading.Semaphore(0)
    count = 20

    @world.upstream.on(f"/events-{framing}")
    def behaviour(exchange):
        exchange.read_body()
        head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
        head += "Transfer-Encoding: chunked\r\n" if framing == "chunked" else ""
        exchange.send(head.encode() + b"\r\n")
        for number in range(count):
            event = f"id: {number:02}\ndata: {'x' * number}\n\n".encode()
            if framing == "chunked":
                exchange.send(f"{len(event):x}\r\n".encode() + event + b"\r\n")
            else:
                exchange.send(event)
            # The next one only when the caller has this one.
            assert seen.acquire(timeout=20 * PATIENCE)
        if framing == "chunked":
            exchange.send(b"0\r\n\r\n")
        else:
            exchange.close()

    curl = Curl(world, gateway, listener, f"/events-{framing}", person)
    for number in range(count):
        event = f"id: {number:02}\ndata: {'x' * number}\n\n".encode()
        assert curl.read(len(event)) == event
        seen.release()
    assert curl.read(1) == b""
    assert curl.process.wait(20) == 0, curl.process.stderr.read()


def test_the_head_comes_before_the_first_event(world, gateway, connection, person):
    opened = threading.Event()

    @world.upstream.on("/head")
    def behaviour(exchange):
        exchange.read_body()
        exchange.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert opened.wait(20)
        exchange.send(b"5\r\nevent\r\n0\r\n\r\n")

    connection.send(request_bytes("GET", "/head", person, world.issuer.token(person)))
    answer = connection.head()
    assert answer.status == 200
    opened.set()
    connection.chunked(answer)
    assert answer.body == b"event"


def test_a_long_poll_waits_for_its_answer(world, gateway, connection, person):
    news = threading.Event()

    @world.upstream.on("/long/poll")
    def behaviour(exchange):
        exchange.read_body()
        assert news.wait(20)
        exchange.answer(200, b"news")

    connection.send(request_bytes("GET", "/long/poll", person, world.issuer.token(person)))
    assert not connection.ended(1)
    news.set()
    assert connection.answer().body == b"news"


def test_the_stream_ends_at_the_server_when_the_caller_goes(world, gateway, person):
    gone = []
    ended = threading.Event()

    @world.upstream.on("/leaves")
    def behaviour(exchange):
        exchange.read_body()
        exchange.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nevent\r\n")
        gone.append(exchange.wait_for_end())
        ended.set()
        exchange.ended = True

    with Connection(gateway.port) as connection:
        connection.send(request_bytes("GET", "/leaves", person, world.issuer.token(person)))
        connection.head()
    assert ended.wait(20) and gone == [True]
    assert gateway.logged(path="/leaves")["aborted"] == "client"
