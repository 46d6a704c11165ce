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
    for page in ("README.md", "examples/quickstart/README.md",
                 "examples/reference/README.md", "Tests/Performance/README.md"):  # fmt: skip
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


@pytest.fixture
def reference(tmp_path):
    folder = tmp_path / "reference"
    ignore = shutil.ignore_patterns("api.*", "gateway.*", "*.jwks.json")
    shutil.copytree(ROOT / "examples" / "reference", folder, ignore=ignore)
    return folder


def test_the_reference_is_well_without_a_warning(reference):
    env = environment(TOLLGATE=tollgate_binary(), GATEWAY_SECRET=SECRET)
    run = subprocess.run(
        ["./run.sh"], cwd=reference, capture_output=True, text=True, env=env, timeout=30
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "routes.json: ok\n", "")


def rows(heading):
    """The first two cells of each row of the tables below a heading of the reference."""
    text = (ROOT / "examples/reference/README.md").read_text()
    section = text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^\| (`[^|]*) \| ([^|]*) \|", section, re.M)


def test_the_reference_has_every_key_that_is_read():
    """Keys are said once each in the sources, beside those that are known and not built yet."""
    text = (ROOT / "examples/reference/routes.json").read_text()
    read = set()
    for file in (ROOT / "Sources/Gateway/Routes").glob("*.swift"):
        call = r'(?:object\.(?:required|optional|section)|Switchable\.read)\(\s*"([^"]+)"'
        read |= set(re.findall(call, file.read_text()))
    # HTTP/2 is not built, so its limit limits nothing.
    missing = {key for key in read - {"http2Streams"} if f'"{key}"' not in text}
    assert not missing


def test_the_reference_has_every_reason_with_its_status():
    source = (ROOT / "Sources/Gateway/Refusal.swift").read_text()
    words = source.split("enum Reason")[1].split("package var word")[0]
    names = {case: word or case for case, word in re.findall(r'case (\w+)(?: = "(\w+)")?\n', words)}
    names["tokenMalformed"] = "token_malformed"
    switch = source.split("package var status")[1].split("package enum Challenge")[0]
    expected = set()
    for cases, status in re.findall(r"case ([^:]+):\s+(\d+)", switch):
        expected |= {(f"`{names[case]}`", status) for case in re.findall(r"\.(\w+)", cases)}
    assert len(expected) > 30
    assert set(rows("What a caller gets")) == expected


def test_the_reference_has_every_preset_and_field():
    rules = (ROOT / "Sources/OAuth/Settings/IdentityRule.swift").read_text()
    presets = re.findall(r"^  case (\w+)$", rules.split("enum IdentityPreset")[1], re.M)
    assert [name for name, _ in rows("Identities")] == [f"`{preset}`" for preset in presets]
    told = subprocess.run([tollgate_binary(), "schema"], capture_output=True, text=True)
    log = json.loads(told.stdout)["properties"]["accessLog"]["anyOf"][1]["properties"]
    fields = log["fields"]["anyOf"][0]["anyOf"][1]["enum"]
    formats = log["format"]["anyOf"][0]["enum"]
    assert len(fields) > 25 and len(formats) == 5
    shown = [word for cell, _ in rows("The access log") for word in re.findall(r"`(\w+)`", cell)]
    assert sorted(shown) == sorted(fields + formats)


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


@pytest.mark.plain_build("it is linked otherwise")
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
    version = subprocess.run(["systemd-analyze", "--version"], capture_output=True, text=True)
    if int(version.stdout.split()[1]) < 253:
        # It came with 253; older ones take the service for a simple one, as the unit says.
        ours = [line for line in ours if "service type, ignoring: notify-reload" not in line]
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
