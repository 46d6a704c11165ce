"""`tollgate logs`: the access log for people, as they would use it."""

import gzip
import json
import os
import pty
import re
import subprocess
import time

import pytest
from harness.client import ask
from harness.program import environment, tollgate_binary
from harness.waiting import until


def logs(*arguments, stdin=None, **more):
    return subprocess.run(
        [tollgate_binary(), "logs", *map(str, arguments)],
        input=stdin, capture_output=True, text=True, env=environment(), timeout=60, **more,
    )  # fmt: skip


@pytest.fixture(scope="module", params=["json", "otel", "ecs"])
def log(request, world):
    """The access log of a real gateway in each format: 3 answered, 2 without a token, 1 lost."""
    file = world.folder / f"{request.param}.log"
    settings = {"path": str(file), "format": request.param}
    routes = world.routes(world.route("/orders/*", name="orders"), accessLog=settings, workers=1)
    with world.gateway(routes) as gateway:
        token = world.issuer.token("logs-reader", client_id="shop")
        for number in range(3):
            answer = world.ask(gateway, "GET", f"/orders/{number}", "logs-reader", token)
            assert answer.status == 200
        for number in range(2):
            assert ask(gateway.port, "POST", f"/orders/{number}").status == 401
        assert ask(gateway.port, "GET", "/elsewhere").status == 404
    assert len(file.read_text().splitlines()) == 6
    return file


def test_lines_are_aligned_and_say_what_happened(log):
    told = logs(log)
    assert told.returncode == 0 and not told.stderr
    day, *lines = told.stdout.splitlines()
    assert re.fullmatch(r"── \d{4}-\d\d-\d\d UTC ──", day)
    assert len(lines) == 6
    assert re.match(r"\d\d:\d\d:\d\d\.\d{3}  200  GET  +[\d.]+ m?s  ", lines[0])
    assert "/orders/0" in lines[0] and "[orders]" in lines[0] and "person shop" in lines[0]
    assert "token_missing" in lines[3] and "401  POST" in lines[3]
    assert "no_route" in lines[5]
    columns = {re.search(r" m?s  ", line).start() for line in lines}
    assert len(columns) == 1
    assert "\x1b" not in told.stdout


@pytest.mark.parametrize(
    "arguments, count",
    [
        (["--where", "reason=token_missing"], 2),
        (["--where", "status=4xx"], 3),
        (["--where=status!=200", "--where", "method=GET"], 1),
        (["--refused"], 3),
        (["--route", "orders"], 5),
        (["--where", "path=/orders/*", "--where", "reason="], 3),
        (["--where", "client_id=shop"], 3),
        (["--where", "status>=404"], 1),
        (["--since", "1h"], 6),
        (["--until", "1h"], 0),
        (["--since", "2100-01-01T00:00:00Z"], 0),
        (["--until", "2100-01-01T00:00:00+01:00"], 6),
    ],
)
def test_lines_are_chosen(log, arguments, count):
    told = logs(log, "--json", *arguments)
    assert told.returncode == 0, told.stderr
    chosen = told.stdout.splitlines()
    assert len(chosen) == count
    assert set(chosen) <= set(log.read_text().splitlines())


def test_a_summary_counts(log):
    told = logs(log, "--summary").stdout
    assert told.startswith("6 requests, ")
    assert re.search(r"2xx 3 \(50\.0 %\) +4xx 3 \(50\.0 %\)", told)
    refused = r"^Refused  3 \(50\.0 %\)\n  token_missing +2 +33\.3 %\n  no_route +1"
    assert re.search(refused, told, re.M)
    assert re.search(r"^  miss +1 +16\.7 %$", told, re.M)
    assert re.search(r"^  orders +5 +2 +0 +[\d.]+ m?s", told, re.M)
    assert re.search(r"^  \(no route\) +1 +1 +0", told, re.M)
    callers = r"^Callers\n  shop \w{16} +3 +50\.0 %\n  127\.0\.0\.1 +3 +50\.0 %, 3 refused"
    assert re.search(callers, told, re.M)


def test_percentiles_are_those_of_the_log(tmp_path):
    file = tmp_path / "many.log"
    file.write_text(
        "".join(f'{{"status":200,"route":"r","duration_ms":{n}.0}}\n' for n in range(1, 1001))
    )
    row = re.search(r"^  all .*", logs(file, "--summary").stdout, re.M)[0].split()
    values = dict(zip(["p50", "p90", "p99", "max"], row[4::2], strict=True))
    assert 492 <= float(values["p50"]) <= 508 and 886 <= float(values["p90"]) <= 914
    assert 974 <= float(values["p99"]) <= 1000 and row[-2:] == ["1.00", "s"]


def test_packed_files_and_several_are_read(log, tmp_path):
    packed = tmp_path / "old.log.gz"
    packed.write_bytes(gzip.compress(log.read_bytes()))
    assert logs(packed, log, "--summary").stdout.startswith("12 requests, ")
    # It grows no more: to follow it ends with it.
    assert logs(packed, "--follow", "--json").stdout == log.read_text()
    packed.write_bytes(packed.read_bytes()[:-40])
    told = logs(packed, "--summary")
    assert told.returncode == 1 and "gzip could not read all of it" in told.stderr


def test_what_is_not_understood_is_counted(log):
    text = "Nov 25 kernel: hello\n" + log.read_text() + '{"dropped_lines":5}\n{"no":"request"}\n'
    told = logs(stdin=text)
    assert told.returncode == 0
    assert told.stderr == "tollgate logs: 2 lines were not understood\n"
    assert "5 lines were dropped here" in told.stdout
    summary = logs("--summary", "-", stdin=text).stdout
    assert "2 lines were not understood; 5 lines were dropped by the gateway" in summary


def test_a_terminal_cannot_be_written_to_by_a_log():
    evil = '{"status":200,"path":"/\x1b]0;owned\x07","method":"\u202eTEG"}\n'
    told = logs(stdin=evil).stdout
    assert "owned" in told and "\x1b" not in told and "\x07" not in told and "\u202e" not in told


def test_colours_are_for_terminals(log):
    def at_terminal(**env):
        master, slave = pty.openpty()
        with subprocess.Popen(
            [tollgate_binary(), "logs", log], stdin=slave, stdout=slave, stderr=slave,
            env=environment(TERM="xterm", **env),
        ) as process:  # fmt: skip
            os.close(slave)
            text = b""
            while True:
                try:
                    piece = os.read(master, 65536)
                except OSError:
                    break
                if not piece:
                    break
                text += piece
            process.wait(30)
        os.close(master)
        return text

    assert b"\x1b[32m200" in at_terminal()
    assert b"\x1b[" not in at_terminal(NO_COLOR="1")
    assert "\x1b[32m200" in logs(log, "--color", "always").stdout


def test_a_log_is_followed_through_a_rotation(log, tmp_path):
    file = tmp_path / "live.log"
    lines = log.read_text().splitlines(keepends=True)
    file.write_text(lines[0])
    out = tmp_path / "out"
    with out.open("w") as output:
        process = subprocess.Popen(
            [tollgate_binary(), "logs", "--follow", "--json", file], stdout=output,
            env=environment(),
        )  # fmt: skip
    try:
        until(lambda: out.read_text().count("\n") == 1, "the line that was there")
        with file.open("a") as log_file:
            log_file.write(lines[1])
            log_file.flush()
            until(lambda: out.read_text().count("\n") == 2, "a line that came")
        file.rename(tmp_path / "live.log.1")
        file.write_text(lines[2])
        until(lambda: out.read_text().count("\n") == 3, "a line of the new file")
        # Copied and emptied, as logrotate's copytruncate does.
        file.write_text("")
        with file.open("a") as log_file:
            log_file.write('{"status":204}\n')
        until(lambda: out.read_text().count("\n") == 4, "a line of the emptied file")
        assert out.read_text() == "".join(lines[:3]) + '{"status":204}\n'
    finally:
        process.terminate()
        assert process.wait(10) == -15


def test_a_reader_who_leaves_ends_it(tmp_path):
    file = tmp_path / "long.log"
    file.write_text('{"status":200,"path":"/"}\n' * 200_000)
    command = f"{tollgate_binary()} logs {file} | head -n 3"
    began = time.monotonic()
    told = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, timeout=60
    )
    assert told.stdout.count("\n") == 3 and not told.stderr and told.returncode == 0
    assert time.monotonic() - began < 60


@pytest.mark.parametrize(
    "arguments, status, message",
    [
        (["--wher", "a=b"], 2, 'unknown option "--wher"; did you mean "--where"?'),
        (["--where"], 2, "--where needs a value"),
        (["--where", "status"], 2, "expected FIELD=VALUE"),
        (["--since", "yesterday"], 2, "expected 10m, 2h or 3d"),
        (["--follow", "--summary"], 2, "--follow has no end"),
        (["--json", "--summary"], 2, "--summary is text"),
        (["/nowhere/access.log"], 1, "no such file or directory"),
        (["--color", "blue"], 2, "--color is auto, always or never"),
        (["--summary=yes"], 2, "--summary takes no value"),
    ],
)
def test_what_is_wrong_is_said(arguments, status, message):
    told = logs(*arguments)
    assert told.returncode == status and message in told.stderr and not told.stdout


def logs_beside(routes, folder):
    """`tollgate logs --summary` at a terminal, in the folder of this routes file."""
    (folder / "routes.json").write_text(json.dumps(routes))
    master, slave = pty.openpty()
    told = subprocess.run(
        [tollgate_binary(), "logs", "--summary"], stdin=slave, capture_output=True, text=True,
        cwd=folder, env=environment(), timeout=30,
    )  # fmt: skip
    os.close(slave)
    os.close(master)
    return told


def test_without_a_file_it_is_the_log_of_the_routes_file_here(log, tmp_path):
    routes = {
        "issuers": {"corp": {"issuer": "https://login.example", "audiences": ["a"]}},
        "listeners": [{"address": "127.0.0.1:0"}],
        "routes": [
            {
                "match": {"path": "/*"},
                "exchange": "strip",
                "forward": {"to": "http://127.0.0.1:1"},
            }
        ],
        "accessLog": {"path": str(log)},
    }
    told = logs_beside(routes, tmp_path)
    assert told.stdout.startswith("6 requests, "), told.stderr


@pytest.mark.parametrize(
    "condition, hint",
    [("rout=orders", 'did you mean "route"?'), ("tenant=x", "there are time, id, listener, ")],
)
@pytest.mark.parametrize("more", [[], ["--summary"]])
def test_a_field_that_no_line_has_is_said(log, condition, hint, more):
    told = logs(log, "--where", condition, *more)
    name = condition.split("=")[0]
    assert told.returncode == 1 and not told.stdout
    assert f'no line has a field "{name}"; {hint}' in told.stderr


@pytest.mark.parametrize("condition", ["sub!=nobody", "jti=", "client_id=nobody", "reason=x"])
def test_fields_that_are_there_for_others_are_no_mistake(log, condition):
    told = logs(log, "--where", condition)
    assert told.returncode == 0 and not told.stderr


def test_durations_are_milliseconds_whatever_the_format(log):
    assert logs(log, "--where", "duration_ms>20000", "--json").stdout == ""
    assert logs(log, "--where", "duration_ms<20000", "--json").stdout.count("\n") == 6


def test_a_long_method_moves_no_column():
    line = '{"time":"2026-11-25T10:00:00.000Z","method":"%s","path":"/x","status":204,'
    line += '"duration_ms":0.030}\n'
    told = logs(stdin=line % "GET" + line % "OPTIONS")
    assert len({text.index("/x") for text in told.stdout.splitlines()[1:]}) == 1


def test_of_another_format_it_says_which_it_reads(tmp_path):
    line = '127.0.0.1 - - [25/Nov/2026:10:00:00 +0000] "GET / HTTP/1.1" 200 5 "-" "curl"\n'
    (tmp_path / "access.log").write_text(line * 3)
    told = logs(tmp_path / "access.log")
    assert told.returncode == 1 and not told.stdout
    assert "none of 3 lines was understood" in told.stderr and "json, otel or ecs" in told.stderr


def test_the_log_of_the_routes_file_is_found_without_its_secrets(log, tmp_path):
    routes = {
        "accessLog": {"path": str(log)},
        "exchanges": {"corp": {"client": {"secret": {"env": "NOT_SET"}}}},
    }
    told = logs_beside(routes, tmp_path)
    assert told.stdout.startswith("6 requests, "), told.stderr


def line(route, **more):
    return json.dumps({"time": "2026-11-25T10:00:00.000Z", "route": route, "status": 200} | more)


def test_tunnels_and_streams_spoil_no_latency():
    lines = [line("quick", duration_ms=5.0, first_byte_ms=4.0) for _ in range(100)]
    lines += [line("ws", status=101, duration_ms=7_200_000.0, first_byte_ms=2.0)] * 3
    # Two hours of events, which began after 3 ms; and an answer that took 20 s to begin.
    lines += [
        line("events", duration_ms=7_200_000.0, connect_ms=1.0, first_byte_ms=2.0, aborted="client")
    ]
    lines += [line("slow", duration_ms=20_001.0, first_byte_ms=20_000.0)]
    text = logs("--summary", stdin="\n".join(lines)).stdout
    rows = dict(re.findall(r"^  (all|quick|ws|events|slow) +(\d.*)$", text, re.M))
    assert re.fullmatch(r"105 +0 +0( +5\.\d\d ms){3} +20\.00 s", rows["all"])
    assert rows["ws"].split() == ["3", "0", "0", "-", "-", "-", "-"]
    assert rows["events"].split()[3:] == ["2.99", "ms", "2.99", "ms", "2.99", "ms", "3.00", "ms"]
    assert "20.00 s" in rows["slow"]
    assert "3 tunnels (the longest open for 2 h)" in text
    assert "1 answer went on for over 10 s, as streams do (the longest for 2 h)" in text
    slowest = text.partition("Slowest\n")[2].splitlines()[0]
    assert "[slow]" in slowest


def test_what_says_no_duration_has_none():
    text = logs("--summary", stdin=line("r") + "\n" + line("r")).stdout
    assert re.search(r"^  r +2 +0 +0 +- +- +- +-$", text, re.M) and "Slowest" not in text
    assert "2 requests, 2026-11-25 10:00:00 UTC\n" in text


@pytest.mark.parametrize(
    "since, count",
    [
        ("2026-11-25", 2),
        ("2026-11-25 09:30", 1),
        ("2026-11-25 09:30:01", 0),
        ("2026-11-26", 0),
    ],
)
def test_a_time_is_given_as_it_is_shown(since, count):
    times = ["2026-11-24T23:59:59.999Z", "2026-11-25T00:00:00.000Z", "2026-11-25T09:30:00.000Z"]
    lines = "".join(json.dumps({"time": time, "status": 200}) + "\n" for time in times)
    told = logs("--json", "--since", since, stdin=lines)
    assert told.returncode == 0 and told.stdout.count("\n") == count, told.stderr


def test_a_time_alone_is_todays():
    now = time.strftime("%Y-%m-%dT%H:%M:%S.500Z", time.gmtime())
    text = json.dumps({"time": now, "status": 200})
    assert logs("--json", "--until", "00:00", stdin=text).stdout == ""
    assert logs("--json", "--since", "00:00:00", stdin=text).stdout.count("\n") == 1


@pytest.mark.parametrize("text", ["2026-11-25 ", "25.11.2026", "2026-11-25 9:30", "24:61", ":"])
def test_other_times_are_refused(text):
    told = logs("--since", text, stdin="")
    assert told.returncode == 2 and '"2026-11-25 09:00"' in told.stderr


def test_what_is_packed_and_not_called_so_is_told_of(log, tmp_path):
    packed = tmp_path / "access.log.1"
    packed.write_bytes(gzip.compress(log.read_bytes()))
    told = logs(packed, "--summary")
    assert told.returncode == 1
    assert f"this is packed: gzip -dc {packed} | tollgate logs -" in told.stderr


@pytest.mark.parametrize("content", ["", "\n\n", "\r\n"])
@pytest.mark.parametrize("more", [[], ["--where", "tenant=x"]])
def test_a_log_with_nothing_in_it_is_no_mistake(tmp_path, content, more):
    (tmp_path / "access.log").write_text(content)
    told = logs(tmp_path / "access.log", *more)
    assert (told.returncode, told.stdout, told.stderr) == (0, "", "")


def test_long_names_move_no_column():
    names = ["short", "/api/v1/customers/{customer}/orders/{order}/lines/*"]
    text = "".join(line(name, duration_ms=1.0, client_id=name) + "\n" for name in names)
    told = logs("--summary", stdin=text).stdout
    table = told[told.index("Routes ") :].partition("\n\n")[0].splitlines()
    assert len({len(row) for row in table}) == 1 and len(table) == 4, told
    callers = told.partition("Callers\n")[2].splitlines()
    assert len({len(row) for row in callers}) == 1 and len(callers) == 2, told
