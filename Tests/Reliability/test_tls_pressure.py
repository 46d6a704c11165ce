"""Callers of TLS listeners who cost more than they pay: idle ones, half ones, floods of them.

What is measured is printed as a ratio within one run. Asserted is only what no machine's mood
explains: that others are served, that memory is bounded, that a ratio is not a hundredfold.
"""

import contextlib
import os
import pathlib
import random
import resource
import socket
import ssl
import statistics
import subprocess
import threading
import time

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from harness.certificates import Certificate
from harness.client import Connection, ask, request_bytes, trusting
from harness.hello import client_hello
from harness.program import compiled, status_of
from harness.waiting import until

HERE = pathlib.Path(__file__).resolve().parent
CROWD = 10_000


@pytest.fixture(scope="module")
def flood(tmp_path_factory):
    """Runs some of flood.c's callers at once; what they did, and the CPU time they took."""
    binary = compiled(HERE / "flood.c", tmp_path_factory.mktemp("flood") / "flood")

    def start(port, payload, seconds, wait, callers):
        running = []
        for _ in range(callers):
            command = ["nice", binary, str(port), str(seconds), str(wait)]
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            process.stdin.write(payload)
            process.stdin.close()
            running.append(process)

        def finish():
            done = [process.stdout.read().split() for process in running]
            for process in running:
                process.wait(30)
                process.stdout.close()
            return sum(int(one[0]) for one in done), sum(int(one[1]) for one in done)

        return finish

    return start


@pytest.fixture(scope="module")
def gateway(world):
    """One listener for each kind of key, and none of the usual."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    slow = Certificate(["localhost"], issuer=world.authority, key=key)
    listeners = [
        world.tls_listener,
        {
            "name": "rsa",
            "address": "127.0.0.1:0",
            "tls": {"certificates": [slow.write(world.folder, "rsa")]},
        },
        world.clear_listener,
    ]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def many_files():
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with world.gateway(world.routes(listeners=listeners), prepare=many_files) as gateway:
        yield gateway
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def cpu_us(pid):
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(OSError):
            total += int(pathlib.Path(f"/proc/{pid}/task/{task}/schedstat").read_text().split()[0])
    return total // 1000


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


@contextlib.contextmanager
def crowd(port, payload=b"", count=CROWD):
    """Many callers who connect, send this much, and stay."""
    made = []
    try:
        for _ in range(count):
            made.append(socket.create_connection(("127.0.0.1", port), 20))
            if payload:
                made[-1].sendall(payload)
        yield made
    finally:
        for one in made:
            one.close()


@pytest.mark.parametrize("half", [False, True], ids=["without a byte", "half a ClientHello"])
@pytest.mark.timeout(300)
def test_ten_thousand_callers_who_stall_are_closed_and_others_served(
    world, gateway, person, half
):
    """Closed at the handshake's deadline (10 s); memory is bounded; others don't notice."""
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < CROWD + 4000:
        pytest.skip("too few descriptors on this machine")
    token = world.issuer.token(person)
    old = Connection(gateway.port, world.tls)
    assert old.request("GET", "/old", person, token).status == 200
    memory, files = status_of(gateway.pid, "VmRSS"), descriptors(gateway.pid)
    began = time.monotonic()
    waits, held = [], 0
    with crowd(gateway.port, client_hello()[:200] if half else b""):
        connected = time.monotonic() - began
        used = status_of(gateway.pid, "VmRSS") - memory
        while descriptors(gateway.pid) > files + 50:
            held = max(held, descriptors(gateway.pid) - files)
            start = time.monotonic()
            assert ask(gateway.port, "GET", "/new", person, token, world.tls).status == 200
            waits.append(time.monotonic() - start)
            assert old.request("GET", "/old", person, token).status == 200
            assert ask(gateway.ports["clear"], "GET", "/c", person, token).status == 200
            assert time.monotonic() - began < 200, "they are never closed"
        gone = time.monotonic() - began
    print(
        f"\n{CROWD} callers {'with half a ClientHello' if half else 'without a byte'}: "
        f"connected in {connected:.1f} s, {held} held, gone after {gone:.1f} s; "
        f"{used} KiB more memory, {used / CROWD:.2f} KiB each; {len(waits)} others served "
        f"meanwhile, new TLS callers p50 {statistics.median(waits) * 1e3:.1f} ms, "
        f"max {max(waits) * 1e3:.0f} ms"
    )
    assert used < 300 << 10
    old.close()


@pytest.mark.timeout(120)
def test_a_flood_of_rsa_handshakes_leaves_those_who_are_connected_served(
    world, gateway, person, flood
):
    """Each costs the gateway a signature; the flood has as many under way as it can make."""
    token = world.issuer.token(person)
    callers = [Connection(gateway.port, world.tls) for _ in range(8)]

    def measure(seconds):
        took, end = [], time.monotonic() + seconds
        while time.monotonic() < end:
            for caller in callers:
                start = time.monotonic()
                assert caller.request("GET", "/old", person, token).status == 200
                took.append((time.monotonic() - start) * 1e3)
        return took

    measure(1)
    quiet = measure(5)
    finish = flood(gateway.ports["rsa"], client_hello(), 8, 1, 32)
    measure(1)
    loud = measure(5)
    count, _ = finish()
    after = measure(3)
    for caller in callers:
        caller.close()
    p50, p99 = (percentile(loud, share) / percentile(quiet, share) for share in (0.5, 0.99))
    print(
        f"\nRSA flood: {count / 8:.0f} handshakes a second from 32 callers; requests of those who "
        f"are connected: quiet p50 {percentile(quiet, 0.5):.2f} p99 {percentile(quiet, 0.99):.2f} "
        f"ms, flooded p50 {percentile(loud, 0.5):.2f} p99 {percentile(loud, 0.99):.2f} ms, after "
        f"p99 {percentile(after, 0.99):.2f} ms; ratio p50 {p50:.1f}, p99 {p99:.1f}; "
        f"{len(loud)} requests, 0 failed"
    )
    assert percentile(loud, 0.99) < 2_000


CHEAP = {
    "connect and reset": ("tls", b"", 0),
    "connect and end": ("tls", b"", 2),
    "garbage": ("tls", bytes(range(256)) * 2, 1),
    "HTTP in the clear": ("tls", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1),
    "half a ClientHello": ("tls", "half", 0),
    "half a ClientHello, then the end": ("tls", "half", 2),
    "a ClientHello, P-256": ("tls", "hello", 1),
    "a ClientHello, RSA-2048": ("rsa", "hello", 1),
    "TLS 1.2 ClientHello, RSA-2048": ("rsa", "hello 1.2", 1),
}


@pytest.mark.timeout(180)
@pytest.mark.parametrize("kind", CHEAP)
def test_cheap_input_costs_little(world, gateway, person, flood, kind):
    """The gateway's CPU time over the caller's, in one run: to 10 is well, beyond 100 an attack."""
    listener, payload, wait = CHEAP[kind]
    if payload == "half":
        payload = client_hello()[:200]
    elif payload == "hello":
        payload = client_hello()
    elif payload == "hello 1.2":
        payload = client_hello(maximum_version=ssl.TLSVersion.TLSv1_2)
    before, memory = cpu_us(gateway.pid), status_of(gateway.pid, "VmRSS")
    count, theirs = flood(gateway.ports[listener], payload, 3, wait, 2)()
    token = world.issuer.token(person)
    assert ask(gateway.port, "GET", "/x", person, token, world.tls).status == 200
    ours = cpu_us(gateway.pid) - before
    ratio = ours / max(theirs, 1)
    word = "pass" if ratio <= 10 else "report" if ratio <= 100 else "FAIL"
    print(
        f"\n{kind}: {count} connections, ours {ours / max(count, 1):.0f} us, theirs "
        f"{theirs / max(count, 1):.0f} us each, ratio {ratio:.1f} ({word}), "
        f"{status_of(gateway.pid, 'VmRSS') - memory} KiB more memory"
    )
    assert count > 0
    assert ratio <= 100


@pytest.mark.timeout(120)
def test_half_handshakes_of_every_length_leave_nothing(world, gateway, person):
    """Cut after each byte of the first flight, by an end and by a reset."""
    hello = client_hello()
    files = descriptors(gateway.pid)
    for cut in range(len(hello)):
        with Connection(gateway.port) as connection:
            connection.send(hello[:cut])
            if cut % 2:
                connection.reset()
    token = world.issuer.token(person)
    assert ask(gateway.port, "GET", "/x", person, token, world.tls).status == 200
    until(lambda: descriptors(gateway.pid) <= files + 8, "the descriptors to be given back", 30)
    print(f"\n{len(hello)} half handshakes, 0 descriptors lost")


def mutated(data, chance):
    """The bytes with something wrong: bits, lengths, pieces gone, twice, or of another place."""
    data = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 5, 20))):
        at = chance.randrange(len(data)) if data else 0
        kind = chance.randrange(7)
        if kind == 0:
            data[at : at + 1] = bytes([chance.randrange(256)])
        elif kind == 1:
            data[at : at + 1] = bytes([data[at] ^ 1 << chance.randrange(8)]) if data else b""
        elif kind == 2:
            del data[at : at + chance.randrange(1, 40)]
        elif kind == 3:
            data[at:at] = data[at : at + chance.randrange(1, 40)]
        elif kind == 4:
            data[at:at] = chance.randbytes(chance.randrange(1, 40))
        elif kind == 5:
            data[at : at + 2] = chance.choice((b"\0\0", b"\xff\xff", b"\0\1", b"\x40\1"))
        else:
            del data[at:]
    return bytes(data)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_mutated_handshakes_harm_nobody(world, gateway, person, version):
    """First and second flights with something wrong; a good caller is served all the while."""
    seed = int(os.environ.get("SEED", random.SystemRandom().randrange(1 << 32)))
    chance, token = random.Random(seed), world.issuer.token(person)
    number = ssl.TLSVersion[version]
    versions = {"minimum_version": number, "maximum_version": number}
    hello = client_hello(**versions)
    files, said = descriptors(gateway.pid), gateway.err.read_text()
    good = Connection(gateway.port, world.tls)
    count, agreed, kinds = 3_000, 0, {}
    for turn in range(count):
        with contextlib.suppress(OSError), Connection(gateway.port, seconds=15) as bad:
            if turn % 4:
                bad.send(mutated(hello, chance))
                bad.socket.shutdown(socket.SHUT_WR)
                first = bad.rest()[:1]
                kinds[first] = kinds.get(first, 0) + 1
            else:
                agreed += second_flight(bad, versions, chance)
        if turn % 50 == 0:
            assert good.request("GET", "/good", person, token).status == 200, f"SEED={seed}"
    good.close()
    until(lambda: descriptors(gateway.pid) <= files + 8, f"descriptors back; SEED={seed}", 30)
    assert gateway.err.read_text() == said
    print(f"\n{version}, SEED={seed}: {count} mutated handshakes, first bytes of answers {kinds}")
    # A flight that was changed was never taken for a good one.
    assert agreed == 0, f"SEED={seed}"


def second_flight(bad, versions, chance):
    """Shakes hands to the last flight, and sends that mutated; whether content came back."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    caller = trusting(**versions).wrap_bio(incoming, outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        caller.do_handshake()
    bad.send(outgoing.read())
    while not (flight := outgoing.read()):
        incoming.write(bad.socket.recv(65536))
        with contextlib.suppress(ssl.SSLWantReadError):
            caller.do_handshake()
    changed = mutated(flight, chance)
    if flight in changed:
        return False  # whole, with something behind it
    bad.send(changed)
    bad.socket.shutdown(socket.SHUT_WR)
    incoming.write(bad.rest())
    with contextlib.suppress(ssl.SSLError):
        caller.do_handshake()
        with contextlib.suppress(ssl.SSLWantReadError):
            return len(caller.read(1)) > 0
    return False


@pytest.mark.timeout(120)
def test_uploads_beside_a_flood_of_garbage_are_whole(world, gateway, person, flood):
    """What one caller breaks in OpenSSL is not read as another's."""
    token = world.issuer.token(person)
    stops = [
        flood(gateway.port, garbage, 10, 1, 2)
        for garbage in (b"\x16\x03\x00\x00\x2f\x01\x00\x00\x2b\x03\x00" + b"s" * 41, b"\x80" * 99)
    ]
    broken, sizes = [], []

    def upload():
        end = time.monotonic() + 9
        try:
            with Connection(gateway.port, trusting(world.authority)) as connection:
                while time.monotonic() < end:
                    body = os.urandom(200_000)
                    fields = [("Content-Length", str(len(body)))]
                    connection.send(request_bytes("POST", "/up", person, token, fields) + body)
                    answer = connection.answer("POST")
                    assert answer.status == 200 and answer.json()["size"] == len(body)
                    sizes.append(len(body))
        except Exception as error:  # noqa: BLE001
            broken.append(repr(error))

    threads = [threading.Thread(target=upload) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    count = sum(stop()[0] for stop in stops)
    print(f"\n{count} broken handshakes beside {len(sizes)} uploads, {len(broken)} failed")
    assert not broken, broken
