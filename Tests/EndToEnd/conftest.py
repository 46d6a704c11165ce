"""What every module of black-box tests shares."""

import os
import pathlib
import re
import sys
import zlib

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "Support"))
pytest.register_assert_rewrite("harness.client", "harness.gateway", "harness.world")

from harness import promise  # noqa: E402
from harness.client import Connection  # noqa: E402
from harness.world import World  # noqa: E402


def pytest_collection_modifyitems(config, items):
    """Leaves out, under a sanitizer, what only a plain build of the program can show, and rows of
    long tables: `TOLLGATE_SANITIZER_ROWS` is how many of a test's rows stay."""
    sanitizer = os.environ.get("TOLLGATE_SANITIZER")
    for item in items:
        if sanitizer and (mark := item.get_closest_marker("plain_build")):
            item.add_marker(pytest.mark.skip(f"{sanitizer} sanitizer: {mark.args[0]}"))
    if rows := int(os.environ.get("TOLLGATE_SANITIZER_ROWS", 0)):
        tables = {}
        for item in items:
            test = item.path, getattr(item, "originalname", item.name)
            tables.setdefault(test, []).append(item)
        kept = set()
        for table in tables.values():
            # Spread over the table, whose neighbours are mostly of a kind.
            count = min(rows, len(table))
            kept.update(table[index * len(table) // count] for index in range(count))
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = [item for item in items if item in kept]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Issuer, token service and upstream of this module."""
    world = World(tmp_path_factory.mktemp("world"))
    yield world
    world.close()


@pytest.fixture(params=["clear", "tls"])
def connection(request, world, gateway):
    """A connection to the module's gateway, whose listeners are the world's two: each in turn."""
    tls = world.tls if request.param == "tls" else None
    with Connection(gateway.ports[request.param], tls) as connection:
        yield connection


@pytest.fixture
def person(request):
    """A person nobody else is: the name of the test."""
    name = re.sub(r"[^A-Za-z0-9_]+", "-", request.node.name)
    return f"{name[:70]}-{zlib.crc32(request.node.name.encode()) & 0xFFFF:04x}"


@pytest.fixture(autouse=True)
def promise_kept(request):
    """No test passes in which an upstream saw what it must never see."""
    before = len(promise.broken)
    yield
    broken = promise.broken[before:]
    assert not broken, "the promise was broken:\n" + "\n".join(broken)


@pytest.fixture(autouse=True)
def token_service_pleased(request):
    """No test passes in which the token service was asked wrongly; all behave well afterwards."""
    yield
    if "world" in request.fixturenames:
        world = request.getfixturevalue("world")
        complaints, world.tokens.complaints = world.tokens.complaints, []
        if world.tokens.gate:
            world.tokens.gate.set()
        world.tokens.reset()
        assert not complaints, f"the token service was asked wrongly: {complaints}"


def pytest_sessionfinish(session, exitstatus):
    if hasattr(session.config, "workeroutput"):  # one of several processes that run tests
        session.config.workeroutput["broken"] = promise.broken
    elif promise.broken and exitstatus == 0:
        session.exitstatus = 1


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    promise.broken += getattr(node, "workeroutput", {}).get("broken", [])


def pytest_terminal_summary(terminalreporter):
    if promise.broken:
        terminalreporter.section("the promise was broken")
        for text in promise.broken:
            terminalreporter.write_line(text)
