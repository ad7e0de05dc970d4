"""Clients that do what clients do, and notice everything: a status, a byte or a second that is not as it should be.

Each kind runs in a process of its own, at its own pace, and takes no notice of how the others fare.
"""

import base64
import hashlib
import http.client
import json
import random
import time

import content

ADDRESS = "127.0.0.2"
PATIENCE = 10
WARM = 20


class Wrong(Exception):
    """An answer that no client could use."""


class Client:
    def __init__(self, places, run):
        self.places, self.run = places, run
        self.basic = "Basic " + base64.b64encode(b"honest:" + places["password"].encode()).decode()

    def ask(self, connection, method, path, expected, body=None, **headers):
        connection.request(method, path, body=body, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        document = answer.read()
        if answer.status != expected:
            raise Wrong(f"{method} {path}: {answer.status} {document[:120]!r}")
        return answer, document

    def connect(self, place):
        return http.client.HTTPConnection(*place, timeout=PATIENCE, source_address=(ADDRESS, 0))

    def pull(self, kind, number):
        """As containerd does: the tag, the manifest by digest, and what it refers to."""
        image, connection = content.image(kind, str(number)), self.connect(self.places["open"])
        to = f"/v2/good/{kind}/{number}"
        try:
            answer, _ = self.ask(connection, "HEAD", f"{to}/manifests/latest", 200, Accept=content.MANIFEST)
            if answer.headers["Docker-Content-Digest"] != image.manifest_digest:
                raise Wrong(f"HEAD {to}: another manifest")
            for path, digest in (("manifests", image.manifest_digest), ("blobs", image.config_digest), ("blobs", image.layer_digest)):
                _, document = self.ask(connection, "GET", f"{to}/{path}/{digest}", 200, Accept=content.MANIFEST)
                if hashlib.sha256(document).hexdigest() != digest[7:]:
                    raise Wrong(f"GET {to}/{path}/{digest}: {len(document)} bytes that are not it")
        finally:
            connection.close()


class WarmPull(Client):
    pace, title = 10, "pull, warm"

    def once(self, number):
        self.pull("warm", number % WARM)


class ColdPull(Client):
    pace, title = 2, "pull, cold"

    def once(self, number):
        self.pull("cold", f"{self.run}-{number}")


class Push(Client):
    pace, title = 2, "push and pull back"

    def once(self, number):
        connection, to = self.connect(self.places["guarded"]), f"/v2/team/app{number % 10}"
        layer = random.Random(f"{self.run}-{number}").randbytes(200_000)
        config = json.dumps({"architecture": "amd64", "os": "linux", "n": f"{self.run}-{number}"}).encode()
        manifest = json.dumps({
            "schemaVersion": 2, "mediaType": content.MANIFEST,
            "config": {"mediaType": content.CONFIG, "digest": content.digest(config), "size": len(config)},
            "layers": [{"mediaType": content.LAYER, "digest": content.digest(layer), "size": len(layer)}],
        }).encode()
        try:
            for blob in (layer, config):
                answer, _ = self.ask(connection, "POST", f"{to}/blobs/uploads/", 202, Authorization=self.basic)
                where = answer.headers["Location"]
                where += ("&" if "?" in where else "?") + f"digest={content.digest(blob)}"
                kind = "application/octet-stream"
                self.ask(connection, "PUT", where, 201, blob, Authorization=self.basic, Content_Type=kind)
            tag = f"v{self.run}-{number}"
            self.ask(connection, "PUT", f"{to}/manifests/{tag}", 201, manifest, Authorization=self.basic, Content_Type=content.MANIFEST)
            for path, sent in ((f"manifests/{tag}", manifest), (f"blobs/{content.digest(layer)}", layer)):
                _, document = self.ask(connection, "GET", f"{to}/{path}", 200, Authorization=self.basic, Accept=content.MANIFEST)
                if document != sent:
                    raise Wrong(f"GET {to}/{path}: not what was pushed")
        finally:
            connection.close()


class Login(Client):
    pace, title = 2, "log in by token"

    def once(self, number):
        connection = self.connect(self.places["guarded"])
        try:
            self.ask(connection, "GET", "/v2/", 401)
            _, document = self.ask(connection, "GET", "/token?service=x&scope=repository:team/seed:pull", 200, Authorization=self.basic)
            token = json.loads(document)["token"]
            self.ask(connection, "GET", "/v2/team/seed/tags/list", 200, Authorization=f"Bearer {token}")
        finally:
            connection.close()


class Health(Client):
    pace, title = 2, "health and metrics"

    def once(self, number):
        connection = self.connect(self.places["admin"])
        try:
            self.ask(connection, "GET", ("/readyz", "/livez", "/metrics")[number % 3], 200)
        finally:
            connection.close()


KINDS = [WarmPull, ColdPull, Push, Login, Health]


def run(kind, places, number, seconds, pipe):
    """In a process of its own. An operation that falls behind is not left out: the next one begins late."""
    client, begun, took, failures = KINDS[kind](places, number), time.monotonic(), [], []
    turn = 0
    while time.monotonic() < begun + seconds:
        time.sleep(max(0, begun + turn / client.pace - time.monotonic()))
        start = time.monotonic()
        try:
            client.once(turn)
        except (OSError, ValueError, KeyError, TypeError, Wrong, http.client.HTTPException) as error:
            failures.append(f"{start - begun:.1f} s: {error!r}"[:300])
        took.append(time.monotonic() - start)
        turn += 1
    pipe.send(json.dumps({"took": took, "failures": failures, "processor": time.process_time()}))


def seed(places):
    """Everything that is warm is pulled once, and the repository that logins look at is pushed."""
    warm, push = WarmPull(places, 0), Push(places, 0)
    for number in range(WARM):
        warm.once(number)
    connection = push.connect(places["guarded"])
    body = b"{}"
    push.ask(connection, "POST", f"/v2/team/seed/blobs/uploads/?digest={content.digest(body)}", 201, body, Authorization=push.basic)
    connection.close()
    for kind in KINDS:
        kind(places, "seed").once(0)
