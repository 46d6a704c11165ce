"""An outage of something behind the gateway, and what callers see by the second after it."""

import base64
import collections
import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from .client import Broken, ask
from .redis import RedisServer
from .upstream import Upstream


class Callers:
    """So many requests a second, whatever becomes of them, each of a person that nobody else is.

    Whoever is told 5xx, or nothing, comes again three times, a little later each time.
    """

    def __init__(self, world, port, person, rate):
        self.world, self.port, self.person, self.rate = world, port, person, rate
        self.answers = []  # when it came, and its status
        self.random = random.Random(1)
        self.ending = threading.Event()
        self.pool = ThreadPoolExecutor(max_workers=400)
        self.thread = threading.Thread(target=self.run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.thread.join()
        self.pool.shutdown()

    def run(self):
        began, number = time.monotonic(), 0
        while not self.ending.wait(max(0, began + number / self.rate - time.monotonic())):
            self.pool.submit(self.call, number)
            number += 1

    def call(self, number):
        name = f"{self.person}-{number}"
        token = self.world.issuer.token(name)
        for attempt in range(4):
            try:
                status = ask(self.port, "GET", "/x", name, token).status
            except (Broken, OSError):
                status = 0
            self.answers.append((time.monotonic(), status))
            if 0 < status < 500 or self.ending.wait(self.random.uniform(0.2, 0.6) * (attempt + 1)):
                return

    def since(self, moment):
        """By second after that moment: how many answers, and how many of them were good."""
        seconds = collections.defaultdict(lambda: [0, 0])
        for at, status in list(self.answers):
            if at >= moment:
                seconds[int(at - moment)][0] += 1
                seconds[int(at - moment)][1] += status == 200
        return dict(sorted(seconds.items()))

    def share(self, begin, end):
        """The part of the answers between two moments that was good, and how many there were."""
        statuses = [status for at, status in list(self.answers) if begin <= at < end]
        return statuses.count(200) / max(1, len(statuses)), len(statuses)


class Behind:
    """What a gateway depends on, to be taken away and brought back: a token service, Redis and
    an upstream that it may ask so much at once that it can answer so many requests a second."""

    def __init__(self, world, folder, concurrency, latency):
        self.world, self.concurrency = world, concurrency
        self.pause = threading.Event()
        self.latency = latency
        self.environ = {"CACHE_KEY": base64.b64encode(os.urandom(32)).decode()}
        self.redis = RedisServer(folder / "redis")
        self.upstream = Upstream([world.tokens], [world.issuer])
        self.behave()
        world.tokens.failure = self.slow_exchange
        self.most = self.now = 0
        self.lock = threading.Lock()

    def behave(self):
        def slow(exchange):
            exchange.read_body()
            self.pause.wait(self.latency)
            exchange.answer(200, b"well")

        self.upstream.on("/x", slow)

    def slow_exchange(self, call, handler):
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        self.pause.wait(self.latency)
        with self.lock:
            self.now -= 1
        return False

    def routes(self, breaker=None):
        """`workers` share every limit."""
        upstreams = {"behind": {"servers": [self.upstream.url],
                                "maxConnections": self.concurrency}}  # fmt: skip
        corp = {"concurrency": self.concurrency} | ({"breaker": breaker} if breaker else {})
        return self.world.routes(
            self.world.route("/x", forward={"to": "behind"}),
            upstreams=upstreams,
            exchanges={"corp": corp},
            sharedCache={"url": self.redis.url, "keys": [{"env": "CACHE_KEY"}]},
        )

    def down(self, what):
        match what:
            case "token service":
                self.world.tokens.down()
            case "redis":
                self.redis.kill()
            case "upstream":
                self.upstream.close()

    def up(self, what):
        match what:
            case "token service":
                self.world.tokens.up()
            case "redis":
                self.redis = self.redis.restarted()
            case "upstream":
                port = self.upstream.port
                self.upstream = Upstream([self.world.tokens], [self.world.issuer], port=port)
                self.behave()

    def close(self):
        self.world.tokens.reset()
        self.redis.end()
        self.upstream.close()


def said(answers_by_second):
    """A line for people: of how many answers of each second how many were good."""
    return " ".join(f"{good}/{all}" for all, good in answers_by_second.values())
