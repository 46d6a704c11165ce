"""README, examples and deploy: every command in them works, every file they name is there."""

import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest
from harness.certificates import Certificate
from harness.client import ask
from harness.program import ROOT, Program, environment, tollgate_binary
from harness.waiting import free_port
from harness.world import SECRET


def fences(path, *kinds):
    text = (ROOT / path).read_text()
    found = re.findall(r"^```(\w*)\n(.*?)^```", text, re.M | re.S)
    return [body for kind, body in found if kind in kinds]


def commands(path):
    lines = [line for block in fences(path, "sh") for line in block.splitlines()]
    return [line.split("  #")[0].strip() for line in lines if line.strip()]


# -- README


def test_readme_has_exactly_the_commands_that_are_tested_here():
    assert commands("README.md") == [
        "swift run -c release tollgate demo",
        "swift run -c release tollgate demo --once",
        "Tests/run",
        "tollgate check routes.json",
        "tollgate run routes.json",
    ]
    assert os.access(ROOT / "Tests/run", os.X_OK)
    assert os.access(ROOT / "Tests/Performance/run", os.X_OK)


def test_the_package_has_the_product_that_readme_runs():
    described = subprocess.run(
        ["swift", "package", "describe", "--type", "json"],
        cwd=ROOT, capture_output=True, text=True, timeout=120, env=environment(),
    )  # fmt: skip
    products = json.loads(described.stdout)["products"]
    assert "tollgate" in [product["name"] for product in products]


def test_readmes_first_routes_file_is_well(tmp_path):
    (text,) = fences("README.md", "jsonc")
    (tmp_path / "routes.json").write_text(text)
    Certificate(["api.example.com"]).write(tmp_path, "api")
    env = environment(GATEWAY_SECRET=SECRET)
    run = subprocess.run(
        [tollgate_binary(), "check", "routes.json"],
        cwd=tmp_path, capture_output=True, text=True, env=env, timeout=30,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr


def test_readmes_mistake_is_told_as_readme_shows(tmp_path):
    (text,) = fences("README.md", "jsonc")
    (tmp_path / "routes.json").write_text(text.replace('"audience": "o', '"audiance": "o'))
    Certificate(["api.example.com"]).write(tmp_path, "api")
    run = subprocess.run(
        [tollgate_binary(), "check", "routes.json"],
        cwd=tmp_path, capture_output=True, text=True, timeout=30,
        env=environment(GATEWAY_SECRET=SECRET),
    )  # fmt: skip
    assert run.returncode == 1
    shown = re.search(r"^    (routes\.json:.*?)\n\n", (ROOT / "README.md").read_text(), re.M | re.S)
    expected = [line.strip() for line in shown[1].splitlines()]
    said = [line.strip() for line in (run.stdout + run.stderr).splitlines()]
    assert [line for line in said if line in expected] == expected, run.stdout + run.stderr


def test_everything_that_is_linked_to_is_there():
    for page in ("README.md", "examples/quickstart/README.md", "Tests/Performance/README.md"):
        for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text()):
            assert (ROOT / page).parent.joinpath(target).exists(), f"{page}: {target}"


# -- examples


def test_every_example_has_what_an_example_has():
    for folder in (ROOT / "examples").iterdir():
        for name in ("routes.json", "run.sh", "README.md"):
            assert (folder / name).is_file(), folder / name
        assert os.access(folder / "run.sh", os.X_OK)


@pytest.fixture
def quickstart(tmp_path):
    folder = tmp_path / "quickstart"
    ignore = shutil.ignore_patterns("api.*")
    shutil.copytree(ROOT / "examples" / "quickstart", folder, ignore=ignore)
    return folder


def test_the_quick_start_says_what_is_missing(quickstart):
    env = environment(TOLLGATE=tollgate_binary())
    run = subprocess.run(
        ["./run.sh"], cwd=quickstart, capture_output=True, text=True, env=env, timeout=30
    )
    assert run.returncode == 1
    assert "ISSUER" in run.stderr


def test_the_quick_start_does_what_it_says(world, quickstart, person):
    port, admin = free_port(), free_port()
    env = environment(
        TOLLGATE=tollgate_binary(),
        ISSUER=world.issuer.url,
        AUDIENCE="https://gateway.example",
        SERVICE=world.upstream.url,
        GATEWAY_SECRET=SECRET,
        LISTEN=f"127.0.0.1:{port}",
        ADMIN=f"127.0.0.1:{admin}",
    )
    program = Program(["./run.sh"], quickstart, "run", env, cwd=quickstart)
    try:
        def ready():
            try:
                return ask(admin, "GET", "/readyz", host=f"127.0.0.1:{admin}").status == 200
            except OSError:
                return False

        program.wait_until(ready, "/readyz")
        url = f"https://localhost:{port}/orders/1"

        def curl(*more):
            command = ["curl", "-sS", "-w", "\n%{http_code}", "--cacert", "api.pem", url, *more]
            run = subprocess.run(
                command, cwd=quickstart, capture_output=True, text=True, timeout=30
            )
            assert run.returncode == 0, run.stderr
            body, _, code = run.stdout.rpartition("\n")
            return int(code), body

        code, body = curl()
        assert (code, json.loads(body)["reason"]) == (401, "token_missing")
        name = ["-H", f"X-Test-Person: {person}"]
        token = world.issuer.token(person)
        code, body = curl("-H", f"Authorization: Bearer {token}", *name)
        assert code == 200
        assert json.loads(body)["target"] == "/orders/1"
        system = world.issuer.system_token()
        calls = len(world.tokens.calls)
        code, body = curl("-H", f"Authorization: Bearer {system}", *name)
        assert (code, json.loads(body)["reason"]) == (403, "system_identity")
        assert len(world.tokens.calls) == calls
        program.wait_until(lambda: '"status":200' in program.out.read_text(), "a log line")
        assert program.end() == 0, program.said()
    finally:
        program.end()


# -- deploy


def instructions():
    """The Dockerfile's instructions, continued lines joined and comments dropped."""
    lines = (ROOT / "deploy/Dockerfile").read_text().splitlines()
    text = "\n".join(line for line in lines if not line.startswith("#"))
    joined = re.sub(r"\\\n\s*", "", text)
    return [tuple(line.split(None, 1)) for line in joined.splitlines() if line.strip()]


def test_the_image_is_built_from_what_is_here():
    steps = instructions()
    known = {"FROM", "LABEL", "RUN", "WORKDIR", "COPY", "ENV", "USER", "EXPOSE", "STOPSIGNAL",
             "ENTRYPOINT", "CMD"}  # fmt: skip
    assert {name for name, _ in steps} <= known
    assert [name for name, _ in steps].count("FROM") == 2
    for name, words in steps:
        if name == "COPY" and not words.startswith("--from"):
            for source in words.split()[:-1]:
                assert (ROOT / source).exists(), source


def test_the_image_builds_the_program_as_the_tests_do():
    """The binary judged here was built by the very command of the Dockerfile."""
    built = next(words for name, words in instructions() if "swift build" in words)
    command = built.split("&&")[0].strip()
    assert command in (ROOT / "Tests/run").read_text()


def test_the_image_has_the_libraries_that_the_program_needs():
    packages = {
        "libssl.so.3": "libssl3",
        "libcrypto.so.3": "libssl3",
        "libstdc++.so.6": "libstdc++6",
        "libgcc_s.so.1": "libstdc++6",  # which needs it
        "libc.so.6": None,
        "libm.so.6": None,
        "ld-linux-x86-64.so.2": None,
        "ld-linux-aarch64.so.1": None,
    }
    listed = subprocess.run(
        ["ldd", tollgate_binary()], capture_output=True, text=True, check=True
    ).stdout
    needed = {pathlib.Path(line.split()[0]).name for line in listed.splitlines() if line.strip()}
    needed.discard("linux-vdso.so.1")
    assert needed <= set(packages), needed - set(packages)
    installed = [words for name, words in instructions() if name == "RUN"][-1]
    for package in {packages[name] for name in needed} - {None}:
        assert package in installed


def test_the_image_runs_as_nobody_and_is_stopped_gently():
    steps = dict(instructions()[-8:])
    user = steps["USER"].split(":")
    assert all(part.isdigit() and int(part) > 0 for part in user)
    assert json.loads(steps["ENTRYPOINT"]) == ["/usr/bin/tollgate"]
    assert json.loads(steps["CMD"])[0] == "run"
    assert steps["STOPSIGNAL"] == "SIGTERM"


@pytest.fixture
def unit(tmp_path):
    """The unit with the program where it is here."""
    text = (ROOT / "deploy/tollgate.service").read_text()
    file = tmp_path / "tollgate.service"
    file.write_text(text.replace("/usr/bin/tollgate", tollgate_binary()))
    return file


def test_the_units_settings_are_all_known(unit):
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze on this machine")
    run = subprocess.run(
        ["systemd-analyze", "verify", unit], capture_output=True, text=True, timeout=60
    )
    ours = [line for line in (run.stdout + run.stderr).splitlines() if "tollgate" in line]
    assert not ours, "\n".join(ours)


def test_the_unit_is_hardened(unit):
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze on this machine")
    run = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", unit],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout[-600:] + run.stderr


def test_the_unit_waits_as_long_as_draining_may_take():
    text = (ROOT / "deploy/tollgate.service").read_text()
    settings = dict(line.split("=", 1) for line in text.splitlines() if re.match(r"^\w+=", line))
    assert int(settings["TimeoutStopSec"]) > 30
    assert settings["RestartPreventExitStatus"] == "1 2"
    assert settings["ExecStart"] == "/usr/bin/tollgate run /etc/tollgate/routes.json"
