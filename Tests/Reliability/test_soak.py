"""A day in a few minutes: callers who come, go in the middle, break off, ask for what is not
there, bring tokens that nobody knows, while the routes file is read again every now and then.

    SOAK_MINUTES=120 Tests/Reliability/run -k soak

What it prints is how the memory grows once it has warmed up (a third of the time), by a straight
line through the samples, and how many descriptors are left when all have gone.
"""

import contextlib
import json
import os
import random
import threading
import time

import pytest
from harness.client import Broken, Connection, request_bytes
from harness.program import descriptors, status_of
from harness.waiting import until

MINUTES = float(os.environ.get("SOAK_MINUTES", "3"))
CALLERS = 6
# At least: of a short run three.
RELOAD_SECONDS = min(60, MINUTES * 15)
SAMPLE_SECONDS = 2


class Caller(threading.Thread):
    """One after the other, by the dice; `failed` has what none of it explains."""

    def __init__(self, world, gateway, seed, ending):
        super().__init__()
        self.world, self.gateway, self.ending = world, gateway, ending
        self.dice = random.Random(seed)
        self.counts = {}
        self.failed = []
        self.known = [(p := f"known-{n}", world.issuer.token(p)) for n in range(20)]
        self.serial = seed * 1_000_000

    def run(self):
        kinds = [self.ask] * 12 + [self.new, self.leave, self.reset, self.miss, self.upload]
        while not self.ending.is_set():
            kind = self.dice.choice(kinds)
            try:
                kind()
                self.counts[kind.__name__] = self.counts.get(kind.__name__, 0) + 1
            except (Broken, OSError, AssertionError, EOFError) as error:
                self.failed.append((kind.__name__, repr(error)))
                self.ending.wait(0.5)

    def connect(self):
        if self.dice.randrange(3):
            return Connection(self.gateway.ports["clear"])
        return Connection(self.gateway.ports["tls"], self.world.tls)

    def ask(self):
        with self.connect() as connection:
            for _ in range(self.dice.randrange(1, 20)):
                person, token = self.dice.choice(self.known)
                assert connection.request("GET", "/x", person, token).status == 200

    def new(self):
        self.serial += 1
        person = f"new-{self.serial}"
        with self.connect() as connection:
            token = self.world.issuer.token(person, exp=int(time.time()) + 60)
            assert connection.request("GET", "/x", person, token).status == 200

    def leave(self):
        person, token = self.dice.choice(self.known)
        with self.connect() as connection:
            connection.send(request_bytes("GET", "/x", person, token))

    def reset(self):
        person, token = self.dice.choice(self.known)
        connection = self.connect()
        data = request_bytes("GET", "/x", person, token)
        connection.send(data[: self.dice.randrange(len(data) + 1)])
        connection.reset()

    def miss(self):
        with self.connect() as connection:
            assert connection.request("GET", "/nowhere/else").status == 404

    def upload(self):
        person, token = self.dice.choice(self.known)
        body = self.dice.randbytes(self.dice.randrange(200_000))
        with self.connect() as connection:
            answer = connection.request("POST", "/x", person, token, body=body)
            assert answer.status == 200 and answer.json()["size"] == len(body)


def slope(samples):
    """KiB an hour, of (seconds, KiB)."""
    count = len(samples)
    mean_x = sum(x for x, _ in samples) / count
    mean_y = sum(y for _, y in samples) / count
    spread = sum((x - mean_x) ** 2 for x, _ in samples)
    return sum((x - mean_x) * (y - mean_y) for x, y in samples) / spread * 3600


@pytest.mark.timeout(MINUTES * 60 + 300)
def test_soak(world):
    listeners = [world.clear_listener, world.tls_listener]
    upstreams = {"x": {"servers": [world.upstream.url], "idleTimeout": "1s"}}
    routes = world.routes(
        world.route("/x", forward={"to": "x"}), listeners=listeners, upstreams=upstreams
    )
    with world.gateway(routes) as gateway, contextlib.ExitStack() as closing:
        texts = [gateway.file.read_text()]
        other = json.loads(texts[0])
        other["routes"].append(world.route("/y"))
        texts.append(json.dumps(other))
        for port, tls in ((gateway.ports["clear"], None), (gateway.ports["tls"], world.tls)):
            with Connection(port, tls) as connection:
                assert connection.request("GET", "/nowhere").status == 404
        files = descriptors(gateway.pid)
        ending = threading.Event()
        closing.callback(ending.set)
        callers = [Caller(world, gateway, seed, ending) for seed in range(1, CALLERS + 1)]
        for caller in callers:
            caller.start()
        began = time.monotonic()
        samples, reloads = [], 0
        while (spent := time.monotonic() - began) < MINUTES * 60:
            samples.append((spent, status_of(gateway.pid, "VmRSS")))
            if spent >= (reloads + 1) * RELOAD_SECONDS:
                reloads += 1
                gateway.file.write_text(texts[reloads % 2])
                assert gateway.admin("/reload", "POST")[0] == 200
            # What the servers of the test keep of each request is nothing that is looked at here.
            world.upstream.requests.clear()
            world.tokens.calls.clear()
            ending.wait(SAMPLE_SECONDS)
        ending.set()
        for caller in callers:
            caller.join(60)
        failed = [one for caller in callers for one in caller.failed]
        counts = {}
        for caller in callers:
            for name, count in caller.counts.items():
                counts[name] = counts.get(name, 0) + count
        warm = [sample for sample in samples if sample[0] >= MINUTES * 20]
        # Idle connections to the token service live for half a minute.
        with contextlib.suppress(AssertionError):
            until(lambda: descriptors(gateway.pid) <= files + 2, "the descriptors", 60, pause=0.5)
        left = descriptors(gateway.pid)
        print(
            f"\n{MINUTES:g} minutes: {counts}, {reloads} reloads, {len(failed)} failed; memory "
            f"{samples[0][1]} KiB at first, {warm[0][1]} when warm, {warm[-1][1]} at the end, "
            f"{slope(warm) / 1024:+.1f} MiB an hour; descriptors {files} before, {left} after"
        )
        assert not failed, failed[:5]
        assert left <= files + 2
