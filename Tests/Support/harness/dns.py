"""A name server that answers as a test says, and a program that asks no other."""

import ctypes
import os
import pathlib
import socket
import struct
import threading

PRIVATE, RECURSIVE, BIND, NEW_MOUNTS = 1 << 18, 1 << 14, 1 << 12, 0x20000
A, AAAA = 1, 28


class NameServer:
    """`names[name]` is a list of addresses, or "nxdomain", "servfail" or "silent"."""

    def __init__(self, address="127.99.0.1"):
        self.names = {}
        self.asked = []
        self.address = address
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 53))
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                query, peer = self.socket.recvfrom(4096)
            except OSError:
                return
            answer = self.answer(query)
            if answer:
                self.socket.sendto(answer, peer)

    def answer(self, query):
        labels, offset = [], 12
        while query[offset]:
            labels.append(query[offset + 1 : offset + 1 + query[offset]].decode())
            offset += 1 + query[offset]
        question = query[12 : offset + 5]
        (kind,) = struct.unpack("!H", query[offset + 1 : offset + 3])
        name = ".".join(labels).lower()
        what = self.names.get(name, "nxdomain")
        self.asked.append(name)
        if what == "silent":
            return None
        records = []
        code = {"nxdomain": 3, "servfail": 2}.get(what, 0) if isinstance(what, str) else 0
        if code == 0:
            family, wanted = (socket.AF_INET6, 1) if kind == AAAA else (socket.AF_INET, 0)
            records = [
                b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 0, len(packed)) + packed
                for packed in (
                    socket.inet_pton(family, text)
                    for text in what
                    if (":" in text) == bool(wanted) and kind in (A, AAAA)
                )
            ]
        head = query[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, len(records), 0, 0)
        return head + question + b"".join(records)

    def times(self, name):
        return self.asked.count(name)

    def prepare(self, folder):
        """What has a program ask here and nowhere else: for `Gateway(prepare=…)`."""
        resolv = pathlib.Path(folder, "resolv.conf")
        resolv.write_text(f"nameserver {self.address}\noptions timeout:1 attempts:1\n")
        switch = pathlib.Path(folder, "nsswitch.conf")
        switch.write_text("hosts: files dns\n")
        libc = ctypes.CDLL(None, use_errno=True)

        def prepare():
            # In mounts of its own, so that nobody else sees these files.
            ok = libc.unshare(NEW_MOUNTS) == 0
            ok = ok and libc.mount(b"none", b"/", None, RECURSIVE | PRIVATE, None) == 0
            for own, place in ((resolv, "/etc/resolv.conf"), (switch, "/etc/nsswitch.conf")):
                if os.path.exists(place):
                    source, target = os.fsencode(own), os.fsencode(place)
                    ok = ok and libc.mount(source, target, None, BIND, None) == 0
            if not ok:
                raise OSError(ctypes.get_errno(), "no mounts of its own")

        return prepare

    def close(self):
        self.socket.close()
