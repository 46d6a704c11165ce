"""Programs that a test starts and ends: by process id, and nobody else's."""

import contextlib
import functools
import os
import pathlib
import shutil
import signal
import subprocess

import pytest

from .waiting import PATIENCE, Late, free_port, listens, until

ROOT = pathlib.Path(__file__).resolve().parents[3]


@functools.lru_cache
def tollgate_binary():
    """TOLLGATE, or what `swift build -c release` made."""
    named = os.environ.get("TOLLGATE")
    if named:
        return named
    command = ["swift", "build", "-c", "release", "--show-bin-path"]
    folder = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return str(pathlib.Path(folder.stdout.strip(), "tollgate"))


def environment(**more):
    """This process's environment without what would change how a program is judged."""
    kept = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    return kept | {"SWIFT_BACKTRACE": "enable=no"} | more


class Program:
    """A child process whose output goes to files in `folder`."""

    def __init__(self, command, folder, name, env=None, prepare=None, cwd=None):
        self.name = name
        self.command = [str(word) for word in command]
        self.out = pathlib.Path(folder, f"{name}.out")
        self.err = pathlib.Path(folder, f"{name}.err")
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=cwd or folder,
                env=env or environment(),
                start_new_session=True,
                preexec_fn=prepare,
            )
        self.pid = self.process.pid

    @property
    def running(self):
        return self.process.poll() is None

    def said(self):
        """What it printed so far, for a message about its failure."""
        texts = [path.read_text(errors="replace")[-4000:] for path in (self.out, self.err)]
        return f"{self.name} (status {self.process.poll()}):\n" + "\n".join(texts)

    def wait_until(self, condition, what, seconds=20):
        def check():
            if not self.running:
                raise AssertionError(f"{self.name} ended early, awaited: {what}\n{self.said()}")
            return condition()

        try:
            return until(check, what, seconds)
        except Late as late:
            raise Late(f"{late}\n{self.said()}") from None

    def signal(self, number):
        self.process.send_signal(number)

    def end(self, seconds=10):
        """SIGTERM, then SIGKILL for one that does not listen; the exit status."""
        if self.running:
            self.signal(signal.SIGTERM)
            try:
                self.process.wait(seconds * PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
        return self.process.returncode

    def wait(self, seconds=15):
        seconds *= PATIENCE
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {seconds} s\n{self.said()}") from None


class Nginx(Program):
    """nginx in the foreground with an own configuration; `@FOLDER@` is its folder.

    `http` is what goes into its http block; `port` is what it is waited for on.
    """

    def __init__(self, folder, http, port, workers=1, name="nginx", prepare=None):
        self.folder = pathlib.Path(folder, name)
        self.folder.mkdir(parents=True)
        self.port = port
        for part in ("body", "proxy", "fastcgi", "uwsgi", "scgi"):
            (self.folder / part).mkdir()
        self.folder.chmod(0o755)
        text = f"""
daemon off;
worker_processes {workers};
pid {self.folder}/nginx.pid;
error_log stderr error;
{"user root;" if os.geteuid() == 0 else ""}
events {{ worker_connections 20000; multi_accept on; }}
http {{
  access_log off; server_tokens off; tcp_nodelay on;
  client_body_temp_path {self.folder}/body; proxy_temp_path {self.folder}/proxy;
  fastcgi_temp_path {self.folder}/fastcgi; uwsgi_temp_path {self.folder}/uwsgi;
  scgi_temp_path {self.folder}/scgi;
{http.replace("@FOLDER@", str(self.folder))}
}}
"""
        (self.folder / "nginx.conf").write_text(text)
        binary = shutil.which("nginx") or "/usr/sbin/nginx"
        command = [binary, "-p", self.folder, "-c", self.folder / "nginx.conf", "-e", "stderr"]
        super().__init__(command, self.folder, name, prepare=prepare)
        self.wait_until(lambda: listens(port), f"nginx listening on {port}")


def session_of(pid):
    """The process ids in the session that `pid` leads: all that a program started."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError, IndexError):
                fields = pathlib.Path("/proc", entry, "stat").read_text().rsplit(")", 1)[1].split()
                if int(fields[3]) == pid and fields[0] != "Z":
                    found.append(int(entry))
    return found


def status_of(pid, name):
    """A line of /proc/PID/status, as a number (sizes in KiB)."""
    for line in pathlib.Path("/proc", str(pid), "status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    return None


def descriptors(pid):
    """How many files, sockets and the like the process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def c_compiler():
    return shutil.which("cc") or shutil.which("clang") or shutil.which("gcc")


def compiled(source, binary, *flags):
    """Makes a program of a C source, or skips the test where nobody can."""
    if not c_compiler():
        pytest.skip("there is no C compiler")
    subprocess.run([c_compiler(), "-O2", "-o", binary, source, *flags], check=True)
    return binary


__all__ = [
    "Nginx",
    "Program",
    "ROOT",
    "c_compiler",
    "compiled",
    "descriptors",
    "environment",
    "free_port",
    "session_of",
    "status_of",
    "tollgate_binary",
]
