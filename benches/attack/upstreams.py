"""Two upstreams in one program: `good` answers everything at once, `wrong` is what no cache may suffer from."""

import asyncio

import content

DRIPPED = 150 * content.MIB


async def serve(port, is_wrong):
    registry = Wrong() if is_wrong else Good()
    server = await asyncio.start_server(registry.serve, "127.0.0.1", port, limit=1 << 20)
    async with server:
        await server.serve_forever()


class Good:
    async def serve(self, reader, writer):
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                method, path, _ = head[0].split(" ", 2)
                fields = dict((name.lower(), value) for name, _, value in (line.partition(": ") for line in head[1:]))
                await self.answer(method, path.split("?")[0], fields, writer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, TimeoutError):
            pass
        finally:
            writer.close()

    async def answer(self, method, path, fields, writer):
        if path == "/v2/":
            return self.send(writer, method, b"{}")
        _, _, kind, number, what, reference = path.split("/", 5)
        if kind not in content.LAYERS:
            return self.send(writer, method, b"{}", status="404 Not Found")
        image = content.image(kind, number)
        if what == "manifests" and reference in ("latest", image.manifest_digest):
            return self.send(writer, method, image.manifest, content.MANIFEST, image.manifest_digest)
        if what == "blobs" and reference == image.config_digest:
            return self.send(writer, method, image.config)
        if what == "blobs" and reference == image.layer_digest:
            return await self.layer(method, image, fields.get("range"), writer)
        if what == "referrers":
            return self.send(writer, method, b'{"schemaVersion":2,"manifests":[]}', content.INDEX)
        self.send(writer, method, b"{}", status="404 Not Found")

    def send(self, writer, method, body, kind="application/octet-stream", digest=None, status="200 OK"):
        named = f"Docker-Content-Digest: {digest}\r\n" if digest else ""
        writer.write(f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{named}Content-Length: {len(body)}\r\n\r\n".encode())
        if method != "HEAD":
            writer.write(body)

    async def layer(self, method, image, wanted, writer):
        start, end = 0, image.size
        status, part = "200 OK", ""
        if wanted and wanted.startswith("bytes=") and "," not in wanted:
            first, _, last = wanted[6:].partition("-")
            start, end = int(first), min(int(last) + 1, image.size) if last else image.size
            status, part = "206 Partial Content", f"Content-Range: bytes {start}-{end - 1}/{image.size}\r\n"
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/octet-stream\r\n{part}Content-Length: {end - start}\r\n\r\n"
        writer.write(head.encode())
        if method == "HEAD":
            return
        piece = content.block(image.seed)
        at = start
        while at < end:
            within = at % len(piece)
            count = min(len(piece) - within, end - at)
            writer.write(piece[within:within + count])
            await writer.drain()
            at += count
            if image.size > 64 * content.MIB:
                await asyncio.sleep(0.5)


class Wrong(Good):
    """Drips, announces what it never sends, is late with its 404, and has lists and manifests as large as may be."""

    async def answer(self, method, path, fields, writer):
        if path == "/v2/":
            return self.send(writer, method, b"{}")
        _, _, kind, number, what, reference = path.split("/", 5)
        if kind == "drip":
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {DRIPPED}\r\n\r\n".encode())
            while method != "HEAD":
                writer.write(b"Z")
                await writer.drain()
                await asyncio.sleep(1)
        elif kind == "late":
            await asyncio.sleep(3)
            self.send(writer, method, b"{}", status="404 Not Found")
        elif kind == "fat" and what == "manifests":
            body = content.fat_manifest(number)
            self.send(writer, method, body, content.MANIFEST, content.digest(body))
        elif kind == "lists" and what == "tags":
            self.send(writer, method, content.many_tags(number), "application/json")
        elif kind == "lists" and what == "referrers":
            self.send(writer, method, content.many_referrers(number), content.INDEX)
        else:
            self.send(writer, method, b"{}", status="404 Not Found")
