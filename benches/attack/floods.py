"""The floods. Each runs in a process of its own until it is stopped, and counts what it achieved.

None of them does anything that a stranger could not: they use the open listener, or no valid credential on the guarded one. They come
from another address than the honest clients, but for the failed logins, which come from theirs, as behind one NAT.
"""

import asyncio
import base64
import collections
import itertools
import json
import ssl
import time

import content
import wire
from wire import ask, request

ATTACKER, NEIGHBOUR = "127.0.0.66", "127.0.0.2"
MIB = content.MIB


class Flood:
    def __init__(self, places, run):
        self.open, self.guarded, self.tls, self.run = places["open"], places["guarded"], places["tls"], run
        self.tally = collections.Counter()

    async def many(self, count, one):
        await asyncio.gather(*(self.again(one, n) for n in range(count)))

    async def again(self, one, number):
        """Whoever is thrown out comes again."""
        for turn in itertools.count():
            try:
                await one(number, turn)
            except (OSError, ValueError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                self.tally["cut off"] += 1
            await asyncio.sleep(0.5)

    async def paced(self, a_second, one):
        """Starts so many a second, whether or not the earlier ones have ended; at most 2,000 at once."""
        running, begun = set(), time.monotonic()
        for number in itertools.count():
            await asyncio.sleep(max(0, begun + number / a_second - time.monotonic()))
            if len(running) < 2000:
                task = asyncio.ensure_future(one(number))
                running.add(task)
                task.add_done_callback(running.discard)
            else:
                self.tally["left out"] += 1

    def count(self, status):
        self.tally[str(status or "no answer")] += 1

    def layer(self, kind, number, upstream="good"):
        return f"/v2/{upstream}/{kind}/{number}/blobs/{content.image(kind, str(number)).layer_digest}"


class H2Window(Flood):
    """24 HTTP/2 connections, 250 streams each of a 4 MiB blob, a window of one byte."""

    async def start(self):
        path = self.layer("big", 0)
        await ask(self.open, ATTACKER, "GET", path)

        async def one(number, turn):
            reader, writer = await wire.connect(self.open, ATTACKER)
            try:
                self.tally["connections"] += 1
                streams = wire.Streams(reader, writer, self.tally)
                for _ in range(250):
                    streams.get(path)
                refused = 0
                async for _ in streams.hear():
                    refused += 1
                    if refused > 250:
                        await asyncio.sleep(0.01)
                        streams.get(path)
            finally:
                writer.transport.abort()

        await self.many(24, one)


class BegunUploads(Flood):
    """300 uploads a second that are begun and left; each tenth gets a megabyte."""

    async def start(self):
        async def one(number):
            status, _, head = await ask(self.open, ATTACKER, "POST", f"/v2/flood/u{number % 50}/blobs/uploads/")
            self.count(status)
            where = next((line[10:] for line in head.split("\r\n") if line.lower().startswith("location: ")), None)
            if where and number % 10 == 0:
                kind = {"Content-Type": "application/octet-stream"}
                status, _, _ = await ask(self.open, ATTACKER, "PATCH", where, kind, b"x" * MIB)
                self.tally[f"PATCH {status}"] += 1

        await self.paced(300, one)


class SlowUploads(Flood):
    """200 uploads that send a byte every five seconds."""

    async def start(self):
        async def one(number, turn):
            status, _, head = await ask(self.open, ATTACKER, "POST", f"/v2/flood/slow{number}/blobs/uploads/")
            self.count(status)
            where = next((line[10:] for line in head.split("\r\n") if line.lower().startswith("location: ")), None)
            if not where:
                return
            reader, writer = await wire.connect(self.open, ATTACKER)
            try:
                writer.write(request("PATCH", where, {"Content-Type": "application/octet-stream", "Content-Length": 10 * MIB}))
                while not reader.at_eof():
                    writer.write(b"x")
                    await writer.drain()
                    await asyncio.sleep(5)
            finally:
                writer.transport.abort()

        await self.many(200, one)


class ColdLeft(Flood):
    """Ten cold blobs of 8 MiB a second, each left after a fifth of a second."""

    async def start(self):
        async def one(number):
            try:
                _, writer = await wire.connect(self.open, ATTACKER)
                writer.write(request("GET", self.layer("left", f"{self.run}-{number}")))
                await writer.drain()
                await asyncio.sleep(0.2)
                writer.transport.abort()
                self.tally["left"] += 1
            except OSError:
                self.count(0)

        await self.paced(10, one)


class Stalled(Flood):
    """600 downloads of a 4 MiB blob that are not read, half of them over TLS."""

    async def start(self):
        await ask(self.open, ATTACKER, "GET", self.layer("big", 0))
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        trusting.set_alpn_protocols(["http/1.1"])

        async def one(number, turn):
            over_tls = number % 2 == 1 and self.tls
            reader, writer = await wire.connect(self.tls if over_tls else self.open, ATTACKER, ssl=trusting if over_tls else None)
            try:
                writer.transport.pause_reading()
                writer.write(request("GET", self.layer("big", 0)))
                self.tally["over TLS" if over_tls else "in plain text"] += 1
                while not writer.transport.is_closing():
                    await asyncio.sleep(5)
            finally:
                writer.transport.abort()

        await self.many(600, one)


class FarRanges(Flood):
    """8 clients with 20 ranges each, far apart, of a cold blob of 48 MiB."""

    async def start(self):
        async def one(number, turn):
            ranges = ",".join(f"{n * 2_400_000}-{n * 2_400_000 + 99}" for n in range(1, 20))
            path = self.layer("far", f"{self.run}-{number}-{turn % 4}")
            self.tally["asked"] += 1
            status, _, _ = await ask(self.open, ATTACKER, "GET", path, {"Range": f"bytes={ranges}"}, patience=60)
            self.count(status)

        await self.many(8, one)


class Referrers(Flood):
    """Lists of 30 referrers with 3.9 MB of annotations each, three at a time."""

    async def start(self):
        to, config = "/v2/flood/referred", b"{}"
        status = 0
        while status != 201:
            status, _, _ = await ask(self.open, ATTACKER, "POST", f"{to}/blobs/uploads/?digest={content.digest(config)}", body=config)
            self.tally[f"config {status}"] += 1
        subject = {"mediaType": content.MANIFEST, "digest": content.digest(b"subject"), "size": 7}
        for number in range(30):
            body = content.referrer(subject, number)
            headers = {"Content-Type": content.MANIFEST}
            status, _, _ = await ask(self.open, ATTACKER, "PUT", f"{to}/manifests/{content.digest(body)}", headers, body)
            self.tally[f"referrer {status}"] += 1

        async def one(number, turn):
            status, size, _ = await ask(self.open, ATTACKER, "GET", f"{to}/referrers/{subject['digest']}")
            self.count(status)
            self.tally["bytes"] += size

        await self.many(3, one)


class HugeManifests(Flood):
    """Pushes of manifests with 19,000 references, and pulls of manifests of 4 MB."""

    async def start(self):
        async def one(number, turn):
            self.tally["asked"] += 1
            if number % 2 == 0:
                body = content.wide_manifest(f"{self.run}-{number}-{turn}", content.digest(b"{}"))
                headers = {"Content-Type": content.MANIFEST}
                status, _, _ = await ask(self.open, ATTACKER, "PUT", f"/v2/flood/wide{number}/manifests/latest", headers, body)
                self.tally[f"PUT {status}"] += 1
            else:
                path = f"/v2/wrong/fat/{self.run}-{number}-{turn % 30}/manifests/latest"
                status, _, _ = await ask(self.open, ATTACKER, "GET", path, {"Accept": content.MANIFEST})
                self.tally[f"GET {status}"] += 1

        await self.many(6, one)


class Lists(Flood):
    """Tag lists of 450,000 tags, and referrers' lists of 15 MB, of the wrong upstream."""

    async def start(self):
        async def one(number, turn):
            self.tally["asked"] += 1
            what = "tags/list" if turn % 3 == 0 else f"referrers/{content.digest(str(turn % 40).encode())}"
            status, _, _ = await ask(self.open, ATTACKER, "GET", f"/v2/wrong/lists/{number}-{turn % 40}/{what}", patience=60)
            self.tally[f"{what[:4]} {status}"] += 1

        await self.many(2, one)


class FailedLogins(Flood):
    """Ten wrong passwords and ten wrong tokens a second, from the address of honest clients."""

    async def start(self):
        wrong = base64.b64encode(b"nobody:guess").decode()

        async def one(number):
            if number % 2 == 0:
                status, _, _ = await ask(self.guarded, NEIGHBOUR, "GET", "/token?service=x", {"Authorization": f"Basic {wrong}"})
            else:
                status, _, _ = await ask(self.guarded, NEIGHBOUR, "GET", "/v2/", {"Authorization": "Bearer not.a.token"})
            self.count(status)

        await self.paced(20, one)


class Drips(Flood):
    """Readers of the wrong upstream's blobs, which come a byte a second, are announced and never sent, or are late to be missing."""

    async def start(self):
        warm = content.image("warm", "0").layer_digest

        async def one(number, turn):
            self.tally["asked"] += 1
            if number % 4 == 0:
                path = f"/v2/wrong/late/{number}/blobs/{warm}"
            elif number % 4 == 1:
                path = f"/v2/wrong/drip/{number}/blobs/{warm}"
            elif number % 4 == 2:
                path = self.layer("large", f"{self.run}-{number}")
            else:
                path = f"/v2/wrong/drip/{number}/blobs/{content.digest(f'{self.run}{number}{turn}'.encode())}"
            status, _, _ = await ask(self.open, ATTACKER, "GET", path, patience=20)
            self.count(status)

        await self.many(40, one)


class WrongKinds(Flood):
    """HEADs of honest images' layers as manifests, three a second."""

    async def start(self):
        async def one(number):
            image = content.image("warm", str(number % 20))
            status, _, _ = await ask(self.open, ATTACKER, "HEAD", f"/v2/good/warm/{number % 20}/manifests/{image.layer_digest}")
            self.count(status)

        await self.paced(3, one)


class Crowd(Flood):
    """2,000 connections that say nothing, and as many as get in again when they are closed."""

    async def start(self):
        async def one(number, turn):
            reader, writer = await wire.connect(self.open, ATTACKER)
            self.tally["connections"] += 1
            try:
                await reader.read(1)
            finally:
                writer.transport.abort()

        await self.many(2000, one)


FLOODS = {
    "h2-window": H2Window, "begun-uploads": BegunUploads, "slow-uploads": SlowUploads, "cold-left": ColdLeft, "stalled": Stalled,
    "far-ranges": FarRanges, "referrers": Referrers, "huge-manifests": HugeManifests, "lists": Lists, "failed-logins": FailedLogins,
    "drips": Drips, "wrong-kinds": WrongKinds, "crowd": Crowd,
}


def run(name, places, number, seconds, pipe):
    """In a process of its own."""
    flood = FLOODS[name](places, number)
    wrong = None

    async def bounded():
        try:
            async with asyncio.timeout(seconds):
                await flood.start()
        except TimeoutError:
            pass

    try:
        asyncio.run(bounded())
    except Exception as error:  # A flood that breaks must not look like one that was withstood.
        wrong = repr(error)
    pipe.send(json.dumps({"tally": flood.tally, "wrong": wrong, "processor": time.process_time()}))
