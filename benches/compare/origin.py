#!/usr/bin/env python3
"""The upstream of the comparison: a registry with one repository behind a line of limited speed.

All connections share the line, as they would share a real one: who fetches a blob nine times waits nine times as long. It
counts what it is asked for, and how much of each blob it has sent.

    origin.py PORT FOLDER

FOLDER holds a file for each digest (its hexadecimal part) and `latest`, the name of the manifest's file. `/-/begin?rate=N`
sets the line (bytes a second, 0 for no limit) and forgets the counts; `/-/counts` tells them.
"""

import asyncio
import json
import os
import sys
import time
import urllib.parse

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
SLICE_BYTES = 64 << 10
MAX_HEAD_BYTES = 64 << 10
SLACK_SECONDS = 0.03


class Line:
    """The time at which the next byte may leave; everyone who sends moves it on."""

    def __init__(self):
        self.rate = 0
        self.free_at = 0.0

    async def wait(self, length):
        if self.rate == 0:
            return
        now = time.monotonic()
        # A sender that was woken late may catch up a little; otherwise each delay of this program would slow the line.
        self.free_at = max(self.free_at, now - SLACK_SECONDS) + length / self.rate
        if self.free_at > now:
            await asyncio.sleep(self.free_at - now)


class Origin:
    def __init__(self, folder):
        self.folder = folder
        self.line = Line()
        self.counts = {}

    async def serve(self, reader, writer):
        try:
            while await self.answer(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    async def answer(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ", 2)
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        where = urllib.parse.urlsplit(target)
        path = urllib.parse.unquote(where.path)
        if path.startswith("/-/"):
            await self.control(path, urllib.parse.parse_qs(where.query), writer)
        elif path == "/v2/":
            self.small(writer, 200, b"{}")
        elif "/manifests/" in path:
            self.manifest(method, path.rpartition("/")[2], writer)
        elif "/blobs/" in path:
            await self.blob(method, path.rpartition("/")[2], fields.get("range"), writer)
        else:
            self.small(writer, 404, b"{}")
        await writer.drain()
        return fields.get("connection", "").lower() != "close"

    async def control(self, path, query, writer):
        if path == "/-/begin":
            self.line.rate = int(query.get("rate", ["0"])[0])
            self.line.free_at = 0.0
            self.counts = {"get": 0, "head": 0, "bytes": 0}
        self.small(writer, 200, json.dumps(self.counts).encode())

    def small(self, writer, status, body, kind="application/json", more="", send=True):
        writer.write(
            f"HTTP/1.1 {status} -\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
            f"Docker-Distribution-Api-Version: registry/2.0\r\n{more}\r\n".encode() + (body if send else b""))

    def manifest(self, method, reference, writer):
        if not reference.startswith("sha256:"):
            with open(os.path.join(self.folder, "latest")) as file:
                reference = "sha256:" + file.read()
        path = self.path(reference)
        if not os.path.exists(path):
            self.small(writer, 404, b"{}")
            return
        with open(path, "rb") as file:
            self.small(writer, 200, file.read(), MANIFEST, f"Docker-Content-Digest: {reference}\r\n", method != "HEAD")

    async def blob(self, method, digest, wanted, writer):
        path = self.path(digest)
        if not os.path.exists(path):
            self.small(writer, 404, b"{}")
            return
        size, start = os.path.getsize(path), 0
        if wanted and wanted.startswith("bytes=") and wanted.endswith("-"):
            start = int(wanted[len("bytes="):-1])
        self.counts["head" if method == "HEAD" else "get"] += 1
        part = f"Content-Range: bytes {start}-{size - 1}/{size}\r\n" if start else ""
        writer.write(
            f"HTTP/1.1 {206 if start else 200} -\r\nContent-Type: application/octet-stream\r\n"
            f"Content-Length: {size - start}\r\nAccept-Ranges: bytes\r\n{part}Docker-Content-Digest: {digest}\r\n\r\n".encode())
        await writer.drain()
        if method == "HEAD":
            return
        with open(path, "rb") as file:
            if self.line.rate == 0:
                self.counts["bytes"] += await asyncio.get_running_loop().sendfile(writer.transport, file, start)
                return
            file.seek(start)
            while block := file.read(SLICE_BYTES):
                await self.line.wait(len(block))
                writer.write(block)
                self.counts["bytes"] += len(block)
                await writer.drain()

    def path(self, digest):
        return os.path.join(self.folder, os.path.basename(digest.removeprefix("sha256:")))


async def main():
    origin = Origin(sys.argv[2])
    server = await asyncio.start_server(origin.serve, "127.0.0.1", int(sys.argv[1]), limit=MAX_HEAD_BYTES)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
