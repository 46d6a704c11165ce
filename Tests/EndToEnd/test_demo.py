"""`tollgate demo`: the main job on one machine, with nothing to set up."""

import os
import pathlib
import re
import shlex
import subprocess

import pytest
from harness.keys import claims_of
from harness.program import Program, environment, tollgate_binary
from harness.waiting import PATIENCE

REASONS = ["system_identity", "token_missing", "token_expired", "signature_invalid",
           "audience_wrong", "no_route"]  # fmt: skip


def once(cwd=None):
    return subprocess.Popen(
        [tollgate_binary(), "demo", "--once"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(),
        cwd=cwd,
    )


def test_it_walks_through_the_main_job_and_checks_what_it_sees(tmp_path):
    run = once(tmp_path)
    said, _ = run.communicate(timeout=60 * PATIENCE)
    assert run.returncode == 0, said
    for word in REASONS + ["200", "401", "403", "404"]:
        assert word in said, f"{word} is not in:\n{said}"
    for reason in REASONS:
        assert f'"reason":"{reason}"' in said, f"no log line of {reason} in:\n{said}"
    assert "calls to the token service: 0" in said
    assert list(tmp_path.iterdir()) == [], "it left something behind"


def test_two_at_a_time_do_not_meet():
    runs = [once() for _ in range(2)]
    for run in runs:
        said, _ = run.communicate(timeout=60 * PATIENCE)
        assert run.returncode == 0, said


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    program = Program([tollgate_binary(), "demo"], tmp_path_factory.mktemp("demo"), "demo")
    try:
        program.wait_until(lambda: "Ctrl-C" in program.out.read_text(), "the last line")
        yield program
        folder = routes_file(program).parent
        assert folder.exists()
        assert program.end() == 0, program.said()
        assert not folder.exists(), "its folder is left"
    finally:
        program.end()


def routes_file(program):
    return pathlib.Path(re.search(r"routes file\s+(\S+),", program.out.read_text())[1])


def lines(program):
    """The commands it prints, ready to be pasted."""
    text = program.out.read_text().replace("\\\n", " ")
    return [line for line in text.splitlines() if line.startswith(("curl ", "TOKEN="))]


def paste(program):
    """Runs the lines in one shell; each curl with its status and body."""
    script, curls = [], []
    for line in lines(program):
        if line.startswith("curl "):
            curls.append(line)
            line += " -sS -w '\\n%{http_code}\\n----\\n'"
        script.append(line)
    run = subprocess.run(
        ["bash", "-ec", "\n".join(script)],
        capture_output=True,
        text=True,
        timeout=60 * PATIENCE,
        env=environment(),
    )
    assert run.returncode == 0, run.stdout + run.stderr
    parts = run.stdout.split("----\n")[:-1]
    assert len(parts) == len(curls)
    results = []
    for curl, part in zip(curls, parts):
        body, _, status = part.strip().rpartition("\n")
        results.append((curl, int(status), body))
    return results


def wanted(curl, gateway):
    """The status that a printed line must bring, by what it asks."""
    if gateway not in curl:
        return 401 if "$TOKEN" in curl else 200
    if "tokens/system" in curl:
        return 403
    if "/nothing" in curl:
        return 404
    if re.search(r"tokens/\w|\btokens/", curl) or "Authorization" not in curl:
        return 401
    return 200


def test_its_lines_work_as_printed(running):
    gateway = re.search(r"https://127\.0\.0\.1:\d+", running.out.read_text())[0]
    results = paste(running)
    assert {status for _, status, _ in results} == {200, 401, 403, 404}
    for curl, status, body in results:
        assert status == wanted(curl, gateway), f"{curl}\n{status}\n{body}"


def test_a_service_sees_its_own_audience_and_never_the_callers_token(running):
    gateway = re.search(r"https://127\.0\.0\.1:\d+", running.out.read_text())[0]
    token_line = next(line for line in lines(running) if line.startswith("TOKEN="))
    script = f'{token_line}\necho "$TOKEN"'
    run = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, timeout=30 * PATIENCE
    )
    caller = run.stdout.strip()
    assert claims_of(caller)["sub"]
    shown = {}
    for curl, status, body in paste(running):
        if gateway in curl and status == 200:
            service = re.search(gateway + r"/(\w+)", curl)[1]
            shown[service] = body
            assert caller.split(".")[2] not in body
            assert claims_of(caller)["sub"] in body
    assert set(shown) == {"orders", "billing"}
    for service, body in shown.items():
        assert f'"{service}"' in body, body


def test_its_routes_file_is_a_well_one(running):
    run = subprocess.run(
        [tollgate_binary(), "check", routes_file(running)],
        capture_output=True,
        text=True,
        timeout=30 * PATIENCE,
        env=environment(),
    )
    assert run.returncode == 0 or "not set" in run.stdout + run.stderr, run.stdout + run.stderr


def test_it_listens_on_loopback_only(running):
    inodes = set()
    for entry in pathlib.Path(f"/proc/{running.pid}/fd").iterdir():
        link = os.readlink(entry)
        if link.startswith("socket:["):
            inodes.add(link[8:-1])
    ours = []
    for table in ("tcp", "tcp6"):
        for line in pathlib.Path("/proc/net", table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[9] in inodes and fields[3] == "0A":
                ours.append(fields[1])
    assert ours
    for address in ours:
        assert address.startswith(("0100007F:", "00000000000000000000000001000000:")), address


def test_another_option_is_refused():
    run = subprocess.run(
        [tollgate_binary(), "demo", "--address", "0.0.0.0"],
        capture_output=True, text=True, timeout=30 * PATIENCE, env=environment(),
    )  # fmt: skip
    assert run.returncode == 2, run.stdout + run.stderr


def test_what_it_prints_can_be_pasted(running):
    for line in lines(running):
        assert shlex.split(line)
