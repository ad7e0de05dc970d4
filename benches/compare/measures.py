"""What is measured, and how. Every method adds its rows to the report."""

import json
import os
import re
import statistics
import subprocess
import time

import servers
from content import MANIFEST_TYPE
from processes import Failure, fetch, run

LINE_BYTES = 100_000_000
MIB, GB = 1 << 20, 1e9
STALLED = 1000
PROBES_PER_SECOND, PROBE_CONNECTIONS, COLD_CONNECTIONS = 1000, 4, 4


def median(values):
    return statistics.median(values)


class Measures:
    def __init__(self, work, load, content, upstream, pair, scale, report):
        self.load_program, self.content, self.upstream = load, content, upstream
        self.scale, self.report = scale, report
        made = (work, content, upstream, pair)
        self.entrepot = servers.Entrepot(*made)
        self.static = servers.NginxStatic(*made)
        self.threads = servers.NginxThreads(*made)
        self.cache = servers.NginxCache(*made)
        self.registry = servers.Registry(*made)

    # -- tools

    def load(self, mode, server, *words, tls=False):
        port = server.tls_port if tls else server.port
        options = [str(word) for word in words if not str(word).startswith("/")]
        paths = [str(word) for word in words if str(word).startswith("/")]
        result = json.loads(run(self.load_program, mode, *(["-t"] if tls else []), *options, "127.0.0.1", port, *paths))
        if result["failed"]:
            raise Failure(f"{server.name}: {result['failed']} requests failed")
        return result

    def interleaved(self, contestants, once):
        """Round after round, server after server: the list of results of each."""
        results = {server: [] for server in contestants}
        for turn in range(self.scale.rounds):
            ordered = contestants if turn % 2 == 0 else contestants[::-1]
            for server in ordered:
                results[server].append(once(server))
        return results

    def only_median(self, results, key):
        return {server: median([result[key] for result in list_]) for server, list_ in results.items()}

    def warmed(self, server, blobs):
        """Started, with these blobs kept, and checked byte for byte."""
        self.upstream.line(0)
        server.fresh()
        if server is not self.static and server is not self.threads:
            server.read_manifest()
        for blob in blobs:
            answer = run("sh", "-c", f"curl -sSf {server.url}{server.blob_path(blob)} | sha256sum")
            if answer.split()[0] != blob.hexadecimal:
                raise Failure(f"{server.name} serves other bytes than upstream")

    def both_warm(self, *contestants, blobs=()):
        for server in contestants:
            self.warmed(server, blobs or [self.content.blob])

    def stop(self, *contestants):
        for server in contestants:
            server.stop()

    # -- 1

    def herd(self):
        """Cold clients at once, on one blob, behind a line that they share."""
        # The line is such that the loopback can carry what all clients get together.
        self.herd_of(8, self.content.blob, LINE_BYTES)
        self.herd_of(100, self.content.small, LINE_BYTES // 10)
        self.upstream.line(0)

    def herd_of(self, clients, blob, line):
        ideal = blob.size / line

        def once(server):
            self.upstream.line(0)
            server.fresh()
            server.read_manifest()
            self.upstream.line(line)
            self.upstream.take_counts()
            before = server.cpu_seconds()
            # docker-registry fetches once per client: after three times the line's time nothing more is learnt.
            result = self.load("get", server, "-c", clients, "-n", clients, "-1", "-w", 3 * ideal, server.blob_path(blob))
            result["cpu"] = server.cpu_seconds() - before
            result["gets"] = self.upstream.take_counts().get("GET blob", 0)
            result["ratio"] = result["wall_s"] / ideal
            server.stop()
            if server is self.entrepot and result["bytes"] != clients * blob.size:
                raise Failure(f"{server.name}: {result['bytes']} bytes of {clients * blob.size}")
            return result

        results = self.interleaved([self.entrepot, self.cache, self.registry], once)
        how = (f"{clients} clients ask for one cold blob of {blob.size // MIB} MiB at once, upstream sends {line / 1e6:.0f} MB/s over all "
               "connections; wall until the last client has all (given up at 3), first byte of a body since its request")
        for label, key, target in (("upstream GETs", "gets", 1), ("wall ÷ (size ÷ line rate)", "ratio", 1.05),
                                   ("worst first byte, s", "worst_body_s", 0.2), ("server CPU s", "cpu", None)):
            values = self.only_median(results, key)
            self.report.row(f"herd of {clients}: {label}", values[self.entrepot],
                            {server.name: values[server] for server in (self.cache, self.registry)}, target, how)

    # -- 2

    def warm(self):
        """A blob that is kept, in plaintext and over TLS."""
        self.both_warm(self.entrepot, self.static, self.registry)
        for tls in (False, True):
            for connections in (1, 4, 16):
                def once(server):
                    count = self.scale.tls_requests if tls else self.scale.warm_requests
                    before = server.cpu_seconds()
                    result = self.load("get", server, "-c", connections, "-n", count, server.blob_path(self.content.blob), tls=tls)
                    moved = result["requests"] * self.content.blob.size / GB
                    return {"speed": moved / result["wall_s"], "cpu": (server.cpu_seconds() - before) / moved}

                contestants = [self.entrepot, self.static] + ([] if tls else [self.registry])
                results = self.interleaved(contestants, once)
                wire = "TLS 1.3 AES-128-GCM" if tls else "plaintext"
                how = ("client: real handshake and head, then the records are thrown away undecrypted (MSG_TRUNC), a connection a request"
                       if tls else "client discards in the kernel (MSG_TRUNC), connections kept; nginx: sendfile on")
                for label, key, target in (("GB/s", "speed", None), ("server CPU s/GB", "cpu", 0.6 if tls else 1.0)):
                    values = self.only_median(results, key)
                    self.report.row(f"warm blob, {wire}, {connections} conn.: {label}", values[self.entrepot],
                                    {server.name: values[server] for server in contestants[1:]}, target, how,
                                    relative_to=self.static.name, more_is_better=key == "speed")
        self.stop(self.entrepot, self.static, self.registry)

    # -- 3

    def wrk(self, server):
        before = server.cpu_seconds()
        text = run("wrk", "-t1", "-c32", f"-d{self.scale.wrk_seconds}s", "-H", f"Accept: {MANIFEST_TYPE}", "--latency",
                   server.url + server.manifest_path)
        count = int(re.search(r"(\d+) requests in", text)[1])
        if "Non-2xx" in text or "Socket errors" in text:
            raise Failure(f"{server.name}: {text}")
        return {"rate": float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]),
                "cpu": (server.cpu_seconds() - before) / count * 1e6}

    def manifest(self):
        """A manifest by tag, from memory."""
        self.upstream.line(0)
        self.entrepot.fresh()
        self.static.answer_like(self.entrepot.read_manifest())
        self.static.read_manifest()
        self.registry.fresh()
        self.registry.read_manifest()
        contestants = [self.entrepot, self.static, self.registry]
        results = self.interleaved(contestants, self.wrk)
        how = (f"wrk -t1 -c32 on one tag of {len(self.content.manifest)} bytes; nginx: the same bytes and headers from a file with "
               "open_file_cache; a line in the access log for every request of both (entrepot: JSON; nginx: combined, unbuffered)")
        for label, key, target in (("requests/s", "rate", None), ("server CPU µs/request", "cpu", 0.8)):
            values = self.only_median(results, key)
            self.report.row(f"manifest by tag: {label}", values[self.entrepot],
                            {server.name: values[server] for server in contestants[1:]}, target, how,
                            relative_to=self.static.name, more_is_better=key == "rate")
        self.stop(*contestants)

    # -- 4

    def memory(self):
        """Resident memory: after the start, after serving, and with downloads that nobody reads."""
        found = {}
        contestants = [self.entrepot, self.static, self.registry]
        for server in contestants:
            self.upstream.line(0)
            server.fresh()
            time.sleep(1)
            idle = server.program.resident()
            self.warmed(server, [self.content.blob])
            self.load("get", server, "-c", 16, "-n", 32, server.blob_path(self.content.blob))
            time.sleep(1)
            served = server.program.resident()
            stalled = self.while_stalled(server)
            found[server] = {"idle": idle, "after serving": served, "stalled": stalled}
        names = {"idle": ("idle, a second after the start", 20), "after serving": ("after a fill and 32 warm downloads", None),
                 "stalled": (f"with {STALLED} stalled downloads", 40)}
        for key, (label, target) in names.items():
            how = "VmRSS of all processes of the server; stalled clients read the head of a blob's answer and stop"
            values = {server: found[server][key][0] / MIB for server in contestants}
            self.report.row(f"memory {label}: MiB", values[self.entrepot],
                            {server.name: values[server] for server in contestants[1:]}, target, how)
        self.stop(*contestants)

    def while_stalled(self, server):
        words = [self.load_program, "stall", "-n", str(STALLED), "127.0.0.1", str(server.port), server.blob_path(self.content.blob)]
        clients = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            if "stalled" not in clients.stdout.readline():
                raise Failure(f"{server.name} does not keep {STALLED} stalled downloads")
            time.sleep(2)
            return server.program.resident()
        finally:
            clients.stdin.close()
            clients.wait(30)

    # -- 5

    def cold_files(self):
        """Small requests beside downloads that the disk must deliver."""
        contestants = [self.entrepot, self.static, self.threads]
        self.both_warm(self.entrepot, blobs=self.content.cold)
        headers = self.entrepot.read_manifest()
        for server in contestants[1:]:
            server.answer_like(headers)
        os.sync()

        def once(server):
            places = [f"{server.blob_path(blob)}={server.kept_file(blob)}" for blob in self.content.cold]
            seconds = self.scale.cold_seconds
            words = [self.load_program, "get", "-c", str(COLD_CONNECTIONS), "-s", str(seconds + 1), "127.0.0.1", str(server.port), *places]
            downloads = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
            time.sleep(0.5)
            result = self.load("probe", server, "-c", PROBE_CONNECTIONS, "-r", PROBES_PER_SECOND, "-s", seconds, server.manifest_path)
            moved = json.loads(downloads.communicate(timeout=120)[0])
            if moved["failed"]:
                raise Failure(f"{server.name}: {moved['failed']} downloads failed")
            result["speed"] = moved["bytes"] / GB / moved["wall_s"]
            return result

        results = self.interleaved(contestants, once)
        how = (f"{PROBES_PER_SECOND} requests a second for a manifest over {PROBE_CONNECTIONS} connections, latency since each was due, beside "
               f"{COLD_CONNECTIONS} downloads of {len(self.content.cold)} files that are dropped from the page cache before each (posix_fadvise)")
        for label, key, target in (("p99 ms", "p99_ms", 1.0), ("p50 ms", "p50_ms", None), ("worst ms", "worst_ms", None),
                                   ("downloads, GB/s", "speed", None)):
            values = self.only_median(results, key)
            self.report.row(f"small requests beside cold files: {label}", values[self.entrepot],
                            {server.name: values[server] for server in contestants[1:]}, target, how,
                            relative_to=self.static.name, more_is_better=key == "speed")
        self.stop(*contestants)

    # -- 6

    def fill(self):
        """What a fill costs beyond its hash."""
        blob, hashes = self.content.blob, []
        contestants = [self.entrepot, self.cache, self.registry]

        def once(server):
            if server is self.entrepot:
                hashed = json.loads(run(self.load_program, "hash", blob.file))
                hashes.append(hashed["cpu_s"] / blob.size * GB)
            self.upstream.line(0)
            server.fresh()
            server.read_manifest()
            before = server.cpu_seconds()
            result = self.load("get", server, "-1", server.blob_path(blob))
            time.sleep(0.5)
            result["cpu"] = (server.cpu_seconds() - before) / blob.size * GB
            result["speed"] = blob.size / GB / result["wall_s"]
            server.stop()
            return result

        results = self.interleaved(contestants, once)
        cpu, speed = self.only_median(results, "cpu"), self.only_median(results, "speed")
        others = {server.name: cpu[server] for server in contestants[1:]}
        how = (f"one client, one cold blob of {blob.size // MIB} MiB, upstream without a limit; hash alone: OpenSSL's SHA-256 over the same "
               "bytes in memory, in pieces of 512 KiB (nginx does not hash, and verifies nothing)")
        self.report.row("fill: server CPU s/GB", cpu[self.entrepot], {"hash alone": median(hashes), **others}, 1.3, how,
                        relative_to="hash alone")
        self.report.row("fill: GB/s", speed[self.entrepot], {server.name: speed[server] for server in contestants[1:]}, None, how,
                        more_is_better=True)

    def stop_all(self):
        self.stop(self.entrepot, self.static, self.threads, self.cache, self.registry)
