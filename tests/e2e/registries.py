"""The upstreams: Debian's docker-registry, four times over one storage, each with another way to let clients in."""

import http.client
import json
import os
import re
import socket
import threading
import time
import urllib.parse

from processes import Daemon, Failure, environment, free_port, run
from tokens import TokenServer

USERNAME, PASSWORD = "puller", "s3cret pass:word"

# "GET /v2/library/app/blobs/sha256:… HTTP/1.1" 200 2097
ACCESS = re.compile(r'"(?P<method>[A-Z]+) (?P<path>\S+) HTTP/[0-9.]+" (?P<status>\d+) (?P<bytes>\d+)')


class Registry:
    """One docker-registry. `name` is what entrepot and its clients call it."""

    def __init__(self, name, folder, storage, config="", scheme="http", ca=None):
        self.name, self.scheme, self.ca = name, scheme, ca
        self.port = free_port()
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        path = os.path.join(folder, f"registry-{name}.yml")
        with open(path, "w") as file:
            file.write(
                "version: 0.1\nlog: {accesslog: {disabled: false}, level: warn}\n"
                f"storage: {{filesystem: {{rootdirectory: {storage}, maxthreads: 100}}}}\n" + config.replace("PORT", str(self.port))
            )
            if "\nhttp:" not in "\n" + config:
                file.write(f"http: {{addr: '127.0.0.1:{self.port}'}}\n")
        self.daemon = Daemon(f"registry-{name}", ["docker-registry", "serve", path], folder, self.port,
                             environment(OTEL_TRACES_EXPORTER="none"))

    def requests(self, method, fragment):
        """How many requests of this method with this in their path were answered with a body's status."""
        with open(self.daemon.stdout, errors="replace") as file:
            lines = [ACCESS.search(line) for line in file]
        return [line for line in lines
                if line and line["method"] == method and fragment in line["path"] and line["status"] in ("200", "206")]


class Upstreams:
    """All of them; `seed` is one more over the same storage, through which images come in."""

    NAMES = ("docker.io", "basic.test", "token.test", "tls.test")

    def __init__(self, folder, authority):
        self.folder = folder
        self.storage = storage = os.path.join(folder, "storage")
        self.seed = Registry("seed", folder, storage)
        self.plain = Registry("docker.io", folder, storage)

        passwords = os.path.join(folder, "htpasswd")
        with open(passwords, "w") as file:
            file.write(run(["htpasswd", "-nbB", USERNAME, PASSWORD]).strip() + "\n")
        self.basic = Registry("basic.test", folder, storage,
                              f"auth: {{htpasswd: {{realm: e2e, path: {passwords}}}}}\n")

        self.token_server = TokenServer(folder, free_port(), USERNAME, PASSWORD)
        self.token = Registry(
            "token.test", folder, storage,
            f"auth: {{token: {{realm: '{self.token_server.url}', service: e2e-registry, issuer: e2e, "
            f"rootcertbundle: {self.token_server.certificate}}}}}\n")

        certificate, key = authority.issue("upstream")
        self.tls = Registry(
            "tls.test", folder, storage,
            f"http: {{addr: '127.0.0.1:PORT', tls: {{certificate: {certificate}, key: {key}}}}}\n",
            scheme="https", ca=authority.certificate)
        self.slow = SlowLine(free_port(), self.plain.port, bytes_a_second=40 << 20)
        self.by_name = {registry.name: registry for registry in (self.plain, self.basic, self.token, self.tls)}

    def stop(self):
        for registry in self.by_name.values():
            registry.daemon.stop()

    def start(self):
        for registry in self.by_name.values():
            registry.daemon.start()

    def file_of(self, digest):
        """Where docker-registry keeps a blob."""
        name = digest.removeprefix("sha256:")
        return os.path.join(self.storage, "docker/registry/v2/blobs/sha256", name[:2], name, "data")

    def push(self, image, files=None):
        """Pushes blobs, then manifests with exactly these bytes. `files` are paths of blobs that are too large to hold."""
        connection = http.client.HTTPConnection("127.0.0.1", self.seed.port, timeout=300)

        def send(method, path, body=None, **headers):
            connection.request(method, path, body=body, headers=headers)
            answer = connection.getresponse()
            said = answer.read()
            if answer.status not in (201, 202):
                raise Failure(f"push: {method} {path}: {answer.status} {said[:500]!r}")
            return answer

        def send_blob(digest, body, size):
            location = send("POST", f"/v2/{image.repository}/blobs/uploads/", **{"Content-Length": "0"}).headers["Location"]
            place = urllib.parse.urlsplit(location)
            path = f"{place.path}?{place.query}&digest={urllib.parse.quote(digest)}"
            send("PUT", path, body, **{"Content-Type": "application/octet-stream", "Content-Length": str(size)})

        for digest, body in image.blobs.items():
            send_blob(digest, body, len(body))
        for digest, path in (files or {}).items():
            with open(path, "rb") as file:
                send_blob(digest, file, os.path.getsize(path))
        for reference, media_type, body in image.manifests:
            answer = send("PUT", f"/v2/{image.repository}/manifests/{reference}", body, **{"Content-Type": media_type})
        connection.close()
        image.blobs = {}
        return answer


class SlowLine:
    """A line of limited speed to a registry: what goes through it can be interrupted in the middle."""

    def __init__(self, port, target, bytes_a_second):
        self.url = f"http://127.0.0.1:{port}"
        self.target, self.bytes_a_second = target, bytes_a_second
        self.passed = 0
        self.listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            server = socket.create_connection(("127.0.0.1", self.target))
            threading.Thread(target=self.copy, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self.copy, args=(server, client, True), daemon=True).start()

    def copy(self, source, target, slow):
        try:
            while block := source.recv(64 << 10):
                target.sendall(block)
                if slow:
                    self.passed += len(block)
                    time.sleep(len(block) / self.bytes_a_second)
        except OSError:
            pass
        finally:
            for end in (source, target):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass


def toml(value):
    """A string as TOML writes it (JSON's form is a subset)."""
    return json.dumps(value)
