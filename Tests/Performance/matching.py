#!/usr/bin/env python3
"""What a request costs among 10,000 routes, beside one among 10: CPU time, as a ratio.

One gateway has both, by host, and answers by itself; so all else is the same, and the rounds are
interleaved. TOLLGATE names the binary. Exit status 1: the median ratio is over 2.
"""

import os
import pathlib
import random
import socket
import statistics
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "Support"))

from harness.gateway import Gateway  # noqa: E402

MANY, FEW = 10_000, 10
BATCH, BATCHES, ROUNDS = 64, 300, 9


def route(host, number):
    return {
        "match": {"host": host, "path": f"/service-{number:05}/items/{{id}}"},
        "authenticate": "none",
        "respond": {"body": "x"},
    }


def cpu_ns(pid):
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/schedstat") as file:
            total += int(file.read().split()[0])
    return total


def cost(gateway, connection, host, count):
    """Nanoseconds of the gateway's for each request, asked for in batches."""
    order = random.Random(7)
    batches = [
        "".join(
            f"GET /service-{order.randrange(count):05}/items/7 HTTP/1.1\r\nHost: {host}\r\n\r\n"
            for _ in range(BATCH)
        ).encode()
        for _ in range(BATCHES)
    ]
    began = cpu_ns(gateway.pid)
    for batch in batches:
        connection.sendall(batch)
        received = b""
        while received.count(b"\r\n\r\nx") < BATCH:
            received += connection.recv(1 << 16)
        assert received.count(b"HTTP/1.1 200 ") == BATCH, received[:200]
    return (cpu_ns(gateway.pid) - began) / (BATCH * BATCHES)


def main():
    routes = [route("few.example", number) for number in range(FEW)]
    routes += [route("many.example", number) for number in range(MANY)]
    content = {"workers": 1, "routes": routes, "accessLog": "off"}
    with tempfile.TemporaryDirectory() as folder:
        gateway = Gateway(folder, content)
        ratios = []
        try:
            with socket.create_connection(("127.0.0.1", gateway.port), 60) as connection:
                cost(gateway, connection, "many.example", MANY)
                for _ in range(ROUNDS):
                    few = cost(gateway, connection, "few.example", FEW)
                    many = cost(gateway, connection, "many.example", MANY)
                    ratios.append(many / few)
                    print(f"# {FEW} routes {few:.0f} ns, {MANY} routes {many:.0f} ns", flush=True)
        finally:
            gateway.stop()
            gateway.end()
    ratio = statistics.median(ratios)
    print(f"a request among {MANY} routes costs {ratio:.2f} of one among {FEW} (at most 2)")
    return 0 if ratio <= 2 else 1


if __name__ == "__main__":
    sys.exit(main())
