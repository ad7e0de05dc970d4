"""HTTP as attackers speak it: a request in one line, and frames of HTTP/2 by hand (RFC 9113) with headers without compression."""

import asyncio
import struct

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
ACK, END_STREAM_AND_HEADERS = 1, 5


async def connect(address, source, **options):
    return await asyncio.open_connection(*address, local_addr=(source, 0), limit=1 << 20, **options)


def request(method, path, headers=None, body=b""):
    lines = [f"{method} {path} HTTP/1.1", "Host: registry"] + [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body and "Content-Length" not in (headers or {}):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def ask(address, source, method, path, headers=None, body=b"", patience=30):
    """One request; gives the status, and the size of the body, which is not kept. Nothing is 0, 0."""
    writer = None
    try:
        async with asyncio.timeout(patience):
            reader, writer = await connect(address, source)
            writer.write(request(method, path, {"Connection": "close", **(headers or {})}, body))
            head = await reader.readuntil(b"\r\n\r\n")
            size = 0
            while piece := await reader.read(1 << 18):
                size += len(piece)
            return int(head[9:12]), size, head.decode("latin-1")
    except (OSError, ValueError, TimeoutError, asyncio.IncompleteReadError):
        return 0, 0, ""
    finally:
        if writer:
            writer.transport.abort()


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def text(value):
    if len(value) < 127:
        return bytes([len(value)]) + value.encode()
    rest, out = len(value) - 127, [127]
    while rest >= 128:
        out.append(rest % 128 | 128)
        rest //= 128
    return bytes(out + [rest]) + value.encode()


def block(headers):
    return b"".join(b"\0" + text(name) + text(value) for name, value in headers.items())


class Streams:
    """An HTTP/2 connection whose streams may send one byte each. It answers settings and pings."""

    def __init__(self, reader, writer, tally):
        self.reader, self.writer, self.tally, self.next = reader, writer, tally, 1
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 1)))

    def get(self, path):
        headers = {":method": "GET", ":scheme": "http", ":authority": "registry", ":path": path}
        self.writer.write(frame(HEADERS, END_STREAM_AND_HEADERS, self.next, block(headers)))
        self.next += 2

    async def hear(self):
        """Until the server closes. A stream that the server resets is opened again by the caller."""
        while True:
            head = await self.reader.readexactly(9)
            payload = await self.reader.readexactly(int.from_bytes(head[:3], "big"))
            kind, flags = head[3], head[4]
            if kind in (SETTINGS, PING) and not flags & ACK:
                self.writer.write(frame(kind, ACK, 0, payload if kind == PING else b""))
            elif kind == DATA:
                self.tally["streams that got a byte"] += 1
            elif kind == RST_STREAM:
                self.tally["streams reset"] += 1
                yield
            elif kind == GOAWAY:
                self.tally["goodbyes"] += 1
