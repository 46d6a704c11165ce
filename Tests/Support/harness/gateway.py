"""The program under test, started with a routes file as its users start it."""

import http.client
import json
import pathlib
import signal

from .program import Program, environment, tollgate_binary
from .waiting import PATIENCE, free_port, listens, until


class Gateway(Program):
    """`tollgate run routes.json` in a folder of its own.

    `routes` is the routes file as a dictionary (or text, written as it is). Where it names no
    listener, access log or admin address, it gets them on free ports; `port` is the first
    listener's. Ready when /readyz of the admin address says so (or, with `ready="listening"`,
    when the listener takes connections).
    """

    def __init__(self, folder, routes, ready="readyz", env=None, prepare=None, binary=None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.file = self.folder / "routes.json"
        self.log_file = self.folder / "access.log"
        if isinstance(routes, dict):
            routes = dict(routes)
            routes.setdefault("listeners", [{"name": "clear", "address": "127.0.0.1:0"}])
            routes.setdefault("accessLog", {"path": str(self.log_file)})
            routes.setdefault("admin", {"address": "127.0.0.1:0"})
            routes["listeners"] = [
                listener | {"address": with_port(listener["address"])}
                for listener in routes["listeners"]
            ]
            if isinstance(routes["admin"], dict):
                address = with_port(routes["admin"].get("address", "127.0.0.1:0"))
                routes["admin"] = routes["admin"] | {"address": address}
            text = json.dumps(routes, indent=2)
        else:
            text, routes = routes, {}
        self.routes = routes
        self.file.write_text(text)
        self.ports = {
            listener.get("name", str(index)): int(listener["address"].rpartition(":")[2])
            for index, listener in enumerate(routes.get("listeners", []))
            if not listener["address"].startswith(("unix:", "systemd:"))
        }
        self.port = next(iter(self.ports.values()), None)
        admin = routes.get("admin")
        self.admin_port = (
            int(admin["address"].rpartition(":")[2]) if isinstance(admin, dict) else None
        )
        super().__init__(
            [binary or tollgate_binary(), "run", self.file],
            self.folder,
            "tollgate",
            env=env or environment(),
            prepare=prepare,
        )
        if ready == "readyz" and self.admin_port:
            self.wait_until(lambda: self.admin("/readyz")[0] == 200, "/readyz")
        elif ready and self.port:
            self.wait_until(lambda: self.admin_port is None or self.live(), "/livez")
            self.wait_until(lambda: listens(self.port), "the listener")

    # -- the admin address

    def admin(self, path, method="GET", headers=None):
        """(status, body) of the admin address; (0, reason) where there is none."""
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=5 * PATIENCE)
        try:
            connection.request(method, path, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read().decode("utf-8", "replace")
        except OSError as error:
            return 0, str(error)
        finally:
            connection.close()

    def live(self):
        return self.admin("/livez")[0] == 200

    # -- the access log

    def log_text(self):
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def log(self):
        """Every record written so far; the last line may be on its way."""
        whole = self.log_text().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines() if line.strip()]

    def logged(self, seconds=10, **members):
        """Waits for the records whose members are these, and returns the last one."""

        def find():
            found = [
                record
                for record in self.log()
                if all(record.get(name) == value for name, value in members.items())
            ]
            return found[-1:] and [found[-1]]

        return until(find, f"an access log line with {members}", seconds)[0]

    # -- the end

    def stop(self, seconds=15):
        """SIGTERM; a clean end is part of every test."""
        if self.running:
            self.signal(signal.SIGTERM)
        status = self.wait(seconds)
        assert status == 0, f"exit status {status} after SIGTERM\n{self.said()}"


def with_port(address):
    """`HOST:0` with a free port in place of the 0."""
    if address.startswith(("unix:", "systemd:")):
        return address
    host, _, port = address.rpartition(":")
    return f"{host}:{free_port() if port == '0' else port}"
