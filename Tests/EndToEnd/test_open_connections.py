"""Connections that are open when another configuration takes over: what goes on by which."""

import json

import pytest
from harness.certificates import Certificate
from harness.client import Connection, request_bytes
from harness.waiting import until


def taken_up(gateway):
    """Has the gateway take up its routes as they are now."""
    gateway.file.write_text(json.dumps(gateway.routes))
    status, text = gateway.admin("/reload", "POST")
    assert status == 200, text


# -- limits


@pytest.fixture
def gateway(world):
    with world.gateway(world.routes(limits={"headers": "4KiB"})) as gateway:
        yield gateway


BIG, SMALL = [("X-Filler", "f" * 2_000)], ()


def test_an_open_connection_has_the_limits_that_run(world, gateway, person):
    token = world.issuer.token(person)

    def ask(connection, fields):
        return connection.request("GET", "/x", person, token, fields)

    with world.connect(gateway) as kept, world.connect(gateway) as fresh:
        assert ask(kept, BIG).status == 200
        gateway.routes["limits"] = {"headers": "2KiB"}
        taken_up(gateway)
        assert ask(kept, SMALL).status == 200
        # One that has not asked for anything yet.
        assert ask(fresh, BIG).problem == "headers_too_large"
        gateway.routes["limits"] = {"headers": "8KiB"}
        taken_up(gateway)
        assert ask(kept, BIG * 3).status == 200
        gateway.routes["limits"] = {"headers": "2KiB"}
        taken_up(gateway)
        assert ask(kept, BIG).problem == "headers_too_large"


def test_a_head_that_is_half_there_is_judged_by_the_limits_that_run(world, gateway, person):
    token = world.issuer.token(person)
    half = request_bytes("GET", "/x", person, token, BIG)
    with world.connect(gateway) as longer, world.connect(gateway) as shorter:
        for connection in (longer, shorter):
            connection.send(half[:500])
        # They are read before the reload is: the admin address is a caller of the same loop.
        until(lambda: gateway.admin("/readyz")[0] == 200, "an answer")
        gateway.routes["limits"] = {"headers": "2KiB"}
        taken_up(gateway)
        shorter.send(half[500:])
        assert shorter.answer().problem == "headers_too_large"
        gateway.routes["limits"] = {"headers": "4KiB"}
        taken_up(gateway)
        longer.send(half[500:])
        assert longer.answer().status == 200


# -- certificates


@pytest.fixture
def pair(world, tmp_path):
    made = {}
    for name in ("one.example", "two.example"):
        made[name] = Certificate([name], issuer=world.authority).write(tmp_path, name)
    return made


def test_a_connection_is_for_the_hosts_of_the_certificate_that_it_was_shown(
    world, pair, person, tmp_path
):
    """However the list of certificates is written by then."""
    token = world.issuer.token(person)
    one, two = pair.values()
    tls = {"certificates": [one, two]}
    listener = {"name": "tls", "address": "127.0.0.1:0", "tls": tls}
    renewed = Certificate(["one.example", "uno.example"], issuer=world.authority)
    third = Certificate(["three.example"], issuer=world.authority).write(tmp_path, "three")
    later = [
        [two, one],
        [two, renewed.write(tmp_path, "renewed")],
        [third, two, one],
        [two, third],
        [one, two],
    ]
    with world.gateway(world.routes(listeners=[listener])) as gateway:
        with Connection(gateway.port, world.tls, "one.example") as connection:

            def judged(host):
                answer = connection.request("GET", "/x", person, token, host=host)
                return answer.status if answer.status == 200 else answer.problem

            assert (judged("one.example"), judged("two.example")) == (200, "misdirected")
            for certificates in later:
                gateway.routes["listeners"][0]["tls"] = {"certificates": certificates}
                taken_up(gateway)
                assert judged("one.example") == 200
                assert judged("two.example") == "misdirected"
                # What is nobody's is matched as usual.
                assert judged("four.example") == 200
                known = third in certificates
                assert judged("three.example") == ("misdirected" if known else 200)
