"""A secret is changed and the routes file read again, while the former one's calls go on."""

import base64
import threading
import urllib.parse

import pytest
from harness.waiting import until

OLD, NEW = "the-former-secret", "the-latter-secret"


class Gateway:
    """A gateway whose exchanges' secret is in a file, and a token service that may refuse it.

    `/own` is a public route that bears the gateway's own token, `/people` exchanges.
    """

    def __init__(self, world, folder, **more):
        self.world, self.secret = world, folder / "secret"
        self.secret.write_text(OLD)
        corp = {"client": {"secret": {"env": None, "file": str(self.secret)}}, "retries": 0} | more
        own = corp | {"grant": "client-credentials", "tokenService": world.tokens.endpoint}
        own["client"] = own["client"] | {"id": "gateway"}
        routes = world.routes(
            world.route("/people/*"),
            world.route("/own/*", authenticate="none", exchange=None,
                        clientCredentials={"with": "own", "audience": "orders"}),
            exchanges={"corp": corp, "own": own},
        )  # fmt: skip
        world.upstream.promise.kinds["/own"] = "own"
        self.running = world.gateway(routes)

    def __enter__(self):
        self.gateway = self.running.__enter__()
        return self

    def __exit__(self, *about):
        return self.running.__exit__(*about)

    def change_secret(self):
        said = len(self.gateway.err.read_text())
        self.secret.write_text(NEW)
        self.gateway.signal(1)
        until(lambda: "reloaded" in self.gateway.err.read_text()[said:], "the reload")

    def ask(self, kind, person, token):
        if kind == "own":
            return self.world.ask(self.gateway, "GET", "/own/x", person, token=False)
        return self.world.ask(self.gateway, "GET", "/people/x", person, token)


def secret_of(call):
    plain = base64.b64decode(call.authorization.removeprefix("Basic ")).decode()
    return urllib.parse.unquote_plus(plain.partition(":")[2])


@pytest.fixture
def secrets(world):
    """Either secret is right; which of them was shown is in the calls."""
    before = world.tokens.secret
    world.tokens.secret = NEW
    yield
    world.tokens.secret = before


KINDS = ["own", "people"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("error", ["invalid_client", "unauthorized_client"])
def test_nobody_waits_for_a_call_with_the_former_secret(
    world, tmp_path, secrets, person, kind, error
):
    """It ends by its own, and what comes of it is nothing to those who came later."""
    gates = {OLD: threading.Event(), NEW: threading.Event()}
    shown = []

    def held(call, handler):
        secret = secret_of(call)
        shown.append(secret)
        gates[secret].wait(30)
        if secret == NEW:
            return False
        world.tokens.send(handler, 400, {"error": error})
        return True

    world.tokens.failure = held
    token, answers = world.issuer.token(person), {}

    def asking(name):
        thread = threading.Thread(
            target=lambda: answers.update({name: gateway.ask(kind, person, token)})
        )
        thread.start()
        return thread

    with Gateway(world, tmp_path) as gateway:
        first = asking("first")
        until(lambda: shown == [OLD], "the first call")
        gateway.change_secret()
        second = asking("second")
        until(lambda: shown == [OLD, NEW], "a call with the new secret")
        gates[NEW].set()
        second.join(30)
        assert answers["second"].status == 200
        gates[OLD].set()
        first.join(30)
        assert answers["first"].problem == "exchange_misconfigured"
        # What came of the new one is kept, though the other ended later.
        for _ in range(8):
            assert gateway.ask(kind, person, token).status == 200
        assert shown == [OLD, NEW]


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_former_secret_was_refused_is_asked_again(
    world, tmp_path, secrets, person, kind
):
    """Neither a remembered refusal nor an open breaker outlives the secret."""
    more = {"cache": {"denied": "10m"}, "breaker": {"failures": 1, "cooldown": "10m"}}
    errors = iter(["unauthorized_client", "invalid_client"])
    shown = []

    def refuse(call, handler):
        shown.append(secret_of(call))
        if shown[-1] == NEW:
            return False
        world.tokens.send(handler, 401, {"error": next(errors)})
        return True

    world.tokens.failure = refuse
    token, other = world.issuer.token(person), world.issuer.token(person)
    with Gateway(world, tmp_path, **more) as gateway:
        for _ in range(3):
            assert gateway.ask(kind, person, token).problem == "exchange_misconfigured"
        assert shown == [OLD]
        if kind == "people":
            assert gateway.ask(kind, person, other).problem == "exchange_misconfigured"
            assert gateway.ask(kind, person, world.issuer.token(person)).status == 503
            assert shown == [OLD] * 2
        before = len(shown)
        gateway.change_secret()
        assert gateway.ask(kind, person, token).status == 200
        assert shown[before:] == [NEW]


def test_the_same_secret_is_waited_for_over_a_reload(world, tmp_path, secrets, person):
    world.tokens.secret = OLD
    gate = world.tokens.held()
    token, answers = world.issuer.token(person), []
    with Gateway(world, tmp_path) as gateway:
        body = lambda: answers.append(gateway.ask("people", person, token).status)  # noqa: E731
        threads = [threading.Thread(target=body) for _ in range(2)]
        threads[0].start()
        assert world.tokens.wait_for_calls(1) == 1
        said = len(gateway.gateway.err.read_text())
        gateway.gateway.signal(1)
        until(lambda: "reloaded" in gateway.gateway.err.read_text()[said:], "the reload")
        threads[1].start()
        gate.set()
        for thread in threads:
            thread.join(30)
        assert answers == [200, 200]
        assert len(world.tokens.calls_for(token)) == 1
