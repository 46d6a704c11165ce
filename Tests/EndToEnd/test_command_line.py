"""The command line itself: help, misspellings, and what real shells complete."""

import os
import pty
import re
import select
import shutil
import subprocess
import time

import pytest
from harness.program import environment, tollgate_binary

COMMANDS = ["run", "check", "explain", "reload", "health", "logs", "top", "demo", "schema",
            "completions", "version", "help"]  # fmt: skip


def tollgate(*arguments):
    return subprocess.run(
        [tollgate_binary(), *arguments], capture_output=True, text=True, timeout=60,
        stdin=subprocess.DEVNULL, env=environment(),
    )  # fmt: skip


def test_help_lists_every_command_and_each_has_its_own():
    listed = tollgate("help")
    assert listed.returncode == 0 and not listed.stderr
    assert re.findall(r"^  ([a-z]+) ", listed.stdout, re.M) == COMMANDS
    for name in COMMANDS[:-1]:
        asked, option = tollgate("help", name), tollgate(name, "--help")
        assert asked.returncode == 0 and asked.stdout == option.stdout
        assert asked.stdout.startswith(f"Usage: tollgate {name}")
        assert "Exit status: 0 " in asked.stdout
        assert all(len(line) <= 100 for line in asked.stdout.splitlines())


def test_every_option_of_the_help_is_taken():
    """One that is unknown comes behind it, and behind its value where it takes one."""
    for name in COMMANDS[:-1]:
        for option in re.findall(r"^  (--[a-z-]+)", tollgate(name, "--help").stdout, re.M):
            if option != "--help":
                told = tollgate(name, option, "--no-such-option", "--no-such-option")
                assert told.returncode == 2, (name, option)
                assert f'"{option}"' not in told.stderr, told.stderr


@pytest.mark.parametrize(
    "arguments, hint",
    [
        (["chek"], 'unknown command "chek"; did you mean "check"?'),
        (["help", "log"], 'no command "log"; did you mean "logs"?'),
        (["check", "--life"], 'unknown option "--life"; did you mean "--live"?'),
        (["run", "--watsh"], 'did you mean "--watch"?'),
        (["version", "now"], 'unknown argument "now"'),
        (["completions", "tcsh"], "expected bash, zsh or fish"),
    ],
)
def test_what_is_misspelled_is_told_with_what_was_meant(arguments, hint):
    told = tollgate(*arguments)
    assert told.returncode == 2 and not told.stdout and hint in told.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where shells complete: the program by its name, its completions, and a file."""
    folder = tmp_path_factory.mktemp("shells")
    os.symlink(shutil.which(tollgate_binary()) or tollgate_binary(), folder / "tollgate")
    for shell in ("bash", "zsh", "fish"):
        made = tollgate("completions", shell)
        assert made.returncode == 0
        (folder / f"completions.{shell}").write_text(made.stdout)
    (folder / "orders.json").write_text("{}")
    return folder


def bash(folder, line):
    words = line.split(" ")
    script = """
        source ./completions.bash
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _tollgate
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    return run_shell(folder, ["bash", "-c", script, "bash", *words])


def fish(folder, line):
    script = f"source ./completions.fish; complete -C '{line}'"
    return [word.split("\t")[0] for word in run_shell(folder, ["fish", "-c", script])]


def run_shell(folder, command):
    told = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=60,
        env=environment(HOME=str(folder), PATH=f"{folder}:{os.environ['PATH']}"),
    )  # fmt: skip
    assert told.returncode == 0 and not told.stderr, told.stderr
    return [word for word in told.stdout.splitlines() if word]


@pytest.mark.parametrize("shell", [bash, fish])
def test_shells_complete_commands_options_words_and_files(folder, shell):
    assert sorted(shell(folder, "tollgate ")) == sorted(COMMANDS)
    assert shell(folder, "tollgate ch") == ["check"]
    assert {"--where", "--follow"} <= set(shell(folder, "tollgate logs --"))
    assert shell(folder, "tollgate logs --fo") == ["--follow"]
    assert shell(folder, "tollgate logs --color n") == ["never"]
    assert sorted(shell(folder, "tollgate completions ")) == ["bash", "fish", "zsh"]
    assert shell(folder, "tollgate check or") == ["orders.json"]
    assert shell(folder, "tollgate explain --token or") == ["orders.json"]
    assert shell(folder, "tollgate help sch") == ["schema"]


def test_zsh_completes_at_its_prompt(folder):
    """Its completions can only be asked for by a key."""
    (folder / ".zshrc").write_text(
        "PS1='> '; unsetopt BEEP; autoload -U compinit; compinit -u -D\n"
        "source ./completions.zsh; print READY\n"
    )
    child, master = pty.fork()
    if child == 0:
        os.chdir(folder)
        for name in list(os.environ):
            os.environ.pop(name)
        os.environ.update(environment(HOME=str(folder), TERM="dumb", COLUMNS="100", LINES="40"))
        os.environ["PATH"] = f"{folder}:/usr/local/bin:/usr/bin:/bin"
        os.execvp("zsh", ["zsh", "-i"])
    screen = b""

    def wait_for(word, seconds=60):
        nonlocal screen
        end = time.monotonic() + seconds
        while word not in screen:
            assert time.monotonic() < end, screen.decode(errors="replace")
            if select.select([master], [], [], 1)[0]:
                screen += os.read(master, 65536)
        screen = screen.split(word, 1)[1]

    try:
        wait_for(b"READY")
        for typed, whole in (
            (b"tollgate sche\t", b"tollgate schema "),
            (b"tollgate logs --fo\t", b"tollgate logs --follow "),
            (b"tollgate logs --color=al\t", b"tollgate logs --color=always "),
            (b"tollgate run --log-format js\t", b"tollgate run --log-format json "),
            (b"tollgate check ord\t", b"tollgate check orders.json "),
        ):
            os.write(master, typed)
            wait_for(whole)
            os.write(master, b"\x15")
    finally:
        os.write(master, b"\x15exit\n")
        os.close(master)
        os.waitpid(child, 0)


@pytest.mark.parametrize(
    "admin, asked",
    [
        ("localhost", "localhost:9901"),
        ("127.0.0.1", "127.0.0.1:9901"),
        ("[::1]", "[::1]:9901"),
        ("127.0.0.1:1", "127.0.0.1:1"),
        ("http://127.0.0.1:1/", "127.0.0.1:1"),
    ],
)
def test_who_is_asked_is_said_and_has_the_usual_port_where_none_is_given(admin, asked):
    told = tollgate("health", admin)
    # Nobody is there, or somebody who is none of ours.
    assert told.returncode in (0, 1, 3)
    if told.returncode == 3:
        assert asked in told.stderr
