"""The identity oracle: a million requests, and no answer but its own caller's."""

import pytest
from harness.oracle import Oracle

REQUESTS = 1_000_000


@pytest.mark.timeout(3600)
def test_a_million_requests_get_their_own_callers_answers(world, tmp_path):
    oracle = Oracle(world, tmp_path, REQUESTS, connections=128, seed=2, step=2_500).run()
    figures, judged = oracle.figures, oracle.judged
    print("\n" + oracle.report())
    assert figures["mismatches"] == judged["mismatches"] == 0, oracle.complaints
    assert figures["compared"] >= REQUESTS * 0.9
    assert judged["requests"] >= figures["compared"]
    assert figures["lost"] == 0
    assert figures["other"] <= REQUESTS * 0.01
