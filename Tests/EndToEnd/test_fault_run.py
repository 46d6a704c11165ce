"""Everything that goes wrong in a week, in some seconds, under load: servers that are killed,
frozen, reset and slow, certificates replaced, ten reloads and an upgrade. Every request is counted.
"""

import collections
import contextlib
import itertools
import json
import os
import re
import signal
import socket
import threading

from harness.certificates import Certificate
from harness.client import Broken, Connection
from harness.program import descriptors, status_of
from harness.waiting import until
from harness.world import SECRET
from test_dying_servers import Farm
from test_reload import replaced
from test_upgrade import Line


class Moody:
    """A server of a few lines that answers with the path, or as its mood is."""

    def __init__(self):
        self.mood, self.never = "well", threading.Event()
        self.served = []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as lines:
            while request := lines.readline():
                length = 0
                while (line := lines.readline()) not in (b"\r\n", b""):
                    name, _, value = line.partition(b":")
                    if name.lower() == b"content-length":
                        length = int(value)
                lines.read(length)
                path = request.split()[1].decode()
                mood = self.mood if path != "/" else "well"
                if mood == "resets":
                    reset = b"\x01\x00\x00\x00\x00\x00\x00\x00"  # SO_LINGER: on, 0 s
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
                    return
                if mood == "slow":
                    self.never.wait(0.2)
                self.served.append((request.split()[0].decode(), path))
                body = f"server moody {path}".encode()
                head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
                connection.sendall(head + body)

    def close(self):
        self.listener.close()


class Callers:
    """Each asks for a path that nobody else asks for, and looks at whose answer came."""

    KINDS = [(method, tls, keeps) for method in ("GET", "POST") for tls in (False, True)
             for keeps in (False, True)]  # fmt: skip

    def __init__(self, ports, tls, person, token, round):
        self.ports, self.tls, self.person, self.token = ports, tls, person, token
        self.outcomes = collections.Counter()
        self.lost, self.foreign, self.count = [], [], 0
        self.done, self.lock = threading.Event(), threading.Lock()
        self.threads = [
            threading.Thread(target=self.call, args=(f"/farm/{round}/{number}", *kind))
            for number, kind in enumerate(self.KINDS)
        ]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        for thread in self.threads:
            thread.join(60)

    def more(self, count=100):
        end = self.count + count
        until(lambda: self.count >= end, f"{count} more answers", 60)

    def call(self, place, method, with_tls, keeps):
        connection = None
        fields = [] if keeps else [("Connection", "close")]
        body = b"once" if method == "POST" else None
        for number in itertools.count():
            if self.done.is_set():
                break
            path = f"{place}/{number}"
            try:
                if connection is None:
                    port = self.ports["tls" if with_tls else "clear"]
                    connection = Connection(port, self.tls if with_tls else None)
                answer = connection.request(method, path, self.person, self.token, fields, body)
                outcome, text = answer.status, answer.body.decode()
                if not keeps or answer.value("connection") == "close":
                    connection.close()
                    connection = None
            except (Broken, OSError, EOFError) as error:
                outcome, text = "broken", repr(error)
                connection = None
            with self.lock:
                self.count += 1
                self.outcomes[method, outcome] += 1
                if outcome == 200 and text.split()[-1] != path:
                    self.foreign.append((path, text))
                if outcome != 200 and (method == "GET" or outcome != 502):
                    self.lost.append((method, path, outcome, text[:300]))
        if connection:
            connection.close()


def test_a_week_of_faults_loses_no_get_and_repeats_no_post(world, tmp_path, person):
    pairs = [Certificate(["localhost", "127.0.0.1"], issuer=world.authority) for _ in range(3)]
    files = pairs[0].write(tmp_path, "api")
    tls = {"name": "tls", "address": "127.0.0.1:0", "tls": {"certificates": [files]}}
    with contextlib.ExitStack() as closing:
        moody = closing.enter_context(contextlib.closing(Moody()))
        lines = []

        def serve(routes):
            routes["listeners"] = [world.clear_listener, tls]
            routes["upstreams"]["farm"]["servers"].append(moody.url)
            lines.append(Line(world, routes))
            closing.callback(lines[0].end)
            return lines[0].gateway

        farm = Farm(world, closing, person, serve=serve, healthCheck=Farm.CHECK)
        line, gateway = lines[0], farm.gateway
        token = world.issuer.token(person)

        def callers(round):
            return Callers(gateway.ports, world.tls, person, token, round)

        def reload(number):
            route = world.route(f"/number/{number}", forward={"to": "farm"})
            gateway.routes["routes"] = [gateway.routes["routes"][0], route]
            seen = line.said.count("reloaded")
            replaced(gateway.file, json.dumps(gateway.routes).encode())
            os.kill(line.pid, signal.SIGHUP)
            until(lambda: line.said.count("reloaded") > seen, f"reload {number}\n{line.said}", 30)

        def kill(index, load):
            farm.kill(index)
            load.more()
            farm.start(index)
            farm.wait_until_well()

        def size():
            return descriptors(line.pid), status_of(line.pid, "VmRSS")

        rounds = [callers(0), callers(1)]
        with rounds[0] as load:
            for index in range(3):
                load.more()
                kill(index, load)
            unwell = line.said.count("is unwell")
            farm.signal(0, signal.SIGSTOP)
            until(lambda: line.said.count("is unwell") > unwell, "the frozen one to be seen", 30)
            load.more()
            farm.signal(0, signal.SIGCONT)
            farm.wait_until_well()
            for mood in ("resets", "slow", "well"):
                moody.mood = mood
                load.more(200)
            for pair in pairs[1:]:
                seen = line.said.count("reloaded")
                replaced(files["chain"], pair.chain_pem)
                replaced(files["key"], pair.key_pem)
                until(lambda: line.said.count("reloaded") > seen, "the certificate", 30)
                load.more()
            for number in range(10):
                reload(number)
                load.more(50)
            line.upgrade()
            load.more(200)
        line.gone(line.pids[0])
        before = size()
        with rounds[1] as load:
            kill(1, load)
            moody.mood = "resets"
            load.more(200)
            moody.mood = "well"
            reload(10)
            load.more(200)
        until(lambda: size()[0] <= before[0] + 8, f"its descriptors {size()} after {before}", 30)
        after = size()
        farm.end()
        served = collections.Counter(path for method, path in moody.served if method == "POST")
        for log in farm.folder.glob("served-*.log"):
            served.update(re.findall(r'"POST (\S+) ', log.read_text()))
    outcomes = sum((load.outcomes for load in rounds), collections.Counter())
    lost = sum((load.lost for load in rounds), [])
    gets = sum(count for (method, _), count in outcomes.items() if method == "GET")
    posts = sum(count for (method, _), count in outcomes.items() if method == "POST")
    print(
        f"N = {gets} GET, {len(lost)} lost (fewer than {3 / gets:.1e}); {posts} POST, "
        f"{outcomes['POST', 502]} unanswered, {sum(count > 1 for count in served.values())} twice; "
        f"descriptors and KiB {before} then {after}: {dict(outcomes)}"
    )
    assert not lost, lost[:5]
    said = line.said + gateway.log_text()
    assert said.count("\n") > gets
    # Whole tokens, and the beginnings of every one that was exchanged.
    for secret in (token, SECRET, "Bearer ", "eyJhbGciOi", "eyJ0eXAiOi", "eyJraWQiOi"):
        assert secret not in said
    assert not any(load.foreign for load in rounds), [load.foreign[:3] for load in rounds]
    assert served and max(served.values()) == 1, [p for p, n in served.items() if n > 1][:5]
    # A kill, a freeze and a mood take what is on its way with them, one a caller at most; while the
    # server resets all that it gets, it is left out after a few.
    assert outcomes["POST", 502] <= posts // 4
    if "TOLLGATE_SANITIZER" not in os.environ:  # it keeps what was freed for a while
        assert after[1] < before[1] + (32 << 10), "its memory"
