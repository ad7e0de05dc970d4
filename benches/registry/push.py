"""Pushing blobs to entrepot and to docker-registry."""

import os
import time

import own
from processes import Failure, run
from report import median
from servers import REPOSITORY

GB = 1e9
MIB = 1 << 20
CHECKED = 3
WAYS = {"whole": "POST + PUT", "streamed": "POST + PATCH + PUT"}


class Push:
    def __init__(self, folder, binary, client, report):
        self.servers = (own.Entrepot(folder, binary), own.DockerRegistry(folder))
        self.client, self.report = client, report

    def run(self, pushes):
        for clients, blobs, size, rounds in pushes:
            self.measure(clients, blobs, size, rounds)
        for server in self.servers:
            server.stop()

    def measure(self, clients, blobs, size, rounds):
        seen = {(way, server.name): [] for way in WAYS for server in self.servers}
        for _ in range(rounds):
            for way in WAYS:
                for server in self.servers:
                    seen[way, server.name].append(self.one(server, clients, blobs, size, way))
        moved = blobs * size / GB
        rows, ratios = [], {}
        for way, told in WAYS.items():
            cpu = [median([one["cpu"] for one in seen[way, server.name]]) for server in self.servers]
            ratios[told] = cpu[0] / cpu[1] if cpu[1] else None
            for server, seconds in zip(self.servers, cpu):
                runs = seen[way, server.name]
                wall = median([one["seconds"] for one in runs])
                rows.append((f"{server.name}, {told}", moved / wall, blobs / wall, median([one["p99"] for one in runs]),
                             seconds / moved, seconds / blobs * 1e3, cpu[0] / seconds if seconds else None,
                             median([one["resident"] for one in runs])))
        what = f"a blob of {size // MIB} MiB" if blobs == 1 else f"{blobs} blobs of {size // MIB} MiB"
        what += f", {clients} client{'s' if clients > 1 else ''}"
        self.report.table(f"push of {what}", ["GB/s", "blobs/s", "p99 s", "CPU s/GB", "CPU ms a blob", "entrepot's CPU /", "resident MiB"],
                          rows)
        for told, ratio in ratios.items():
            if ratio is not None:
                self.report.target(f"push of {what}, {told}: CPU", ratio, 0.7, "x")

    def one(self, server, clients, blobs, size, way):
        server.fresh()
        # What is done once is not part of it, and neither is what the other has left to be written to the disk.
        self.client.push(server, REPOSITORY, 1, 2, 4096, way)
        os.sync()
        before = server.cpu_seconds()
        done = self.client.push(server, REPOSITORY, clients, blobs, size, way)
        # What is done after the client has its answer belongs to it, too.
        time.sleep(0.5)
        done["cpu"], done["resident"] = server.cpu_seconds() - before, server.rss_mib()
        for digest in done["digests"][:CHECKED]:
            url = f"http://127.0.0.1:{server.port}{server.blob(digest)}"
            got = run("sh", "-c", f"curl -sS --fail '{url}' | sha256sum").split()[0]
            if got != digest.removeprefix("sha256:"):
                raise Failure(f"{server.name}: other bytes came back for {digest}")
        return done
