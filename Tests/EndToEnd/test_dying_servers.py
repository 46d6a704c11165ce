"""nginx servers that are killed, frozen and started again under load: no GET is lost."""

import contextlib
import os
import re
import signal

import pytest
from harness.load import Load
from harness.program import Nginx, session_of
from harness.waiting import free_port, listens, until


class Farm:
    """Three nginx servers, each a program of its own, and a gateway before them, which `serve`
    starts where one is given."""

    CHECK = {"path": "/", "interval": "100ms", "timeout": "300ms", "unhealthyAfter": 2}

    def __init__(self, world, closing, name, count=3, serve=None, **upstream):
        self.folder = world.folder / name
        self.folder.mkdir()
        self.world, self.closing = world, closing
        self.ports = [free_port() for _ in range(count)]
        self.programs = [None] * count
        self.starts = 0
        closing.callback(self.end)
        for index in range(count):
            self.start(index)
        upstreams = {"farm": {"servers": [f"http://127.0.0.1:{p}" for p in self.ports]} | upstream}
        routes = world.routes(
            world.route("/farm/*", forward={"to": "farm"}), upstreams=upstreams
        )
        self.gateway = serve(routes) if serve else closing.enter_context(world.gateway(routes))

    def start(self, index):
        self.starts += 1
        http = f"""server {{ listen 127.0.0.1:{self.ports[index]} backlog=511; keepalive_timeout 1h;
          keepalive_requests 1000000;
          access_log {self.folder}/served-{self.starts}.log;
          location / {{ return 200 'server {index} $request_uri'; }} }}"""
        self.programs[index] = Nginx(
            self.folder, http, self.ports[index], name=f"nginx-{index}-{self.starts}"
        )

    def signal(self, index, number):
        for pid in session_of(self.programs[index].pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill(self, index):
        self.signal(index, signal.SIGKILL)
        self.programs[index].wait()
        until(lambda: not listens(self.ports[index]), "its port to be closed")

    def unwell(self):
        """The servers that checks call unwell: the lines on it are left out where they repeat."""
        said = self.gateway.admin("/metrics")[1]
        return [
            index
            for index, port in enumerate(self.ports)
            if re.search(rf'^tollgate_upstream_healthy{{.*:{port}/?"}} 0$', said, re.MULTILINE)
        ]

    def wait_until_unwell(self, index):
        until(lambda: index in self.unwell(), f"server {index} to be unwell", 30)

    def wait_until_well(self):
        """Waits until each server that a check called unwell is well again: what no check trusts
        gets no request, and of three servers two would be left out."""
        until(lambda: not self.unwell(), "all servers to be well", 30)

    def end(self):
        for index, program in enumerate(self.programs):
            if program:
                self.signal(index, signal.SIGCONT)
                program.end()

    def load(self, person, **more):
        token = self.world.issuer.token(person)
        return Load(self.gateway.port, "/farm", person, token, **more)


def some_more(load, count=150):
    """Waits until so many more requests were answered."""
    end = load.count + count
    until(lambda: load.count >= end, f"{count} requests more", 60)


@pytest.mark.parametrize("checked", [False, True], ids=["unchecked", "checked"])
def test_servers_that_are_killed_cost_no_caller_anything(world, person, checked):
    more = {"healthCheck": Farm.CHECK} if checked else {}
    with contextlib.ExitStack() as closing:
        farm = Farm(world, closing, person, **more)
        with farm.load(person) as load:
            for round in range(3):
                some_more(load)
                farm.kill(round)
                some_more(load)
                farm.start(round)
                farm.wait_until_well()
        print(f"killed three times: {load.said()}")
        assert not load.lost, load.lost[:5]
        assert len(load.bodies) == 3, "all served"


def test_servers_that_freeze_cost_no_caller_anything(world, person):
    with contextlib.ExitStack() as closing:
        farm = Farm(world, closing, person, healthCheck=Farm.CHECK)
        with farm.load(person) as load:
            for round in range(3):
                some_more(load)
                farm.signal(round, signal.SIGSTOP)
                farm.wait_until_unwell(round)
                some_more(load)
                farm.signal(round, signal.SIGCONT)
                farm.wait_until_well()
        print(f"frozen three times: {load.said()}")
        assert not load.lost, load.lost[:5]


def test_a_post_is_never_sent_twice_when_its_server_dies(world, person):
    """It may fail, when it was on its way; the servers' own logs count what was served."""
    with contextlib.ExitStack() as closing:
        farm = Farm(world, closing, person)
        with farm.load(person, method="POST", body=b"once") as load:
            for round in range(2):
                some_more(load)
                farm.kill(round)
                some_more(load)
                farm.start(round)
        print(f"POST: {load.said()}")
        farm.end()
        served = sum(log.read_text().count("POST") for log in farm.folder.glob("served-*.log"))
        # nginx logs a request when it has answered it; killed, it may have answered and not logged.
        assert load.outcomes[200] - 2 * len(load.threads) <= served <= load.count
        assert set(load.outcomes) <= {200, 502}
        assert len(load.lost) <= 2 * len(load.threads)
