"""Faults of the process and of what the kernel gives it: configuration, logs, signals, limits.

Where to find what must happen in each case:

52. reloads meet reloads, ends, upgrades  test_reload.py: many hangups; test_reload_command.py:
                                          many who ask at once; test_a_reload_that_meets_the_end_*;
                                          test_upgrade.py: asked for meanwhile;
                                          test_upgrade_taken_back.py: the same
53. a file vanishes or is swapped         test_a_file_that_is_never_whole_*; test_reload_command.py
54. logs that can't be written            test_access_log.py, test_process.py, test_a_log_that_*
55. what is logged                        test_access_log.py, test_attackers_learn_nothing.py,
                                          and no secret in the run of test_fault_run.py
56. signals in any phase                  test_signals_in_any_phase_*; of an upgrade:
                                          test_upgrade_taken_back.py: ends in good order
57. SIGKILL                               test_a_killed_one_is_replaced_*; 200 in Reliability
58. SIGSTOP                               test_one_that_stood_still_*
59. address space                         test_memory_that_runs_out_*
60. the wall clock is set                 test_a_clock_that_is_set_*
61. no port is left to connect from       test_no_port_is_left_*
62. getrandom, eventfd, epoll_ctl, ...    test_calls_that_fail_for_*
63. no thread can be started              test_what_cannot_be_had_at_*
64. what is handed over is wrong          test_upgrade.py: one that fails costs nothing
"""

import contextlib
import json
import os
import pathlib
import resource
import shutil
import signal
import struct
import threading

import pytest
from harness.client import Connection, ask, request_bytes
from harness.program import (
    Program,
    c_compiler,
    compiled,
    environment,
    session_of,
    status_of,
    tollgate_binary,
)
from harness.waiting import until
from harness.world import SECRET
from test_listener_faults import Tracer, cpu_ticks

needs_strace = pytest.mark.skipif(not shutil.which("strace"), reason="there is no strace")


def quietly(gateway, person, token):
    try:
        return ask(gateway.port, "GET", "/x", person, token).status
    except Exception:  # noqa: BLE001
        return None


# -- 52, 53


def test_a_reload_that_meets_the_end_is_answered_and_changes_nothing(world, person):
    gateway = world.start(world.routes(shutdown={"delay": "2s"}))
    try:
        gateway.signal(signal.SIGTERM)
        until(lambda: gateway.admin("/readyz")[0] == 503, "readiness to fail")
        for _ in range(3):
            gateway.signal(signal.SIGHUP)
        status, text = gateway.admin("/reload", "POST")
        assert status == 503 and "ending" in text
        assert world.ask(gateway, "GET", "/x", person).status == 200
        assert gateway.wait() == 0, gateway.said()
        assert "reloaded" not in gateway.said()
    finally:
        gateway.end()


def test_a_file_that_is_never_whole_when_it_is_read_leaves_the_old_one(world, person):
    """Removed, a folder, a loop of links, a pipe's worth of zeros: and the next good one works."""
    with world.gateway(world.routes(world.route("/x/*"))) as gateway:
        text = gateway.file.read_text()
        good = world.ask(gateway, "GET", "/x/1", person)
        assert good.status == 200

        def make(kind):
            gateway.file.unlink(missing_ok=True)
            if kind == "folder":
                gateway.file.mkdir()
            elif kind == "loop":
                gateway.file.symlink_to(gateway.file)
            elif kind == "dangling":
                gateway.file.symlink_to("nowhere")
            elif kind == "endless":
                gateway.file.symlink_to("/dev/zero")
            elif kind == "empty":
                gateway.file.touch()
            elif kind == "unreadable":
                gateway.file.symlink_to("/proc/self/mem")

        for kind in ("gone", "folder", "loop", "dangling", "endless", "empty", "unreadable"):
            make(kind)
            status, answer = gateway.admin("/reload", "POST")
            assert status == 422 and "nothing has changed" in answer, (kind, answer)
            assert world.ask(gateway, "GET", "/x/1", person).status == 200
            if kind == "folder":
                gateway.file.rmdir()
        gateway.file.unlink()
        gateway.file.write_text(text)
        assert gateway.admin("/reload", "POST")[0] == 200


# -- 54


@needs_strace
@pytest.mark.parametrize("error", ["EIO", "EAGAIN", "ENOSPC"])
def test_a_log_that_cannot_be_written_holds_nobody_up(world, person, error):
    with world.gateway(world.routes()) as gateway:
        token = world.issuer.token(person)
        assert quietly(gateway, person, token) == 200
        # Only the log's thread writes with `write`; sockets are written with `send`.
        tracer = Tracer(gateway.pid, "write", error)
        try:
            for _ in range(50):
                assert quietly(gateway, person, token) == 200
        finally:
            tracer.detach()
        assert world.ask(gateway, "GET", "/after", person, token).status == 200
        gateway.logged(path="/after")


def test_a_log_whose_reader_stands_still_holds_nobody_up(world, tmp_path):
    """Its lines wait; those that are too many are dropped and counted, and told of when it reads
    on."""
    pipe = tmp_path / "log"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    fixed = {"match": {"path": "/*"}, "authenticate": "none",
             "respond": {"status": 200, "body": "fixed"}}  # fmt: skip
    routes = world.routes(fixed, accessLog={"path": str(pipe)}, workers=1)
    name = "tollgate_access_log_dropped_lines_total "
    text = bytearray()

    def told():
        with contextlib.suppress(BlockingIOError):
            while piece := os.read(reader, 1 << 20):
                text.extend(piece)
        return b'{"dropped_lines":' in text

    with world.gateway(routes) as gateway:

        def dropped():
            lines = gateway.admin("/metrics")[1].splitlines()
            return next(int(line[len(name) :]) for line in lines if line.startswith(name))

        request, sent = request_bytes("GET", "/" + "l" * 7_000), 0
        with Connection(gateway.port) as connection:
            while not dropped():
                assert sent < 20_000, "they are kept, all of them"
                for _ in range(500):
                    connection.send(request)
                    assert connection.answer().status == 200
                sent += 500
        assert dropped() <= 500
        until(told, "the log to tell")
    os.close(reader)


def test_a_log_that_is_removed_is_made_anew_when_it_is_asked_for(world, person):
    with world.gateway(world.routes()) as gateway:
        token = world.issuer.token(person)
        assert ask(gateway.port, "GET", "/before", person, token).status == 200
        gateway.logged(path="/before")
        gateway.log_file.unlink()
        for _ in range(20):
            assert quietly(gateway, person, token) == 200
        gateway.signal(signal.SIGUSR1)
        until(gateway.log_file.exists, "a new log file")
        assert ask(gateway.port, "GET", "/after", person, token).status == 200
        gateway.logged(path="/after")


# -- 56


@pytest.mark.parametrize("phase", ["start", "service", "drain"])
def test_signals_in_any_phase_do_no_harm(world, person, phase):
    harmless = [signal.SIGPIPE, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD, signal.SIGWINCH,
                signal.SIGCONT, signal.SIGURG, signal.SIGRTMIN]  # fmt: skip
    token = world.issuer.token(person)
    gateway = world.start(world.routes(shutdown={"delay": "1s"}), ready=None)
    try:
        if phase == "start":
            # From the moment on at which its own code runs and has blocked them.
            def has_begun():
                status = pathlib.Path(f"/proc/{gateway.pid}/status").read_text()
                blocked = int(status.split("SigBlk:")[1].split()[0], 16)
                return blocked >> (signal.SIGHUP - 1) & 1

            gateway.wait_until(has_begun, "its first steps")
            for number in harmless:
                gateway.signal(number)
        gateway.wait_until(lambda: gateway.admin("/readyz")[0] == 200, "readiness")
        if phase == "service":
            for _ in range(5):
                for number in harmless:
                    gateway.signal(number)
                assert ask(gateway.port, "GET", "/x", person, token).status == 200
        assert ask(gateway.port, "GET", "/x", person, token).status == 200
        gateway.signal(signal.SIGTERM)
        if phase == "drain":
            until(lambda: gateway.admin("/readyz")[0] == 503, "readiness to fail")
            for number in harmless + [signal.SIGUSR2]:
                gateway.signal(number)
            assert ask(gateway.port, "GET", "/x", person, token).status == 200
        assert gateway.wait() == 0, gateway.said()
    finally:
        gateway.end()


# -- 57, 58


def test_a_killed_one_is_replaced_at_once(world, person):
    gateway = world.start(world.routes())
    token = world.issuer.token(person)
    try:
        for _ in range(5):
            with contextlib.ExitStack() as closing:
                for _ in range(20):
                    connection = closing.enter_context(Connection(gateway.port))
                    connection.send(request_bytes("GET", "/x", person, token)[:-2])
                gateway.process.kill()
                gateway.process.wait(10)
                # On the same addresses, with its callers' connections still half there.
                gateway = world.start(gateway.routes)
            assert ask(gateway.port, "GET", "/x", person, token).status == 200
    finally:
        gateway.end()


def test_one_that_stood_still_takes_up_its_work(world, person):
    """Deadlines passed meanwhile; what comes afterwards has its own."""
    limits = {"headerTimeout": "1s", "idleTimeout": "1s"}
    with world.gateway(world.routes(limits=limits)) as gateway, contextlib.ExitStack() as closing:
        token = world.issuer.token(person)
        begun = [closing.enter_context(Connection(gateway.port)) for _ in range(20)]
        for connection in begun:
            connection.send(request_bytes("GET", "/x", person, token)[:-2])
        assert quietly(gateway, person, token) == 200
        gateway.signal(signal.SIGSTOP)
        threading.Event().wait(2)
        waiting = [closing.enter_context(Connection(gateway.port)) for _ in range(20)]
        for connection in waiting:
            connection.send(request_bytes("GET", "/x", person, token))
        gateway.signal(signal.SIGCONT)
        for connection in waiting:
            assert connection.answer().status == 200
        for connection in begun:
            assert connection.answer().status == 408
        for _ in range(20):
            assert quietly(gateway, person, token) == 200


# -- 59


@pytest.mark.plain_build("a sanitizer takes terabytes of addresses")
def test_memory_that_runs_out_is_a_refusal_before_it_is_an_end(world, person):
    """With next to no room for addresses many callers are served or refused, and those after them
    are served again: nothing ends the process."""
    with world.gateway(world.routes(workers=2)) as gateway:
        token = world.issuer.token(person)
        assert ask(gateway.port, "GET", "/x", person, token).status == 200
        taken = status_of(gateway.pid, "VmSize") << 10
        resource.prlimit(gateway.pid, resource.RLIMIT_AS, (taken + (4 << 20),) * 2)
        with contextlib.ExitStack() as closing:
            # Each makes a thread of the upstream's.
            crowd = [closing.enter_context(Connection(gateway.port)) for _ in range(400)]
            for connection in crowd:
                head = request_bytes("POST", "/x", person, token, [("Content-Length", "60000")])
                connection.send(head + b"m" * 20_000)

            def count():
                refused = [record for record in gateway.log() if record["status"] == 503]
                return len(world.upstream.seen("/x", person)) + len(refused)

            until(lambda: count() > 400, "each to be served or refused", 60)
            assert gateway.live()
        until(lambda: quietly(gateway, person, token) == 200, "service as before", 60)


# -- 60


SHIFTED_CLOCK = """
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
static long *shift;
__attribute__((constructor)) static void begin(void) {
  int fd = open(getenv("SHIFT_FILE"), O_RDONLY);
  shift = mmap(0, 2 * sizeof *shift, PROT_READ, MAP_SHARED, fd, 0);
  close(fd);
}
int clock_gettime(clockid_t clock, struct timespec *time) {
  long result = syscall(SYS_clock_gettime, clock, time);
  if (clock == CLOCK_REALTIME && shift) time->tv_sec += shift[0];
  if (clock == CLOCK_MONOTONIC && shift) time->tv_sec += shift[1];
  return (int)result;
}
"""


class ShiftedClock:
    """A program's clocks, which a test sets: the wall's, and the one that only goes on."""

    def __init__(self, folder):
        source, library, self.file = (folder / name for name in ("clock.c", "clock.so", "shift"))
        source.write_text(SHIFTED_CLOCK)
        compiled(source, library, "-shared", "-fPIC")
        self.put(0)
        self.environ = {"LD_PRELOAD": str(library), "SHIFT_FILE": str(self.file)}

    def put(self, wall=0, monotonic=0):
        with open(self.file, "r+b" if self.file.exists() else "wb") as shift:
            shift.write(struct.pack("ll", wall, monotonic))


def shifts_clocks(test):
    """Marks a test that needs a `ShiftedClock`."""
    skipped = pytest.mark.skipif(not c_compiler(), reason="there is no C compiler")
    return pytest.mark.plain_build("a sanitizer wants to be the first library")(skipped(test))


@shifts_clocks
def test_a_clock_that_is_set_harms_nobody(world, person, tmp_path):
    """Back and forth by a second, an hour, a day: timers go on, tokens follow the wall clock."""
    clock = ShiftedClock(tmp_path)
    put = clock.put
    limits = {"headerTimeout": "2s"}
    with world.gateway(world.routes(limits=limits), environ=clock.environ) as gateway:
        token = world.issuer.token(person)
        assert quietly(gateway, person, token) == 200
        calls = len(world.tokens.calls_for(token))
        for seconds in (-1, 0, 1):
            put(seconds)
            assert quietly(gateway, person, token) == 200
        assert len(world.tokens.calls_for(token)) == calls, "no token was had anew for a second"
        # The test's tokens have an end and no beginning.
        for seconds in (86_400, -86_400, 7_200, 3, -3_600, 0):
            put(seconds)
            answer = ask(gateway.port, "GET", "/x", person, token)
            if seconds > 3_600:
                assert (answer.status, answer.problem) == (401, "token_expired"), seconds
            else:
                assert answer.status == 200, (seconds, answer)
            # A deadline is what it was: neither at once nor never.
            with Connection(gateway.port) as slow:
                slow.send(b"GET / HT")
                assert slow.answer().status == 408


# -- 61, 62, 63


@needs_strace
def test_no_port_is_left_to_connect_from(world, person):
    """Refused while it lasts, without a spin, and well again afterwards."""
    with world.gateway(world.routes()) as gateway:
        token = world.issuer.token(person)
        tracer = Tracer(gateway.pid, "connect", "EADDRNOTAVAIL")
        try:
            answer = ask(gateway.port, "GET", "/x", person, token)
            assert answer.status == 503, answer
            before = cpu_ticks(gateway.pid)
            threading.Event().wait(0.7)
            assert cpu_ticks(gateway.pid) - before < 20, "it spins"
        finally:
            tracer.detach()
        until(lambda: quietly(gateway, person, world.issuer.token(person)) == 200, "service")


@needs_strace
@pytest.mark.parametrize("call, error", [("epoll_ctl", "ENOMEM"), ("epoll_ctl", "ENOSPC"),
                                         ("getrandom", "EINTR"), ("setsockopt", "ENOBUFS"),
                                         ("socket", "ENFILE"), ("socket", "ENOBUFS"),
                                         ("recvfrom", "ECONNRESET"), ("sendto", "EPIPE"),
                                         ("epoll_wait", "EINTR"),
                                         ("epoll_pwait", "EINTR")])  # fmt: skip
def test_calls_that_fail_for_a_while_harm_only_whom_they_concern(world, person, call, error):
    with world.gateway(world.routes()) as gateway:
        token = world.issuer.token(person)
        assert quietly(gateway, person, token) == 200
        tracer = Tracer(gateway.pid, call, error)
        try:
            for _ in range(5):
                with contextlib.suppress(Exception):
                    with Connection(gateway.port, seconds=0.5) as connection:
                        connection.request("GET", "/x", person, token)
        finally:
            tracer.detach()
        assert gateway.running
        until(lambda: quietly(gateway, person, token) == 200, "service as before")


def started_with(world, call, error, when):
    """A gateway whose `when`-th such call fails: its exit status, None where it started all the
    same, and what it said."""
    folder = world.folder / f"start-{call}-{when}"
    folder.mkdir()
    file = folder / "routes.json"
    more = {"listeners": [{"address": "127.0.0.1:0"}], "admin": "off", "accessLog": "off"}
    file.write_text(json.dumps(world.routes() | more))
    command = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e",
               f"inject={call}:error={error}:when={when}",
               tollgate_binary(), "run", file]  # fmt: skip
    program = Program(command, folder, "traced", env=environment(GATEWAY_SECRET=SECRET))
    try:
        until(lambda: not program.running or "listening at" in program.err.read_text(), "a start")
        return (None if program.running else program.wait()), program.err.read_text()
    finally:
        for pid in session_of(program.pid):
            if pid != program.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
        program.wait(20)


@needs_strace
@pytest.mark.parametrize("call, error", [("clone3", "EAGAIN"), ("clone", "EAGAIN"),
                                         ("epoll_create1", "EMFILE"), ("eventfd2", "ENFILE"),
                                         ("epoll_ctl", "ENOSPC"), ("listen", "EADDRINUSE"),
                                         ("bind", "EACCES")])  # fmt: skip
def test_what_cannot_be_had_at_the_start_is_named_and_ends_it(world, call, error):
    """Threads, loops, addresses: the first of them, or a later one."""
    seen = 0
    for when in (1, 2, 3):
        status, said = started_with(world, call, error, when)
        if status is None:
            continue  # there are fewer such calls, or it was a sanitizer's own
        seen += 1
        assert status == 3, (status, said)
        assert error in said, said
        assert "Fatal" not in said
    assert seen or call == "clone", "no such call was made"
