"""A repository of a million tags, beside one of a thousand: what grows, and what does not."""

import hashlib
import json
import os
import random
import subprocess
import threading
import time

import own
from content import MANIFEST
from fill import Filled
from processes import Failure, ask
from report import median

REPOSITORY = "bench/many"
FEW = 1000
PAGE = 1000
# Of each method, and of each repository: a tag that was asked for before may come from memory.
FIRST = FEW // 2
MIB = 1 << 20


class Site:
    """A server and its database."""

    def __init__(self, folder, binary, tags):
        self.name = f"{tags:,} tags"
        self.server = own.Entrepot(folder, binary, self.name)
        # The program makes its tables itself.
        self.server.start()
        self.server.stop()
        begun = time.monotonic()
        self.filled = Filled(self.server.database(), REPOSITORY, tags)
        print(f"{self.name}: filled in {time.monotonic() - begun:.0f} s", flush=True)
        self.runs, self.given_up = [], False

    def again(self):
        """Serves again after something was given up."""
        if self.given_up:
            self.server.start()
            self.given_up = False

    def manifests(self, tags):
        return [f"/v2/{REPOSITORY}/manifests/{tag}" for tag in tags]

    def median(self, key, factor=1):
        return median([run[key] for run in self.runs]) * factor


class Million:
    def __init__(self, folder, binary, client, report, scale):
        self.client, self.report, self.scale = client, report, scale
        print()
        self.sites = [Site(folder, binary, tags) for tags in (FEW, scale.tags)]

    def run(self):
        for _ in range(self.scale.rounds):
            for site in self.sites:
                site.runs.append(self.one(site))
        self.tell()
        collected = [(site.name, *self.collect(site)) for site in self.sites]
        self.report.table("removing what nobody needs, while small blobs are pushed; >: given up",
                          ["dry run s", "gc s", "CPU s", "gc again s", "CPU s", "worst push ms", "worst without ms", "resident MiB"],
                          collected)

    # --- tags ---

    def one(self, site):
        server, tags = site.server, site.filled.tags
        seen = {"ready": server.start(), "idle": server.rss_mib()}
        self.check(site)
        some = random.sample(tags, 2 * FIRST)
        for method, first in (("HEAD", some[:FIRST]), ("GET", some[FIRST:])):
            self.note(seen, f"first {method}", self.client.ask(server, method, site.manifests(first)))
        for method in ("HEAD", "GET"):
            again = random.choices(tags, k=self.scale.lookups)
            self.note(seen, method, self.client.ask(server, method, site.manifests(again)))
        page = f"/v2/{REPOSITORY}/tags/list?n={PAGE}"
        self.note(seen, "start", self.client.ask(server, "GET", [page] * self.scale.pages))
        # A whole page is left after each of them.
        half = (len(tags) - PAGE) // 2
        middle = [tags[half + step] for step in range(self.scale.pages)] if half else [""] * self.scale.pages
        self.note(seen, "middle", self.client.ask(server, "GET", [f"{page}&last={tag}" for tag in middle]))
        seen["after"] = server.rss_mib()
        server.stop()
        return seen

    def note(self, seen, what, done):
        seen[f"{what} p50"], seen[f"{what} p99"] = done["median"], done["p99"]

    def check(self, site):
        """The answers are right, and not only fast. What is asked for is one tag and two pages."""
        server, tags = site.server, site.filled.tags
        status, headers, body = ask(server.port, "GET", site.manifests(tags[-1:])[0], Accept=MANIFEST)
        if status != 200 or headers["Docker-Content-Digest"] != f"sha256:{hashlib.sha256(body).hexdigest()}":
            raise Failure(f"{site.name}: a manifest: {status} {body[:300]!r}")
        for at in (0, len(tags) // 2):
            last = tags[at - 1] if at else ""
            status, headers, body = ask(server.port, "GET", f"/v2/{REPOSITORY}/tags/list?n={PAGE}&last={last}")
            wanted = tags[at:at + PAGE]
            if status != 200 or json.loads(body)["tags"] != wanted or ("Link" in headers) != (at + PAGE < len(tags)):
                raise Failure(f"{site.name}: a page of tags: {status} {headers} {body[:300]!r}")

    def tell(self):
        few, many = self.sites
        rows = [(site.name, os.path.getsize(site.server.database()) / MIB, site.median("ready"), site.median("idle"),
                 site.median("after")) for site in self.sites]
        self.report.table("start and memory", ["database MiB", "ready s", "idle MiB", "MiB after requests"], rows)
        self.report.target(f"{many.name}: start to ready", many.median("ready"), 2, "s")

        lookups = ("first HEAD", "first GET", "HEAD", "GET")
        columns = [f"{what} {part}" for what in lookups for part in ("p50", "p99")]
        rows = [(site.name, *(site.median(column, 1e3) for column in columns)) for site in self.sites]
        self.report.table("a manifest by random tag, ms; first: none was asked for since the start", columns, rows)
        for what in lookups:
            self.report.target(f"{many.name}: {what} by tag, p99 against {few.name}",
                               many.median(f"{what} p99") / few.median(f"{what} p99"), 2, "x")

        columns = ["start p50", "start p99", "middle p50", "middle p99"]
        rows = [(site.name, *(site.median(column, 1e3) if site is many or column.startswith("start") else None for column in columns))
                for site in self.sites]
        self.report.table(f"a page of {PAGE} tags, ms", columns, rows)
        self.report.target(f"{many.name}: first page of tags against {few.name}", many.median("start p50") / few.median("start p50"), 1.5, "x")
        self.report.target(f"{many.name}: page in the middle against the first", many.median("middle p50") / many.median("start p50"), 1.5, "x")

    # --- gc ---

    def collect(self, site):
        server, filled = site.server, site.filled
        server.start()
        alone = self.pushing(site, lambda: time.sleep(2))[1]
        # All that has no reference could go at once.
        dry = self.gc(site, "--dry-run", blobs=filled.forgotten + filled.unlinked)
        site.again()
        first, worst = self.pushing(site, lambda: self.gc(site, links=filled.forgotten, blobs=filled.condemned, failed=0))
        site.again()
        # What the first has condemned has its grace yet.
        second = self.gc(site, **({} if first["given up"] else {"links": 0, "blobs": 0, "failed": 0}))
        site.again()
        self.check(site)
        resident = server.rss_mib()
        server.stop()
        for what, done in (("gc --dry-run", dry), ("gc", first), ("gc with nothing to do", second)):
            if site is not self.sites[0]:
                self.report.target(f"{site.name}: {what} comes to its end", done["seconds"], self.scale.patience, "s")
        told = [f"> {done['seconds']:.0f}" if done["given up"] else done["seconds"] for done in (dry, first, second)]
        return told[0], told[1], first["cpu"], told[2], second["cpu"], worst, alone, resident

    def gc(self, site, *more, **wanted):
        """One pass, by the program that serves. What takes too long is given up, and the server stopped."""
        server = site.server
        before, begun = server.cpu_seconds(), time.monotonic()
        try:
            done = subprocess.run([server.binary, "gc", "--config", server.config, "-o", "json", *more],
                                  stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=self.scale.patience)
        except subprocess.TimeoutExpired:
            done = None
        found = {"seconds": time.monotonic() - begun, "cpu": server.cpu_seconds() - before, "given up": done is None}
        if done is None:
            # It is in one statement that does not end, and who pushes waits for it.
            site.given_up = True
            server.stop()
            return found
        if done.returncode != 0:
            raise Failure(f"{server.name}: gc: exit {done.returncode} {done.stderr}")
        said = json.loads(done.stdout)
        if any(said[name] != value for name, value in wanted.items()):
            raise Failure(f"{site.name}: gc says {said}, not {wanted}")
        return found

    def pushing(self, site, what):
        """Gives what `what` gives, and the milliseconds that the longest push of a small blob took meanwhile."""
        over, worst, failed = threading.Event(), [], []

        def push():
            while not over.is_set():
                begun = time.monotonic()
                try:
                    worst.append(self.client.push(site.server, "bench/beside", 1, 1, 4096, "whole")["worst"] * 1e3)
                except (Failure, subprocess.SubprocessError) as failure:
                    if site.given_up:
                        # It had waited for so long.
                        worst.append((time.monotonic() - begun) * 1e3)
                        return
                    failed.append(failure)
                    over.wait(1)

        thread = threading.Thread(target=push)
        thread.start()
        try:
            given = what()
        finally:
            over.set()
            thread.join()
        if failed:
            print(f"{site.name}: {len(failed)} pushes failed: {str(failed[0])[:500]}", flush=True)
        return given, "failed" if failed else max(worst)
