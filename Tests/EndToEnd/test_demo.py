"""`tollgate demo`: the main job on one machine, with nothing to set up."""

import json
import re
import shlex
import subprocess

import pytest
from harness.program import Program, environment, tollgate_binary
from harness.waiting import until


def demo(*arguments, seconds=60, cwd=None):
    run = subprocess.run(
        [tollgate_binary(), "demo", *arguments],
        capture_output=True,
        text=True,
        timeout=seconds,
        stdin=subprocess.DEVNULL,
        env=environment(),
        cwd=cwd,
    )
    run.said = run.stdout + run.stderr
    return run


def test_it_walks_through_the_main_job_and_checks_what_it_sees(tmp_path):
    run = demo("--once", cwd=tmp_path)
    assert run.returncode == 0, run.said
    for word in ("200", "403", "401", "404", "system_identity", "token_expired",
                 "signature_invalid", "audience_wrong", "no_route"):  # fmt: skip
        assert word in run.said, f"{word} is not in:\n{run.said}"
    assert list(tmp_path.iterdir()) == [], "it left something behind"


def test_two_at_a_time_do_not_meet():
    runs = [
        subprocess.Popen(
            [tollgate_binary(), "demo", "--once"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment(),
        )
        for _ in range(2)
    ]
    for run in runs:
        said, _ = run.communicate(timeout=60)
        assert run.returncode == 0, said


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    program = Program([tollgate_binary(), "demo"], folder, "demo")
    try:
        program.wait_until(lambda: "curl " in program.out.read_text(), "the curl lines")
        yield program
        assert program.end() == 0, program.said()
    finally:
        program.end()


def curl_lines(program):
    """The ready commands it prints, continued lines joined."""
    text = program.out.read_text().replace("\\\n", " ")
    lines = [line.strip().lstrip("$ ").strip() for line in text.splitlines()]
    return [line for line in lines if line.startswith(("curl ", "TOKEN=", "token="))]


def test_its_curl_lines_work_as_printed(running):
    until(lambda: len([c for c in curl_lines(running) if "curl" in c]) >= 3, "the curl lines")
    script = "\n".join(
        line if line.startswith(("TOKEN=", "token=")) else f"{line} -sS -w '\\n%{{http_code}}\\n'"
        for line in curl_lines(running)
    )
    run = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, timeout=60, env=environment()
    )
    codes = re.findall(r"^(\d{3})$", run.stdout, re.M)
    assert "200" in codes, run.stdout + run.stderr
    assert "000" not in codes, run.stdout + run.stderr


def test_a_service_sees_its_own_audience_and_never_the_callers_token(running):
    from harness.keys import claims_of

    lines = curl_lines(running)
    script = "\n".join(f"{line}; echo" if "curl" in line else line for line in lines)
    run = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, timeout=60, env=environment()
    )
    shown = re.findall(r"Bearer (eyJ[\w-]+\.[\w-]+\.[\w-]+)", run.stdout)
    shown += re.findall(r'"(eyJ[\w-]+\.[\w-]+\.[\w-]+)"', run.stdout)
    for token in shown:
        assert claims_of(token).get("aud")


def test_it_listens_on_loopback_only(running):
    listening = subprocess.run(
        ["bash", "-c", "cat /proc/net/tcp /proc/net/tcp6"], capture_output=True, text=True
    ).stdout
    inodes = set()
    import os
    import pathlib

    for entry in pathlib.Path(f"/proc/{running.pid}/fd").iterdir():
        link = os.readlink(entry)
        if link.startswith("socket:["):
            inodes.add(link[8:-1])
    ours = [line.split() for line in listening.splitlines() if len(line.split()) > 9]
    ours = [fields for fields in ours if fields[9] in inodes and fields[3] == "0A"]
    assert ours
    for fields in ours:
        assert fields[1].startswith(("0100007F:", "00000000000000000000000001000000:")), fields


def test_another_option_is_refused():
    run = demo("--adress", "0.0.0.0")
    assert run.returncode == 2, run.said


def test_what_it_prints_can_be_pasted(running):
    for line in curl_lines(running):
        assert shlex.split(line)
    text = running.out.read_text()
    assert "https://" in text
    assert json.dumps("x")
