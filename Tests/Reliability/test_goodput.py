"""What is served when more comes than can be: at half of what one worker can, at all of it, at
twice and at five times as much, from callers who come whether or not others were answered.

The gateway has core 0, the callers have the others. Each has a connection of 3,000, as many as the
gateway may be given, and gives up where none is free for a quarter of its patience.

What is printed are ratios within one run, of what was answered 200 in time to the most that was at
any rate, or to all that could be where less was offered: the middle of three rounds, and in
brackets all of them, which is the noise. Beside them stands what was answered 200 in a second of
the gateway's own CPU time, as others may want the core, too. Asserted is only that nothing
collapses.
"""

import contextlib
import json
import os
import pathlib
import resource
import statistics
import subprocess

import pytest
from harness.keys import mint
from harness.program import compiled
from harness.world import World

HERE = pathlib.Path(__file__).resolve().parent
CONNECTIONS = 3_000
SECONDS = 3
RATES = (0.5, 1, 2, 5, 1, 2, 5, 1, 2, 5)
MARKS = ((2, 0.9), (5, 0.7))
DEADLINE_MS = 1_000
WAIT_MS = DEADLINE_MS // 4
KNOWN = 100


@pytest.fixture(scope="module")
def callers(tmp_path_factory):
    binary = tmp_path_factory.mktemp("open-loop") / "open_loop"
    return compiled(HERE / "open_loop.c", binary, "-lm")


@pytest.fixture(scope="module")
def slow_world(tmp_path_factory):
    """Tokens that take long to verify, and some that don't."""
    world = World(tmp_path_factory.mktemp("slow"), algorithms=("ES384", "RS256"))
    yield world
    world.close()


@contextlib.contextmanager
def many_files():
    """As many descriptors as there may be, for who is started meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < CONNECTIONS * 2:
        pytest.skip("too few descriptors on this machine")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def cpu_ns(pid):
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(OSError):
            total += int(pathlib.Path(f"/proc/{pid}/task/{task}/schedstat").read_text().split()[0])
    return total


class Run:
    """One gateway and its callers; each run of theirs has tokens that were never seen before."""

    def __init__(self, binary, gateway, tokens, every):
        self.binary, self.gateway, self.tokens, self.every = binary, gateway, tokens, every
        self.fresh = 0

    def ask(self, rate, connections=CONNECTIONS, seconds=SECONDS):
        words = [
            self.binary, self.gateway.port, rate, seconds, connections, self.tokens, KNOWN,
            self.every, self.fresh, DEADLINE_MS, WAIT_MS,
        ]  # fmt: skip
        others = set(range(os.cpu_count())) - {0} or {0}
        process = subprocess.Popen(
            [str(word) for word in words], stdout=subprocess.PIPE,
            preexec_fn=lambda: os.sched_setaffinity(0, others),
        )  # fmt: skip
        with process:
            assert process.stdout.readline() == b"warm\n"
            before = cpu_ns(self.gateway.pid)
            figures = json.loads(process.stdout.read())
        self.fresh = figures["fresh"]
        spent = (cpu_ns(self.gateway.pid) - before) / 1e9
        figures["per_cpu"] = (figures["good"] * seconds + figures["late"]) / spent
        figures["refused_per_cpu"] = figures["refused"] / spent
        return figures


def routes(world):
    """The gateway answers itself: what is measured is what it does with tokens."""
    route = world.route("/*", exchange="strip", forward=None, respond={"status": 200, "body": "."})
    return world.routes(route, workers=1, accessLog="off")


def judge(name, run, share=1.0):
    """`share`: of the requests, those that are to be answered 200."""
    # As much as one core serves of callers who wait for their answers.
    figures = run.ask(0, connections=64, seconds=3)
    capacity = figures["per_cpu"]
    offered = capacity + figures["refused_per_cpu"]
    lines, all_figures = [], []
    for factor in RATES:
        figures = run.ask(offered * factor)
        all_figures.append((factor, figures))
        lines.append(
            f"  {factor:>3} x: good {figures['good']:.0f}/s of {figures['offered'] * share:.0f}/s, "
            f"shed {figures['shed']}, late {figures['late']}, given up {figures['given_up']}, "
            f"{figures['per_cpu']:.0f} by CPU second, of those answered 200 "
            f"p50 {figures['p50']:.1f} ms, p99 {figures['p99']:.1f} ms "
            f"({figures['sent_p99']:.1f} since they were sent)"
        )
    ratios = ratios_of(all_figures, share)
    shown = ", ".join(
        f"{factor} x {statistics.median(all_of):.2f} ({' '.join(f'{one:.2f}' for one in all_of)})"
        for factor, all_of in ratios.items()
    )
    marks = ", ".join(
        f"{factor} x {'pass' if statistics.median(ratios[factor]) >= mark else 'MISSED'} "
        f"(at least {mark})"
        for factor, mark in MARKS
    )
    print(f"\n{name}: {capacity:.0f} by CPU second for 64 who wait")
    print("\n".join([*lines, f"  of the most that could be: {shown}: {marks}"]))
    for factor, _ in MARKS:
        assert max(ratios[factor]) > 0.35, f"{name} collapses at {factor} x"
    assert run.gateway.admin("/readyz")[0] == 200
    # It ends by itself.
    after = run.ask(offered * 0.3, seconds=2)
    late = run.ask(offered * 0.3, seconds=2)
    print(f"  afterwards, at 0.3 x: shed {after['shed']}, then {late['shed']}")


def ratios_of(all_figures, share):
    peak = max(figures["good"] for _, figures in all_figures)
    ratios = {}
    for factor, figures in all_figures:
        possible = min(peak, figures["offered"] * share)
        ratios.setdefault(factor, []).append(figures["good"] / possible)
    return ratios


def pinned():
    os.sched_setaffinity(0, {0})


@pytest.mark.timeout(900)
def test_goodput_with_tokens_that_are_all_new(slow_world, callers, tmp_path):
    """Each ES384, so that what is turned away costs a fraction of what is served."""
    key = slow_world.issuer.key_of("ES384")
    with many_files(), slow_world.gateway(routes(slow_world), prepare=pinned) as gateway:
        tokens = tmp_path / "tokens"
        # Forged ones first, which stay unknown: they tell how many are wanted.
        per_second = forged_rate(slow_world, Run(callers, gateway, tokens, 1), tokens)
        count = int(per_second * (3 + SECONDS * sum(RATES) + 2)) + KNOWN
        print(f"\nmaking {count} tokens")
        with tokens.open("w") as file:
            for number in range(count):
                file.write(mint(key, slow_world.issuer.claims(f"p{number}")) + "\n")
        judge("new ES384 tokens", Run(callers, gateway, tokens, 1))


def forged_rate(world, run, tokens):
    """How many ES384 signatures a second are checked."""
    bad = world.issuer.forged("nobody")
    tokens.write_text("\n".join([bad] * (KNOWN + 1)) + "\n")
    figures = run.ask(0, connections=64, seconds=2)
    return figures["refused_per_cpu"]


@pytest.mark.timeout(900)
def test_goodput_of_known_tokens_beside_forged_ones(slow_world, callers, tmp_path):
    """One in ten is forged, and costs as much as all others together: those are turned away."""
    key = slow_world.issuer.key_of("RS256")
    forged = slow_world.issuer.forged("nobody")
    lines = [mint(key, slow_world.issuer.claims(f"p{number}")) for number in range(KNOWN)]
    tokens = tmp_path / "tokens"
    tokens.write_text("\n".join([*lines, forged]) + "\n")
    with many_files(), slow_world.gateway(routes(slow_world), prepare=pinned) as gateway:
        judge("known tokens, one in ten forged", Run(callers, gateway, tokens, 10), 0.9)


@pytest.mark.timeout(900)
def test_goodput_of_known_tokens_alone(slow_world, callers, tmp_path):
    """Where it costs as much to turn away as to serve, nearly nothing is turned away."""
    key = slow_world.issuer.key_of("RS256")
    lines = [mint(key, slow_world.issuer.claims(f"p{number}")) for number in range(KNOWN)]
    tokens = tmp_path / "tokens"
    tokens.write_text("\n".join(lines) + "\n")
    with many_files(), slow_world.gateway(routes(slow_world), prepare=pinned) as gateway:
        judge("known tokens alone", Run(callers, gateway, tokens, 0))
