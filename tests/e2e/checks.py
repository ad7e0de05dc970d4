"""What the table of clients does not show: ranges, herds, refusals, referrers, lists, a second address."""

import concurrent.futures
import hashlib
import json
import os
import subprocess
import threading
import time
import urllib.parse

from clients import ACCEPT, Curl, same, sha256_of_file
from images import SBOM, artifact_of, big, multi_arch
from processes import Failure, environment


class Checks:
    """Each method whose name begins with `check_` is one, in the order in which they stand here."""

    def __init__(self, entrepot, upstreams, folder, big_bytes):
        self.entrepot, self.upstreams, self.folder = entrepot, upstreams, folder
        self.curl = Curl(entrepot, os.path.join(folder, "checks"))
        self.big_bytes = big_bytes
        self.subject = multi_arch("library/subject")
        self.artifact = artifact_of(self.subject)
        self.second = multi_arch("library/second-address")
        self.refused = multi_arch("team/refused")
        self.tagged = [multi_arch("library/tagged", f"v{number}") for number in range(5)]
        for image in (self.subject, self.artifact, self.second, self.refused, *self.tagged):
            upstreams.push(image)
        self.big = self.push_big("library/big", big_bytes)
        self.ranged = self.push_big("library/ranged", 64 << 20)
        self.wrong = self.push_big("library/wrong", 16 << 20)
        self.resumed = self.push_big("library/resumed", 256 << 20)

    def push_big(self, repository, size):
        image, path = big(repository, size, self.folder)
        self.upstreams.push(image, {image.layers[0]: path})
        image.path = path
        return image

    def named(self):
        return [(name.removeprefix("check_").replace("_", " "), getattr(self, name))
                for name in type(self).__dict__ if name.startswith("check_")]

    def url(self, image, rest, upstream="docker.io"):
        return f"{self.entrepot.url}/v2/{upstream}/{image.repository}/{rest}"

    def status(self, url, *more):
        return self.curl.get(url, *more)[0]

    # --- a herd ---

    def check_herd_of_8_on_a_cold_layer_gives_one_upstream_GET(self):
        digest = self.big.layers[0]
        url = self.url(self.big, f"blobs/{digest}")
        started = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            seen = list(pool.map(lambda _: download(url, started), range(8)))
        for number, (hashed, length, _) in enumerate(seen):
            same(f"bytes that client {number} got", (digest, self.big_bytes), (hashed, length))
        same("upstream GETs of the layer", 1, len(self.upstreams.plain.requests("GET", digest)))
        return f"{self.big_bytes >> 20} MiB × 8 in {time.monotonic() - started:.1f} s, worst first byte {max(s[2] for s in seen):.2f} s"

    def check_warm_layer_makes_no_upstream_request(self):
        digest = self.big.layers[0]
        before = len(self.upstreams.plain.requests("GET", digest))
        hashed, length, _ = download(self.url(self.big, f"blobs/{digest}"), time.monotonic())
        same("bytes", (digest, self.big_bytes), (hashed, length))
        same("further upstream GETs", 0, len(self.upstreams.plain.requests("GET", digest)) - before)

    # --- ranges ---

    def check_ranges_of_a_cold_layer(self):
        return self.ranges("cold")

    def check_ranges_of_a_warm_layer(self):
        url = self.url(self.ranged, f"blobs/{self.ranged.layers[0]}")
        same("bytes", self.ranged.layers[0], download(url, time.monotonic())[0])
        return self.ranges("warm")

    def ranges(self, state):
        digest, size = self.ranged.layers[0], self.ranged.sizes[self.ranged.layers[0]]
        url = self.url(self.ranged, f"blobs/{digest}")
        with open(self.ranged.path, "rb") as file:
            whole = file.read()
        for asked, first, last in (
            ("0-1023", 0, 1023), ("50000000-50001000", 50_000_000, 50_001_000), ("-4096", size - 4096, size - 1),
            (f"{size - 10}-", size - 10, size - 1), (f"{size - 10}-{size + 10}", size - 10, size - 1), ("1000-", 1000, size - 1),
        ):
            status, headers, body = self.curl.get(url, "-H", f"Range: bytes={asked}")
            with open(body, "rb") as file:
                got = file.read()
            same(f"{state} status of bytes={asked}", 206, status)
            same(f"{state} Content-Range of bytes={asked}", f"bytes {first}-{last}/{size}", headers.get("content-range"))
            same(f"{state} bytes={asked} are the right bytes", True, got == whole[first:last + 1])
        status, headers, _ = self.curl.get(url, "-H", f"Range: bytes={size}-")
        same(f"{state} status past the end", 416, status)
        same(f"{state} Content-Range past the end", f"bytes */{size}", headers.get("content-range"))
        status, headers, body = self.curl.get(url, "-H", "Range: bytes=0-9,1000-1009,-10")
        same(f"{state} status of three ranges", 206, status)
        with open(body, "rb") as file:
            got = file.read()
        for part in (whole[0:10], whole[1000:1010], whole[-10:]):
            same(f"{state} a part is in multipart/byteranges", True, part in got)
        same("Content-Type of three ranges", True, headers.get("content-type", "").startswith("multipart/byteranges"))

    # --- refusals ---

    def refusal(self, upstream, expected, reference="1"):
        seen = []
        for method in ("-I", "-G"):
            url = self.url(self.refused, f"manifests/{reference}", upstream)
            status, headers, body = self.curl.get(url, method)
            if status not in expected:
                raise Failure(f"{method} {url}: expected {expected}, seen {status}")
            seen.append(status)
            if method == "-G":
                with open(body) as file:
                    said = json.load(file)
                same("OCI error body", True, bool(said["errors"][0]["code"]))
        return f"{seen[0]}"

    def check_wrong_password_at_a_Basic_upstream_is_401_or_403(self):
        return self.refusal("basic-wrong.test", (401, 403))

    def check_no_password_at_a_Basic_upstream_is_401_or_403(self):
        return self.refusal("basic-nobody.test", (401, 403))

    def check_wrong_password_at_a_token_server_is_401_or_403(self):
        return self.refusal("token-wrong.test", (401, 403))

    def check_anonymous_token_without_the_right_is_401_or_403(self):
        return self.refusal("token-nobody.test", (401, 403))

    def check_an_unknown_tag_is_404_at_every_upstream(self):
        for upstream in self.upstreams.NAMES:
            self.refusal(upstream, (404,), "no-such-tag")

    def check_an_unknown_blob_is_404(self):
        same("status", 404, self.status(self.url(self.refused, f"blobs/sha256:{'0' * 64}")))

    def check_an_unknown_upstream_prefix_goes_to_the_default_or_is_404(self):
        same("status", 404, self.status(f"{self.entrepot.url}/v2/nowhere.test/library/app/manifests/1"))
        same("status of an unknown ns", 404, self.status(f"{self.entrepot.url}/v2/library/app/manifests/1?ns=nowhere.test"))

    def check_a_dead_upstream_is_502_503_or_504(self):
        return self.refusal("dead.test", (502, 503, 504))

    def check_writes_are_405(self):
        for method, rest in (("PUT", "manifests/1"), ("POST", "blobs/uploads/"), ("DELETE", "manifests/1")):
            same(f"status of {method} {rest}", 405, self.status(self.url(self.refused, rest), "-X", method, "-d", ""))

    def check_a_foreign_Authorization_does_no_harm(self):
        url = self.url(self.subject, "manifests/1")
        same("status", 200, self.status(url, "-u", "somebody:else"))
        same("status of /v2/", 200, self.status(f"{self.entrepot.url}/v2/", "-u", "somebody:else"))

    # --- the rest of the read API ---

    def check_the_second_address_serves_when_the_first_refuses(self):
        self.curl.pull("mirrored.test", self.second)

    def check_referrers_from_the_fallback_tag(self):
        for query, expected in (("", [self.artifact.digest]), (f"?artifactType={urllib.parse.quote(SBOM, safe='')}", [self.artifact.digest]),
                                ("?artifactType=application/nothing", [])):
            url = self.url(self.subject, f"referrers/{self.subject.digest}{query}")
            status, headers, body = self.curl.get(url)
            same(f"status of {url}", 200, status)
            with open(body) as file:
                listed = [entry["digest"] for entry in json.load(file)["manifests"]]
            same(f"referrers in {url}", expected, listed)
            if query:
                same("OCI-Filters-Applied", "artifacttype", headers.get("oci-filters-applied", "").lower())

    def check_the_artifact_itself(self):
        url = self.url(self.artifact, f"manifests/{self.artifact.digest}")
        status, _, body = self.curl.get(url)
        same("status", (200, self.artifact.digest), (status, sha256_of_file(body)))
        url = self.url(self.artifact, f"blobs/{self.artifact.layers[0]}")
        status, _, body = self.curl.get(url)
        same("bytes", (200, self.artifact.layers[0]), (status, sha256_of_file(body)))

    def check_tags_are_listed_and_paged(self):
        seen, url = [], self.url(self.tagged[0], "tags/list?n=2")
        while url:
            status, headers, body = self.curl.get(url)
            same(f"status of {url}", 200, status)
            with open(body) as file:
                page = json.load(file)["tags"]
            same("length of a page is at most n", True, len(page) <= 2)
            seen += page
            link = headers.get("link")
            url = urllib.parse.urljoin(url, link[link.index("<") + 1:link.index(">")]) if link else None
        same("tags", [f"v{number}" for number in range(5)], sorted(seen))

    def check_OCI_Namespace_is_answered(self):
        _, headers, _ = self.curl.get(self.url(self.subject, "manifests/1"))
        same("OCI-Namespace", "docker.io", headers.get("oci-namespace"))

    def check_If_None_Match_is_304(self):
        url = self.url(self.subject, "manifests/1")
        _, headers, _ = self.curl.get(url)
        same("status", 304, self.status(url, "-H", f"If-None-Match: {headers.get('etag')}"))

    def check_metrics_and_health(self):
        said = self.entrepot.metrics()
        same("metrics with the program's prefix", True, "entrepot_" in said)

    def check_a_layer_that_is_wrong_upstream_is_never_complete_and_never_kept(self):
        digest = self.wrong.layers[0]
        url = self.url(self.wrong, f"blobs/{digest}")
        path = self.upstreams.file_of(digest)
        flip_a_byte(path)
        for attempt in (1, 2):
            try:
                hashed, length, _ = download(url, time.monotonic())
            except Failure:
                continue
            raise Failure(f"attempt {attempt}: a complete answer of {length} wrong bytes, {hashed} for {digest}")
        flip_a_byte(path)
        same("bytes once upstream is right again", digest, download(url, time.monotonic())[0])

    # --- interruptions ---

    def check_a_fill_goes_on_after_SIGKILL(self):
        """A fill is killed in the middle; afterwards the layer comes whole, and upstream sends little of it twice."""
        digest, line = self.resumed.layers[0], self.upstreams.slow
        size = self.resumed.sizes[digest]
        url = self.url(self.resumed, f"blobs/{digest}", "slow.test")
        before = line.passed
        client = subprocess.Popen(["curl", "-sS", "--fail", "-o", "/dev/null", url], env=environment(),
                                  stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 60
        while line.passed - before < size // 2:
            if time.monotonic() > end or client.poll() is not None:
                raise Failure(f"the download ended early or stood still after {line.passed - before} bytes")
            time.sleep(0.02)
        self.entrepot.daemon.kill()
        same("the client saw that its download was cut", True, client.wait(30) != 0)
        self.entrepot.daemon.start()
        hashed, length, _ = download(url, time.monotonic())
        same("bytes after the restart", (digest, size), (hashed, length))
        sent = line.passed - before
        if sent > size * 1.4:
            raise Failure(f"upstream sent {sent} bytes for {size}: the fill began anew")
        return f"upstream sent {sent / size:.2f} × the layer"

    def check_SIGTERM_lets_a_body_end_and_exits_0(self):
        digest = self.ranged.layers[0]
        url = self.url(self.ranged, f"blobs/{digest}")
        seen = []
        client = threading.Thread(target=lambda: seen.append(download(url, time.monotonic(), "--limit-rate", "40M")))
        client.start()
        time.sleep(0.5)
        code = self.entrepot.restart()
        client.join()
        same("exit code", 0, code)
        same("bytes of the download in flight", digest, seen[0][0])


def flip_a_byte(path):
    with open(path, "r+b") as file:
        file.seek(5_000_000)
        byte = file.read(1)[0]
        file.seek(5_000_000)
        file.write(bytes([byte ^ 1]))


def download(url, started, *more):
    """Gives digest, length and the time of the first byte of what curl gets."""
    hashed, length, first = hashlib.sha256(), 0, None
    curl = subprocess.Popen(["curl", "-sS", "--fail", "--max-time", "600", *more, url], env=environment(),
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while block := curl.stdout.read1(1 << 20):
        first = first if first is not None else time.monotonic() - started
        hashed.update(block)
        length += len(block)
    said = curl.stderr.read().decode(errors="replace")
    if curl.wait() != 0:
        raise Failure(f"curl exit {curl.returncode} after {length} bytes of {url}: {said.strip()}")
    return "sha256:" + hashed.hexdigest(), length, first or 0.0
