"""The identity oracle: who gets whose answer, asked a great many times while everything goes wrong.

Two gateways share a Redis. Callers who leave in the middle ask for 200 people, over TLS and in the
clear, and compare each answer: it must be that of their own request, and echo a valid exchanged
token of their own person for the service that answered. The services are nginx; what they were
sent, also for callers who had left by then, is judged again from their log. Meanwhile Redis is
paused, killed, emptied and its entries are swapped, the token service fails now and then, and
both gateways change between two routes files whose routes stand in another order and send one
path to another service.
"""

import contextlib
import json
import os
import pathlib
import random
import subprocess
import threading

from cryptography.hazmat.primitives import serialization

from .program import Nginx, compiled
from .redis import RedisError, RedisServer
from .waiting import free_port

HERE = pathlib.Path(__file__).resolve().parent
PEOPLE = 200
SERVICES = ("orders", "billing")
REDIS_KEY = "0" * 63 + "1"
TROUBLES = ["pause", "sleep", "hang up", "kill", "empty", "swap", "swap", "nothing"]


class Services:
    """Both services: an answer echoes what the service was sent, and a pipe has every request."""

    def __init__(self, folder):
        self.pipe = folder / "requests"
        os.mkfifo(self.pipe)
        self.ports = {name: free_port() for name in SERVICES}
        servers = "".join(
            f"""
  server {{
    listen 127.0.0.1:{port} backlog=4096 reuseport; server_name {name};
    keepalive_requests 100000000; keepalive_timeout 1h; client_max_body_size 1m;
    access_log {self.pipe} told;
    location / {{ return 200 "{name} $http_x_nonce $uri $http_authorization"; }}
  }}"""
            for name, port in self.ports.items()
        )
        log = "'$server_name $uri $http_x_nonce $http_authorization'"
        self.text = f"  log_format told escape=none {log};\n{servers}"
        self.folder = folder

    def start(self):
        """To be called when somebody reads the pipe."""
        return Nginx(self.folder, self.text, self.ports["orders"], name="services")


class Oracle:
    """The run and its figures: `figures` of the callers, `judged` of the judge."""

    def __init__(self, world, folder, requests, connections=64, aborts=20, seed=1, step=250):
        self.world, self.folder, self.requests = world, pathlib.Path(folder), requests
        self.connections, self.aborts, self.seed = connections, aborts, seed
        self.step = step  # after so many requests something goes wrong, however fast they are
        self.binary = compiled(HERE / "oracle.c", self.folder / "oracle", "-lssl", "-lcrypto")
        self.key = self.folder / "key.pem"
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        self.key.write_bytes(
            world.tokens.key.public.public_bytes(serialization.Encoding.PEM, form)
        )
        self.dice = random.Random(seed)
        self.ending = threading.Event()
        self.steps = threading.Semaphore(0)
        self.counts = {"redis": {}, "reloads": 0, "failures": 0}

    # -- who asks

    def write_tokens(self):
        """Two of each person, and some that are forged."""
        lines = []
        for number in range(PEOPLE):
            person = f"person-{number}"
            lines += [f"{person} {self.world.issuer.token(person)}" for _ in range(2)]
            if number % 40 == 0:
                lines.append(f"- {self.world.issuer.forged(person)}")
        self.dice.shuffle(lines)
        file = self.folder / "tokens"
        file.write_text("\n".join(lines) + "\n")
        return file

    # -- what is asked

    def routes(self, ports, url, other=False):
        """The one routes file or the other; both serve all that the callers ask for."""
        world = self.world

        def route(path, service, **more):
            to = f"http://127.0.0.1:{ports[service]}"
            more = {"exchange": {"with": "corp", "audience": service}} | more
            return world.route(path, forward={"to": to}, **more)

        own = {"with": "own", "audience": "orders"}
        routes = [
            route("/orders/*", "orders"),
            route("/billing/*", "billing"),
            route("/swap/*", "billing" if other else "orders"),
            route("/own/*", "orders", authenticate="none", exchange=None, clientCredentials=own),
        ]
        client = {"id": "gateway", "secret": {"env": "GATEWAY_SECRET"}}
        cache = {"maxLife": "1m", "size": "512KiB"}  # ends soon, and holds not quite all
        exchange = {"tokenService": world.tokens.endpoint, "client": client, "timeout": "20s"}
        return world.routes(
            *(routes[::-1] if other else routes),
            listeners=[world.clear_listener, world.tls_listener],
            accessLog="off",
            exchanges={
                "corp": exchange | {"cache": cache},
                "own": exchange | {"grant": "client-credentials", "cache": cache},
            },
            sharedCache={"url": url, "keys": [{"env": "REDIS_KEY"}]},
        )

    # -- what goes wrong

    def trouble_redis(self):
        """One trouble after the other, at each step, until the end."""
        while self.steps.acquire() and not self.ending.is_set():
            name = self.dice.choice(TROUBLES)
            with contextlib.suppress(OSError, EOFError, RedisError):
                getattr(self, name.replace(" ", "_"))()
                self.counts["redis"][name] = self.counts["redis"].get(name, 0) + 1

    def pause(self):
        self.redis.ask("CLIENT", "PAUSE", self.dice.randrange(20, 400))

    def sleep(self):
        self.redis.ask("DEBUG", "SLEEP", self.dice.randrange(20, 200) / 1000)

    def hang_up(self):
        self.redis.ask("CLIENT", "KILL", "TYPE", "normal")

    def kill(self):
        self.redis.kill()
        self.ending.wait(0.2)
        self.redis = self.redis.restarted()

    def empty(self):
        self.redis.ask("FLUSHALL")

    def nothing(self):
        pass

    def swap(self):
        """Gives people's entries to each other, as whoever owns the Redis could."""
        names = [name for name in self.redis.names() if not name.endswith(b":lock")]
        self.dice.shuffle(names)
        for one, two in zip(names[:20:2], names[1:20:2]):
            first, second = self.redis.ask("GET", one), self.redis.ask("GET", two)
            if first and second:
                self.redis.ask("SET", one, second, "PX", 60_000)
                self.redis.ask("SET", two, first, "PX", 60_000)

    def reload(self, number, texts):
        """The one gateway and then the other changes to its other file."""
        gateway, files = texts[number % 2]
        gateway.file.write_text(files[number // 2 % 2])
        gateway.signal(1)
        self.counts["reloads"] += 1

    def accompany(self, callers, texts):
        """Brings the troubles, as the callers get on, and returns what they say at the end."""
        trouble = threading.Thread(target=self.trouble_redis)
        trouble.start()
        try:
            for number, line in enumerate(callers.stdout):
                if not line.startswith("at "):
                    return line
                self.reload(number, texts)
                self.steps.release()
        finally:
            self.ending.set()
            self.steps.release()
            trouble.join(30)
        return ""

    def fail_now_and_then(self, _, handler):
        """A hundredth of all calls to the token service."""
        if self.dice.randrange(100):
            return False
        self.counts["failures"] += 1
        self.world.tokens.send(handler, 503, {})
        return True

    # -- the run

    def run(self):
        """What the callers and the judge say of so many requests."""
        world = self.world
        with contextlib.ExitStack() as closing:
            closing.callback(self.ending.set)
            services = Services(self.folder)
            judge = self.start("judge", services.pipe, self.key, world.tokens.url)
            closing.callback(end, judge)
            nginx = services.start()
            closing.callback(nginx.end)
            debug = ["enable-debug-command local"]
            self.redis = RedisServer(self.folder / "redis", lines=debug)
            closing.callback(lambda: self.redis.end())
            files = [self.routes(services.ports, self.redis.url, other) for other in (False, True)]
            environ = {"REDIS_KEY": REDIS_KEY}
            gateways = [
                closing.enter_context(world.gateway(files[0], environ=environ)) for _ in range(2)
            ]
            texts = [
                (gateway, [json.dumps(file | {
                    name: gateway.routes[name] for name in ("listeners", "admin")
                }) for file in files])
                for gateway in gateways
            ]  # fmt: skip
            ports = ",".join(
                f"{gateway.ports['clear']},t{gateway.ports['tls']}" for gateway in gateways
            )
            world.tokens.failure = self.fail_now_and_then
            callers = self.start(
                "ask", ports, self.requests, self.connections, self.aborts, self.seed,
                self.write_tokens(), self.key, world.tokens.url, self.step)  # fmt: skip
            closing.callback(end, callers)
            out = self.accompany(callers, texts)
            _, err = callers.communicate()
            world.tokens.failure = None
            assert callers.returncode == 0, err
            self.figures, self.complaints = json.loads(out), err
            for gateway in gateways:
                assert gateway.live()
            nginx.end()
            out, err = judge.communicate(timeout=60)
            self.judged = json.loads(out)
            self.complaints += err
        return self

    def start(self, *words):
        command = [self.binary, *(str(word) for word in words)]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip

    def report(self):
        """The figures as sentences, with the bound that no mismatch in so many gives (95 %)."""
        figures, judged = self.figures, self.judged
        troubles = ", ".join(f"{count} {name}" for name, count in self.counts["redis"].items())
        return (
            f"{figures['requests']} requests in {figures['seconds']} s: "
            f"{figures['compared']} answers compared, {figures['aborted']} left by their callers, "
            f"{figures['forged']} forged tokens, {figures['other']} other answers, "
            f"{figures['closed']} behind a last answer, {figures['lost']} lost; "
            f"statuses {figures['statuses']}; {figures['tokens']} exchanged tokens\n"
            f"{judged['requests']} requests judged at the services; "
            f"{len(self.world.tokens.calls)} exchanges, {self.counts['failures']} made to fail; "
            f"{self.counts['reloads']} reloads; Redis: {troubles}\n"
            f"mismatches: {figures['mismatches']} of the answers (95 %: fewer than "
            f"{3 / max(1, figures['compared']):.1e}), {judged['mismatches']} at the services "
            f"(95 %: fewer than {3 / max(1, judged['requests']):.1e})"
        )


def end(process):
    if process.poll() is None:
        process.kill()
        process.wait(10)
