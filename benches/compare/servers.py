"""The servers that are compared, each set up as one who cares would: all with an access log, all with the same certificate.

A server has a plaintext and a TLS port, serves the same repository, and says where it keeps a blob on disk. `fresh` throws
away what it has cached.
"""

import json
import os
import shutil
import urllib.parse

from content import MANIFEST, REPOSITORY
from processes import Failure, Program, ask, free_port, run

# What nginx writes by itself, or what has no meaning from another server.
OWN_HEADERS = ("content-length", "content-type", "date", "connection", "server", "transfer-encoding")


class Server:
    prefix = ""

    def __init__(self, folder, content, origin_port):
        self.folder = os.path.join(folder, self.name.replace(" ", "-"))
        os.makedirs(self.folder)
        self.content, self.origin_port = content, origin_port
        self.port, self.tls_port = free_port(), free_port()
        self.programs = []

    def blob(self, digest):
        return f"/v2/{self.prefix}{REPOSITORY}/blobs/{digest}"

    def manifest(self):
        return f"/v2/{self.prefix}{REPOSITORY}/manifests/latest"

    def file(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w") as file:
            file.write(text)
        return path

    def fresh(self):
        self.stop()
        shutil.rmtree(self.data(), ignore_errors=True)
        self.start()

    def data(self):
        return os.path.join(self.folder, "data")

    def stop(self):
        for program in self.programs:
            program.stop()
        self.programs = []

    def cpu_seconds(self):
        return sum(program.cpu_seconds() for program in self.programs)

    def rss_mib(self):
        """Of the program that serves plaintext."""
        return self.programs[0].rss_mib()

    def warm(self, digests):
        """Has the blobs and the manifest come in, and checks that it has them."""
        status, headers, body = ask(self.port, "GET", self.manifest(), Accept=MANIFEST)
        if status != 200 or body != self.content.manifest_body:
            raise Failure(f"{self.name}: manifest: {status} {body[:300]!r}")
        for digest in digests:
            url = f"http://127.0.0.1:{self.port}{self.blob(digest)}"
            got = run("sh", "-c", f"curl -sS --fail '{url}' | sha256sum").split()[0]
            if got != digest.removeprefix("sha256:"):
                raise Failure(f"{self.name}: wrong bytes for {digest}")
        return headers

    def warm_tls(self, digest):
        """A client that decrypts gets the right bytes over TLS, too."""
        url = f"https://127.0.0.1:{self.tls_port}{self.blob(digest)}"
        got = run("sh", "-c", f"curl -sS --fail --cacert {self.content.certificate} '{url}' | sha256sum").split()[0]
        if got != digest.removeprefix("sha256:"):
            raise Failure(f"{self.name}: wrong bytes over TLS")

    def stored(self, digest):
        """The file that holds a blob: of all files the one whose name has the digest, or whose size is the blob's."""
        name, size = digest.removeprefix("sha256:"), os.path.getsize(self.content.path(digest))
        for folder, _, files in os.walk(self.data()):
            for file in files:
                path = os.path.join(folder, file)
                if name in path and os.path.getsize(path) >= size:
                    return path
        raise Failure(f"{self.name}: no file holds {digest}")


class Entrepot(Server):
    name = "entrepot"
    prefix = "up/"

    def __init__(self, folder, content, origin_port, binary):
        super().__init__(folder, content, origin_port)
        self.binary, self.admin_port = binary, free_port()

    def start(self):
        config = self.file("entrepot.toml", f"""
listen = [
  {{ address = "127.0.0.1:{self.port}" }},
  {{ address = "127.0.0.1:{self.tls_port}", tls = {{ certificate = "{self.content.certificate}", key = "{self.content.key}" }} }},
]
data = "{self.data()}"

[[upstream]]
name = "up"
url = "http://127.0.0.1:{self.origin_port}"
tag_ttl = "1d"

[cache]
disk = "20GiB"

[admin]
listen = ["127.0.0.1:{self.admin_port}"]
""")
        self.programs = [Program(self.name, [self.binary, "serve", "--config", config], self.folder, self.port)]


class Nginx(Server):
    """Common to both uses. More workers than cores would only help nginx where a disk stops them; it is set as packaged."""

    headers = {}

    def start(self):
        os.makedirs(self.data(), exist_ok=True)
        config = self.file("nginx.conf", f"""
user root;
worker_processes auto;
daemon off;
pid {self.folder}/nginx.pid;
error_log {self.folder}/error.log warn;
worker_rlimit_nofile 20000;
events {{ worker_connections 8192; }}
http {{
  access_log {self.folder}/access.log combined;
  client_body_temp_path {self.folder}/body;
  proxy_temp_path {self.folder}/proxy;
  fastcgi_temp_path {self.folder}/fastcgi;
  uwsgi_temp_path {self.folder}/uwsgi;
  scgi_temp_path {self.folder}/scgi;
  sendfile on;
  sendfile_max_chunk 2m;
  tcp_nopush on;
  keepalive_requests 100000000;
  open_file_cache max=1000 inactive=10m;
  ssl_certificate {self.content.certificate};
  ssl_certificate_key {self.content.key};
  ssl_protocols TLSv1.2 TLSv1.3;
  {self.shared()}
  server {{
    listen 127.0.0.1:{self.port} backlog=4096;
    listen 127.0.0.1:{self.tls_port} ssl backlog=4096;
    {self.locations()}
  }}
}}
""")
        self.programs = [Program(self.name, ["nginx", "-p", self.folder, "-c", config], self.folder, self.port)]


class NginxStatic(Nginx):
    """The files themselves: no upstream, nothing to check, the least that serving can cost."""

    name = "nginx static"

    def shared(self):
        return ""

    def locations(self):
        # The same headers as entrepot's, so that both send as many bytes.
        added = "".join(f"add_header {name} {json.dumps(value)};\n" for name, value in self.headers.items())
        manifest = urllib.parse.quote(self.content.manifest.removeprefix("sha256:"))
        return f"""
    location ~ ^/v2/{REPOSITORY}/blobs/sha256:(?<hex>[0-9a-f]+)$ {{
      alias {self.data()}/$hex; default_type application/octet-stream;
    }}
    location = {self.manifest()} {{
      alias {self.data()}/{manifest}; default_type {MANIFEST}; etag off;
      {added}
    }}"""

    def start(self):
        # Files of its own, so that what lies in the page cache for another server does not help.
        if not os.path.exists(self.data()):
            shutil.copytree(self.content.folder, self.data())
        super().start()

    def fresh(self):
        self.stop()
        self.start()


class NginxCache(Nginx):
    """proxy_cache, with the lock that makes one fetch of many."""

    name = "nginx proxy_cache"

    def shared(self):
        return f"""
  proxy_cache_path {self.data()} levels=2 keys_zone=blobs:10m max_size=20g inactive=1d use_temp_path=off;
  upstream origin {{ server 127.0.0.1:{self.origin_port}; keepalive 32; }}"""

    def locations(self):
        return """
    location / {
      proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_cache blobs;
      proxy_cache_key $uri;
      proxy_cache_valid 200 1d;
      proxy_cache_lock on;
      proxy_cache_lock_timeout 10m;
      proxy_cache_lock_age 10m;
    }"""

    def stored(self, digest):
        raise Failure("nginx names its files by the hash of its key")


class DockerRegistry(Server):
    """Debian's docker-registry; one program for plaintext, one for TLS, over the same storage."""

    def start(self):
        def config(name, port, tls):
            return self.file(name, f"""
version: 0.1
log: {{level: warn}}
storage: {{filesystem: {{rootdirectory: {self.data()}, maxthreads: 100}}, delete: {{enabled: true}}}}
http: {{addr: '127.0.0.1:{port}'{tls}}}
{self.more()}
""")

        os.makedirs(self.data(), exist_ok=True)
        plain = config("plain.yml", self.port, "")
        self.programs = [Program(self.name, ["docker-registry", "serve", plain], self.folder, self.port)]
        if self.has_tls:
            tls = f", tls: {{certificate: {self.content.certificate}, key: {self.content.key}}}"
            secure = config("tls.yml", self.tls_port, tls)
            self.programs.append(Program(self.name + " tls", ["docker-registry", "serve", secure], self.folder, self.tls_port))


class RegistryPlain(DockerRegistry):
    """With the images pushed to it."""

    name = "docker-registry"
    has_tls = True

    def more(self):
        return ""

    def start(self):
        super().start()
        if ask(self.port, "HEAD", self.manifest(), Accept=MANIFEST)[0] == 200:
            return
        for name in sorted(os.listdir(self.content.folder)):
            if name != "latest" and name != self.content.manifest.removeprefix("sha256:"):
                self.push_blob(name)
        self.expect(201, *ask(self.port, "PUT", self.manifest(), self.content.manifest_body, **{"Content-Type": MANIFEST}))

    def push_blob(self, name):
        answer = ask(self.port, "POST", f"/v2/{REPOSITORY}/blobs/uploads/", **{"Content-Length": "0"})
        self.expect(202, *answer)
        place = urllib.parse.urlsplit(answer[1]["Location"])
        path = self.content.path(name)
        with open(path, "rb") as body:
            self.expect(201, *ask(self.port, "PUT", f"{place.path}?{place.query}&digest=sha256%3A{name}", body, 600, **{
                "Content-Type": "application/octet-stream", "Content-Length": str(os.path.getsize(path))}))

    def expect(self, wanted, status, _, body):
        if status != wanted:
            raise Failure(f"{self.name}: push: {status} {body[:300]!r}")

    def fresh(self):
        self.stop()
        self.start()


class RegistryCache(DockerRegistry):
    """As a pull-through cache of the origin."""

    name = "docker-registry cache"
    has_tls = False

    def more(self):
        return f"proxy: {{remoteurl: 'http://127.0.0.1:{self.origin_port}'}}"
