"""The process itself: its threads, memory and descriptors under load and after it."""

import contextlib
import os
import pathlib
import resource
import signal
import threading

import pytest
from harness.client import Connection, ask, request_bytes
from harness.program import status_of, tollgate_binary
from harness.waiting import until


def threads(pid):
    """The names of the process's threads, sorted."""
    folder = pathlib.Path(f"/proc/{pid}/task")
    return sorted((folder / task / "comm").read_text().strip() for task in os.listdir(folder))


def busy(world, gateway, done, tokens):
    """Load of every kind until `done` is set: warm, cold, forged, uploads, broken off."""

    def caller(number):
        name = f"busy-{number}"
        turn = 0
        while not done.is_set():
            with Connection(gateway.port, world.tls if gateway.with_tls else None) as connection:
                for _ in range(10):
                    token = tokens[(number, turn % 20)]
                    answer = connection.request("POST", "/busy", name, token, body=b"b" * 9000)
                    assert answer.status == 200
                    turn += 1
                connection.send(request_bytes("GET", "/busy", name, tokens[(number, 0)])[:-4])

    made = [threading.Thread(target=caller, args=(number,)) for number in range(6)]
    for thread in made:
        thread.start()
    return made


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_under_load_there_are_exactly_the_threads_it_started_itself(world, workers):
    listener = world.tls_listener if workers > 1 else world.clear_listener
    routes = world.routes(workers=workers, listeners=[listener])
    with world.gateway(routes) as gateway:
        gateway.with_tls = workers > 1
        token = world.issuer.token("first")
        tls = world.tls if gateway.with_tls else None
        assert ask(gateway.port, "GET", "/x", "first", token, tls).status == 200
        # The first thread has the program's name; no other may, for the global pool's would, when
        # it has begun. ThreadSanitizer has one of its own.
        program = pathlib.Path(tollgate_binary()).name[:15]
        own = 2 if os.environ.get("TOLLGATE_SANITIZER") == "thread" else 1
        until(lambda: threads(gateway.pid).count(program) == own, "the threads' names")
        before = threads(gateway.pid)
        tokens = {
            (number, turn): world.issuer.token(f"busy-{number}")
            for number in range(6)
            for turn in range(20)
        }
        done, seen = threading.Event(), set()
        callers = busy(world, gateway, done, tokens)
        for _ in range(100):
            seen.add(tuple(threads(gateway.pid)))
            done.wait(0.01)
        done.set()
        for thread in callers:
            thread.join(30)
        assert seen == {tuple(before)}
        named = [name for name in before if "worker" in name]
        assert len(named) == workers, before


def test_auto_takes_as_many_workers_as_processors_may_be_used(world):
    def one_processor():
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

    for prepare, count in ((None, len(os.sched_getaffinity(0))), (one_processor, 1)):
        routes = world.routes(workers="auto")
        with world.gateway(routes, prepare=prepare) as gateway:
            named = [name for name in threads(gateway.pid) if "worker" in name]
            assert len(named) == count


@pytest.mark.plain_build("what was freed is kept for a while, and is shadowed")
def test_memory_and_descriptors_go_back_to_what_they_were(world):
    with world.gateway(world.routes()) as gateway:
        token = world.issuer.token("steady")

        def burst():
            connections = [Connection(gateway.port) for _ in range(150)]
            for connection in connections:
                connection.send(
                    request_bytes("POST", "/x", "steady", token, body=b"m" * 60_000)
                )
            for connection in connections:
                assert connection.answer("POST").status == 200
                connection.close()

        def settled():
            return len(os.listdir(f"/proc/{gateway.pid}/fd"))

        for _ in range(3):
            burst()
        first, files = status_of(gateway.pid, "VmRSS"), settled()
        for _ in range(12):
            burst()
        assert status_of(gateway.pid, "VmRSS") - first < 6 * 1024
        # Of the server's connections up to 64 are kept for a while, however many were at first.
        until(lambda: settled() <= files + 72, "the descriptors to be given back")


def test_nothing_is_burnt_while_nobody_asks(world):
    with world.gateway(world.routes()) as gateway:
        ask(gateway.port, "GET", "/x", "idle", world.issuer.token("idle"))
        with Connection(gateway.port):
            before = ticks(gateway.pid)
            threading.Event().wait(1)
            assert ticks(gateway.pid) - before <= 5


def ticks(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def test_without_standard_descriptors_no_line_is_written_where_it_does_not_belong(world, person):
    """Whoever starts it with `>&-` has a socket or a queue get their numbers, but for this."""

    def prepare():
        for number in range(3):
            os.close(number)

    with world.gateway(world.routes(), prepare=prepare) as gateway:
        names = [os.readlink(f"/proc/{gateway.pid}/fd/{number}") for number in range(3)]
        assert names == ["/dev/null"] * 3
        assert world.ask(gateway, "GET", "/x", person).status == 200


def test_the_program_needs_no_library_that_a_bare_machine_lacks():
    """OpenSSL, the C library, and Swift's own: nothing else, and no Foundation."""
    import subprocess

    run = subprocess.run(["ldd", tollgate_binary()], capture_output=True, text=True)
    assert "Foundation" not in run.stdout
    assert "libdispatch" not in run.stdout or "libswift" in run.stdout


def full_pipe():
    """Both ends of a pipe that takes no byte more."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b"." * 4096)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b".")
    os.set_blocking(writing, True)
    return reading, writing


@pytest.mark.parametrize("reads", [True, False], ids=["read later", "never read"])
def test_a_standard_error_that_nobody_reads_holds_nobody_up(world, person, reads):
    """Workers, and the thread that takes the signals, have things to say; none waits for it."""
    reading, writing = full_pipe()

    def prepare():
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        os.dup2(writing, 2)

    gateway = world.start(world.routes(workers=1), prepare=prepare)
    try:
        token = world.issuer.token(person)
        with Connection(gateway.port) as connection, contextlib.ExitStack() as stack:
            assert connection.request("GET", "/x", person, token).status == 200
            # Out of descriptors for callers (some are kept for others), the worker says so.
            for _ in range(100):
                stack.enter_context(Connection(gateway.port))
            descriptors = pathlib.Path(f"/proc/{gateway.pid}/fd")
            until(lambda: len(list(descriptors.iterdir())) >= 40, "the descriptors to be taken")
            for _ in range(20):
                assert connection.request("GET", "/x", person, token).status == 200
        gateway.signal(signal.SIGHUP)
        assert world.ask(gateway, "GET", "/x", person, token).status == 200
        said = b""
        if reads:
            os.set_blocking(reading, False)

            def all_said():
                nonlocal said
                with contextlib.suppress(BlockingIOError):
                    said += os.read(reading, 1 << 20)
                return b"reloading" in said

            until(all_said, "what was said meanwhile")
        gateway.stop()
        if reads:
            said += os.read(reading, 1 << 20)
            for words in (b"listening at", b"can't accept", b"reloading", b"ending"):
                assert words in said, words
    finally:
        gateway.end()
        os.close(reading)
        os.close(writing)
