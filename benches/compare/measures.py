"""The measurements. Each goes through its servers in turn, round after round, and reports medians."""

import hashlib
import json
import os
import re
import subprocess
import threading
import time

from content import MANIFEST
from processes import Failure, ask, run
from report import median

GB = 1e9


class Measures:
    def __init__(self, load, content, origin_port, report, scale):
        self.load_program, self.content, self.origin_port = load, content, origin_port
        self.report, self.scale = report, scale

    # --- the client ---

    def load(self, mode, server, path, *more, tls=False):
        port = server.tls_port if tls else server.port
        done = json.loads(run(self.load_program, mode, "127.0.0.1", port, path, *more))
        if done["incomplete"]:
            raise Failure(f"{server.name}: {done['incomplete']} of {path} did not come whole: {done}\n{server.programs[0].tail()}")
        return done

    def fetch(self, server, digest, connections, requests, tls=False):
        return self.load("fetch", server, server.blob(digest), connections, requests, int(tls), tls=tls)

    def begin(self, rate):
        ask(self.origin_port, "GET", f"/-/begin?rate={rate}")

    def counts(self):
        return json.loads(ask(self.origin_port, "GET", "/-/counts")[2])

    # --- cold ---

    def herd(self, servers, clients, blob, rate):
        """Clients that all ask for the same cold blob at once, behind a line of `rate` bytes a second."""
        digest, size = self.content.blobs[blob], self.content.sizes[blob]
        seen = {server.name: [] for server in servers}
        for _ in range(self.scale.herd_rounds):
            for server in servers:
                server.fresh()
                self.begin(rate)
                before = server.cpu_seconds()
                done = self.fetch(server, digest, clients, clients)
                counts = self.counts()
                seen[server.name].append({
                    "gets": counts["get"], "fetched": counts["bytes"] / size, "wall": done["seconds"] / (size / rate),
                    "worst": done["worst"], "median": done["median"], "cpu": server.cpu_seconds() - before})
        self.begin(0)
        keys = ("gets", "fetched", "wall", "median", "worst", "cpu")
        rows = [(name, *(median([one[key] for one in runs]) for key in keys)) for name, runs in seen.items()]
        self.report.table(
            f"{clients} clients ask for one cold blob of {size >> 20} MiB; upstream's line carries {rate / 1e6:g} MB/s",
            ["upstream GETs", "times fetched", "wall / line time", "median first byte s", "worst first byte s", "CPU s"], rows)
        _, gets, _, wall, _, worst, _ = rows[0]
        self.report.target(f"herd of {clients}: GETs upstream", gets, 1)
        self.report.target(f"herd of {clients}: wall against the line's time", wall, 1.05)
        self.report.target(f"herd of {clients}: worst first byte", worst, 0.2, "s")

    def fill(self, servers, blob):
        """What one cold blob costs, beside what hashing it costs."""
        digest, size = self.content.blobs[blob], self.content.sizes[blob]
        seen = {server.name: [] for server in servers}
        hashing = []
        self.begin(0)
        for _ in range(self.scale.rounds):
            for server in servers:
                server.fresh()
                before = server.cpu_seconds()
                done = self.fetch(server, digest, 1, 1)
                # What is done after the client has gone belongs to it, too.
                time.sleep(1)
                seen[server.name].append((size / GB / done["seconds"], (server.cpu_seconds() - before) / (size / GB)))
            hashing.append(self.hash_alone(blob))
        alone = median(hashing)
        rows = [(name, median([run[0] for run in runs]), median([run[1] for run in runs]),
                 median([run[1] for run in runs]) / alone) for name, runs in seen.items()]
        rows.append(("SHA-256 alone (OpenSSL)", None, alone, 1.0))
        self.report.table(f"one client, one cold blob of {size >> 20} MiB, a line without limit",
                          ["GB/s", "CPU s/GB", "against the hash"], rows)
        self.report.target("fill: CPU against that of the hash alone", rows[0][3], 1.3)

    def hash_alone(self, blob):
        block = os.urandom(1 << 20)
        before, digest = time.process_time(), hashlib.sha256()
        for _ in range(self.content.sizes[blob] >> 20):
            digest.update(block)
        return (time.process_time() - before) / (self.content.sizes[blob] / GB)

    # --- warm ---

    def warm(self, servers, blob, connections, tls=False):
        digest, size = self.content.blobs[blob], self.content.sizes[blob]
        seen = {server.name: [] for server in servers}
        requests = max(connections, self.scale.tls_requests if tls else self.scale.warm_requests)
        for _ in range(self.scale.rounds):
            for server in servers:
                before = server.cpu_seconds()
                done = self.fetch(server, digest, connections, requests, tls)
                moved = requests * size / GB
                seen[server.name].append((moved / done["seconds"], (server.cpu_seconds() - before) / moved))
        rows = [[name, median([run[0] for run in runs]), median([run[1] for run in runs])] for name, runs in seen.items()]
        for row in rows:
            row += [rows[0][1] / row[1], rows[0][2] / row[2]]
        wire = "TLS 1.3, AES-128-GCM" if tls else "plaintext"
        self.report.table(f"a warm blob of {size >> 20} MiB, {wire}, {connections} connections",
                          ["GB/s", "CPU s/GB", "entrepot's speed /", "entrepot's CPU /"], rows)
        nginx = next(row for row in rows if row[0] == "nginx static")
        self.report.target(f"warm blob, {'TLS' if tls else 'plaintext'}, {connections} connections: CPU a GB against nginx",
                           nginx[4], 0.6 if tls else 1.0)

    def manifest(self, servers):
        seen = {server.name: [] for server in servers}
        for _ in range(self.scale.rounds):
            for server in servers:
                before = server.cpu_seconds()
                said = run("wrk", "-t1", "-c32", f"-d{self.scale.wrk_seconds}s", "-H", f"Accept: {MANIFEST}",
                           f"http://127.0.0.1:{server.port}{server.manifest()}")
                if "Non-2xx" in said or "Socket errors" in said:
                    raise Failure(f"{server.name}: {said}")
                asked = int(re.search(r"(\d+) requests in", said)[1])
                rate = float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1])
                seen[server.name].append((rate, (server.cpu_seconds() - before) / asked * 1e6))
        rows = [[name, median([run[0] for run in runs]), median([run[1] for run in runs])] for name, runs in seen.items()]
        for row in rows:
            row.append(rows[0][2] / row[2])
        self.report.table("a manifest by tag, 32 connections", ["requests/s", "CPU µs a request", "entrepot's CPU /"], rows)
        nginx = next(row for row in rows if row[0] == "nginx static")
        self.report.target("manifest by tag: CPU a request against nginx", nginx[3], 0.8)

    # --- memory, and small beside large ---

    def memory(self, servers, blob):
        rows = []
        for server in servers:
            server.stop()
            server.start()
            time.sleep(1)
            idle = server.rss_mib()
            stalled = subprocess.Popen(
                [self.load_program, "stall", "127.0.0.1", str(server.port), server.blob(self.content.blobs[blob]), "1000"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            if stalled.stdout.readline().strip() != "ready":
                raise Failure(f"{server.name}: the stalled clients did not get their heads")
            time.sleep(2)
            with_stalled = server.rss_mib()
            said, _ = stalled.communicate("")
            if json.loads(said)["incomplete"]:
                raise Failure(f"{server.name}: stalled clients: {said}")
            rows.append((server.name, idle, with_stalled))
        self.report.table("resident memory", ["idle MiB", "1,000 stalled MiB"], rows)
        self.report.target("memory, idle", rows[0][1], 20, "MiB")
        self.report.target("memory, 1,000 stalled downloads", rows[0][2], 40, "MiB")

    def beside_cold_files(self, servers, blobs):
        """Small requests at a steady rate while two clients download files that only the disk has."""
        seen = {server.name: [] for server in servers}
        for _ in range(self.scale.rounds):
            for server in servers:
                seen[server.name].append(self.one_beside_cold_files(server, [self.content.blobs[blob] for blob in blobs]))
        rows = [(name, *(median([run[i] for run in runs]) * factor for i, factor in ((0, 1e3), (1, 1e3), (2, 1e3), (3, 1))))
                for name, runs in seen.items()]
        self.report.table("a manifest by tag, 400 a second, beside downloads of files that are not in the page cache",
                          ["median ms", "p99 ms", "worst ms", "downloads GB/s"], rows)
        nginx = next(row for row in rows if row[0] == "nginx static")
        self.report.target("small requests beside cold files: p99 against nginx", rows[0][2] / nginx[2], 1.0)

    def one_beside_cold_files(self, server, digests):
        over, moved, wrong = threading.Event(), [], []

        def download(digest):
            path = server.stored(digest)
            try:
                while not over.is_set():
                    forget(path)
                    begun = time.monotonic()
                    done = self.fetch(server, digest, 1, 1)
                    moved.append((done["bytes"], time.monotonic() - begun))
            except Failure as failure:
                wrong.append(failure)

        threads = [threading.Thread(target=download, args=(digest,)) for digest in digests]
        for thread in threads:
            thread.start()
        time.sleep(0.3)
        done = self.load("paced", server, server.manifest(), 8, 400, self.scale.paced_seconds)
        over.set()
        for thread in threads:
            thread.join()
        if wrong:
            raise wrong[0]
        rate = sum(size for size, _ in moved) / sum(seconds for _, seconds in moved) * len(threads) / GB
        return done["median"], done["p99"], done["worst"], rate


def forget(path):
    """Takes a file out of the page cache, and makes sure that it is out."""
    with open(path, "rb") as file:
        os.fdatasync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    pages = int(run("fincore", "-b", "-n", "-o", "RES", path).split()[0])
    if pages > os.path.getsize(path) // 20:
        raise Failure(f"{path} stays in the page cache: {pages >> 20} MiB")
