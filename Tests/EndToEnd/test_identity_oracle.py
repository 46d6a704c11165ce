"""The identity oracle in short; a million requests of it are in Reliability."""

import json

import pytest
from harness.keys import Key, claims_of, mint
from harness.oracle import Oracle

REQUESTS = 20_000


@pytest.mark.timeout(300)
def test_every_answer_is_its_own_callers_whatever_goes_wrong(world, tmp_path):
    oracle = Oracle(world, tmp_path, REQUESTS).run()
    figures, judged = oracle.figures, oracle.judged
    print("\n" + oracle.report())
    assert figures["mismatches"] == judged["mismatches"] == 0, oracle.complaints
    # And it was asked: answers were compared, callers left, forged tokens came.
    assert figures["requests"] >= REQUESTS
    assert figures["compared"] >= REQUESTS * 0.8, oracle.report()
    assert min(figures["aborted"], figures["forged"], oracle.counts["reloads"]) >= 20
    assert judged["requests"] >= figures["compared"]
    # No answer is lost to a reload, and Redis' troubles are no caller's.
    assert figures["lost"] == 0, oracle.report()
    assert figures["other"] <= REQUESTS * 0.01, oracle.report()


def test_the_oracle_sees_what_is_wrong(world, tmp_path):
    """What it is for, shown on services' logs that are wrong in one thing each."""
    oracle = Oracle(world, tmp_path, 0)
    tokens, caller = world.tokens, world.issuer.token("person-1")

    def issued(person, audience, **changes):
        claims = {"iss": tokens.url, "sub": person, "aud": audience, "act": {"sub": "gateway"}}
        return mint(tokens.key, claims | changes)

    good = issued("person-1", "orders")
    other = Key("ES256", kid=tokens.key.kid)
    lines = {
        f"orders /orders/person-1/7 7 Bearer {good}": 0,
        f"orders /own/person-1/7 7 Bearer {issued('gateway', 'orders')}": 0,
        f"orders /own/person-1/7 7 Bearer {good}": 1,
        f"orders /orders/person-2/7 7 Bearer {good}": 1,
        f"billing /orders/person-1/7 7 Bearer {good}": 1,
        f"orders /orders/person-1/7 7 Bearer {caller}": 1,
        "orders /orders/person-1/7 7 -": 1,
        f"orders /orders/person-1/7 7 Bearer {good[:-4]}AAAA": 1,
        f"orders /orders/person-1/7 7 Bearer {mint(other, claims_of(good))}": 1,
        f"orders /orders/person-1/7 7 Bearer {issued('person-1', 'orders', iss='x')}": 1,
    }
    file = tmp_path / "lines"
    for line, wrong in lines.items():
        file.write_text(line + "\n")
        judge = oracle.start("judge", file, oracle.key, tokens.url)
        out, _ = judge.communicate(timeout=30)
        assert json.loads(out)["mismatches"] == wrong, line
