"""Outages of 30 s: what callers see by the second after it is over, without an operator."""

import time

import pytest
from harness.outage import Behind, Callers, said
from harness.waiting import until

OUTAGE, WITHIN, WATCHED = 30, 10, 10


@pytest.mark.timeout(300)
@pytest.mark.parametrize("what", ["token service", "redis", "upstream"])
def test_99_of_100_are_well_within_10_s_of_the_return(world, tmp_path, person, what):
    """At 80 % of what the upstream, with as many connections as it may have, can do; every request
    has a token exchanged anew, and every caller comes again three times."""
    at_once, latency = 8, 0.2
    behind = Behind(world, tmp_path, concurrency=at_once, latency=latency)
    if what != "upstream":
        # The exchanges have room: 64 at once, as they have where nothing else is said.
        behind.concurrency = 64
    rate = 0.8 * at_once / latency
    try:
        with world.gateway(behind.routes(), environ=behind.environ) as gateway:
            with Callers(world, gateway.port, person, rate) as callers:
                until(lambda: len(callers.answers) >= 3 * rate, "callers", 30)
                behind.down(what)
                lost = time.monotonic()
                until(lambda: time.monotonic() > lost + OUTAGE, "it", OUTAGE + 5, pause=0.5)
                behind.up(what)
                back = time.monotonic()
                end = back + WITHIN + WATCHED
                until(lambda: time.monotonic() > end, "it", WITHIN + WATCHED + 5, pause=0.5)
            during, asked = callers.share(lost + 1, back)
            share, count = callers.share(back + WITHIN, end)
            print(f"\n{what}: in the outage {100 * during:.1f} % of {asked} answers were good")
            print(f"by second after it: {said(callers.since(back))}")
            print(f"from {WITHIN} s on: {100 * share:.2f} % of {count}")
            assert count >= 0.9 * rate * WATCHED and share >= 0.99
            assert behind.most <= behind.concurrency
            if what == "redis":
                assert during == 1
    finally:
        behind.close()
