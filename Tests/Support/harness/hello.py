"""ClientHello messages as no TLS library would send them, and callers who stop half-way."""

import ssl
import struct

from .client import trusting


def client_hello(name="localhost", **settings):
    """The first flight of an ordinary caller: one record."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    caller = trusting(**settings).wrap_bio(incoming, outgoing, server_hostname=name)
    try:
        caller.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def with_server_name(name, kind=0):
    """A ClientHello whose server_name extension holds these bytes (RFC 6066 §3)."""
    hello = client_hello()
    body = hello[9:]  # behind the headers of the record and of the message
    at = 34
    at += 1 + body[at]  # session id
    at += 2 + int.from_bytes(body[at : at + 2], "big")  # cipher suites
    at += 1 + body[at]  # compression
    front, rest, extensions = body[:at], body[at + 2 :], b""
    while rest:
        number, size = struct.unpack("!HH", rest[:4])
        value, rest = rest[4 : 4 + size], rest[4 + size :]
        if number == 0:
            entry = struct.pack("!BH", kind, len(name)) + name
            value = struct.pack("!H", len(entry)) + entry
        extensions += struct.pack("!HH", number, len(value)) + value
    body = front + struct.pack("!H", len(extensions)) + extensions
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    return records(message)


def records(message, size=16_384):
    """A handshake message in records of so many bytes."""
    return b"".join(
        b"\x16\x03\x01" + struct.pack("!H", len(part)) + part
        for part in (message[at : at + size] for at in range(0, len(message), size))
    )
