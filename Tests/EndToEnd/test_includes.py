"""A routes file in several files, and what all of its routes have in common."""

import json
import signal
import subprocess

import pytest
from harness.client import ask
from harness.program import tollgate_binary


def answering(path, **more):
    return {"match": {"path": path}, "authenticate": "none", "respond": {"body": path}} | more


@pytest.fixture
def team(world):
    """The folder of a team's files beside the routes file of the next gateway."""
    folder = world.folder / "routes.d"
    folder.mkdir(exist_ok=True)
    for file in folder.iterdir():
        file.unlink()
    return folder


def written(folder, name, **content):
    (folder / name).write_text(json.dumps(content, indent=2))


def test_files_are_one_and_errors_are_in_the_one_that_made_them(world, team, person):
    written(team, "a.json", routes=[answering("/a"), answering("/b")])
    written(team, "orders.json", upstreams={"orders": {"servers": world.upstream.url}},
            routes=[{"match": {"path": "/orders/*"}}])  # fmt: skip
    routes = world.routes(
        answering("/main"),
        include=["../routes.d/*.json"],
        defaults={"exchange": {"audience": "orders"}, "forward": {"to": "orders"}},
    )
    with world.gateway(routes) as gateway:
        for path in ("/main", "/a", "/b"):
            assert ask(gateway.port, "GET", path).body.decode() == path
        assert world.ask(gateway, "GET", "/orders/1", person).status == 200
        # A file of a mistake changes nothing, and is named.
        written(team, "broken.json", routes=[answering("/c", recpond={})])
        gateway.signal(signal.SIGHUP)
        gateway.wait_until(lambda: "nothing has changed" in gateway.said(), "the refusal")
        said = gateway.said()
        assert "broken.json:" in said and "routes[0].recpond" in said
        assert 'did you mean "respond"' in said
        written(team, "broken.json", routes=[answering("/c")])
        gateway.signal(signal.SIGHUP)
        gateway.wait_until(lambda: ask(gateway.port, "GET", "/c").status == 200, "its routes")


def test_files_that_change_come_or_go_are_noticed(world, team):
    written(team, "a.json", routes=[answering("/a")])
    with world.gateway(world.routes(include=["../routes.d/*.json"])) as gateway:
        assert ask(gateway.port, "GET", "/a").status == 200
        written(team, "a.json", routes=[answering("/changed")])
        gateway.wait_until(lambda: ask(gateway.port, "GET", "/changed").status == 200, "the change")
        written(team, "new.json", routes=[answering("/new")])
        gateway.wait_until(lambda: ask(gateway.port, "GET", "/new").status == 200, "a new file")
        (team / "a.json").unlink()
        gateway.wait_until(lambda: ask(gateway.port, "GET", "/changed").status == 401, "its end")
        assert ask(gateway.port, "GET", "/new").status == 200


def test_check_tells_of_all_files_at_once(world, team, tmp_path):
    written(team, "one.json", issuers={"corp": {"issuer": "https://x", "audiences": "any"}})
    written(team, "two.json", routes=[answering("/a", nmae="x")], limits={})
    file = tmp_path / "routes.json"
    file.write_text(json.dumps(world.routes(include=[f"{team}/*.json", "gone.json"]), indent=2))
    env = {"GATEWAY_SECRET": "x", "SWIFT_BACKTRACE": "enable=no"}
    run = subprocess.run([tollgate_binary(), "check", file], capture_output=True, text=True,
                         env=env, timeout=30)  # fmt: skip
    assert run.returncode == 1
    said = run.stdout + run.stderr
    assert f"{team}/one.json:3:5: issuers.corp: given twice; it is at {file}:" in said
    assert f"{team}/two.json:" in said and "routes[0].nmae" in said and ": limits: unknown" in said
    assert "include[1]" in said and "gone.json" in said


def test_defaults_hold_for_every_route_that_says_nothing_else(world, person):
    defaults = {
        "forward": {"to": world.upstream.url, "via": False, "headers": {"set": {"X-All": "1"}}},
        "exchange": {"audience": "orders"},
        "limits": {"body": "4B"},
    }
    routes = world.routes(
        {"match": {"path": "/a/*"}},
        {"match": {"path": "/b/*"}, "limits": {"body": "8B"},
         "forward": {"via": True, "headers": {"set": {"X-More": "2"}}}},
        {"match": {"path": "/open/*"}, "authenticate": "none"},
        answering("/own"),
        defaults=defaults,
    )  # fmt: skip
    world.upstream.promise.kinds["/open"] = "none"
    with world.gateway(routes) as gateway:
        answer = world.ask(gateway, "POST", "/a/x", person, body=b"1234")
        assert answer.seen("x-all") == ["1"] and answer.seen("via") == []
        assert world.ask(gateway, "POST", "/a/x", person, body=b"12345").status == 413
        answer = world.ask(gateway, "POST", "/b/x", person, body=b"12345678")
        assert answer.seen("x-all") == ["1"] and answer.seen("x-more") == ["2"]
        assert answer.seen("via") == ["1.1 tollgate"]
        assert ask(gateway.port, "GET", "/open/x").seen("x-all") == ["1"]
        assert ask(gateway.port, "GET", "/own").body == b"/own"
