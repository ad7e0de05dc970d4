"""The contestants: how each is configured, started and warmed."""

import os
import shutil

from content import MANIFEST_TYPE, NAME, TAG
from processes import Failure, Program, fetch, free_port, run

# What nginx says by itself, or what belongs to one answer.
OWN_HEADERS = {"date", "server", "content-length", "content-type", "connection", "age", "x-request-id", "last-modified",
               "transfer-encoding", "keep-alive", "etag", "accept-ranges"}

NGINX = """
user root;
worker_processes auto;
worker_rlimit_nofile 20000;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 8192; }}
http {{
  access_log {folder}/access.log combined;
  default_type application/octet-stream;
  client_body_temp_path {folder}/client;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 100000000;
  open_file_cache max=1000;
  {more}
}}
"""

STATIC = """
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    listen 127.0.0.1:{tls_port} ssl backlog=4096;
    ssl_protocols TLSv1.3;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    location /v2/ {{ return 200; }}
    location /v2/{name}/blobs/ {{ alias {content}/; {aio} }}
    location = /v2/{name}/manifests/{tag} {{
      alias {content}/manifest.json;
      default_type {manifest_type};
      types {{ }}
      {headers}
    }}
  }}
"""

CACHE = """
  proxy_cache_path {folder}/cache levels=1:2 keys_zone=blobs:10m max_size=50g inactive=1d use_temp_path=off;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass {upstream};
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_cache blobs;
      proxy_cache_valid 200 1h;
      proxy_cache_lock on;
      proxy_cache_lock_timeout 10m;
      proxy_cache_lock_age 10m;
      proxy_max_temp_file_size 0;
    }}
  }}
"""

ENTREPOT = """
listen = ["127.0.0.1:{port}", {{ address = "127.0.0.1:{tls_port}", tls = {{ certificate = "{certificate}", key = "{key}" }} }}]
data = "{folder}/data"
[admin]
listen = ["127.0.0.1:{admin_port}"]
[cache]
disk = "50GiB"
[log]
format = "{format}"
access = true
[[upstream]]
name = "bench.test"
url = "{upstream}"
default = true
tag_ttl = "1h"
"""

REGISTRY = """
version: 0.1
log: {{ level: warn }}
storage:
  filesystem: {{ rootdirectory: {folder}/data }}
http: {{ addr: "127.0.0.1:{port}" }}
proxy: {{ remoteurl: "{upstream}" }}
"""


def certificate(folder):
    """A P-256 certificate of its own; both TLS servers show it."""
    pair = os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem")
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
        "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-out", pair[0], "-keyout", pair[1])
    return pair


class Server:
    """One contestant. `fresh` starts it with nothing kept, `start` with what it had."""

    name = "?"

    def __init__(self, work, content, upstream, pair):
        self.folder = os.path.join(work, self.name.replace(" ", "-"))
        self.content, self.upstream, self.pair = content, upstream, pair
        self.port, self.tls_port, self.admin_port = free_port(), free_port(), free_port()
        self.program = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def blob_path(self, blob):
        return f"/v2/{NAME}/blobs/{blob.digest}"

    @property
    def manifest_path(self):
        return f"/v2/{NAME}/manifests/{TAG}"

    def values(self):
        return {
            "folder": self.folder, "port": self.port, "tls_port": self.tls_port, "admin_port": self.admin_port,
            "upstream": self.upstream.url, "certificate": self.pair[0], "key": self.pair[1], "name": NAME, "tag": TAG,
            "content": self.content.folder, "manifest_type": MANIFEST_TYPE,
        }

    def start(self):
        os.makedirs(self.folder, exist_ok=True)
        self.program = Program(self.words(), self.folder, f"{self.url}/v2/")
        return self

    def stop(self):
        if self.program:
            self.program.stop()
            self.program = None

    def fresh(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        return self.start()

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w") as file:
            file.write(text)
        return path

    def read_manifest(self):
        """The manifest, as a client asks for it before it asks for blobs."""
        body, headers = fetch(self.url + self.manifest_path, MANIFEST_TYPE)
        if body != self.content.manifest:
            raise Failure(f"{self.name} serves another manifest than upstream")
        return headers

    def cpu_seconds(self):
        return self.program.cpu_seconds()


class Entrepot(Server):
    name = "entrepot"
    binary = "entrepot"
    log_format = "json"

    def words(self):
        path = self.write("entrepot.toml", ENTREPOT.format(format=self.log_format, **self.values()))
        return [self.binary, "serve", "--config", path]

    def kept_file(self, blob):
        for folder, _, files in os.walk(os.path.join(self.folder, "data")):
            for name in files:
                path = os.path.join(folder, name)
                if blob.hexadecimal in path and os.path.getsize(path) == blob.size:
                    return path
        raise Failure("entrepot has not kept the blob")


class NginxStatic(Server):
    name = "nginx static"
    aio = ""

    def words(self):
        headers = ""
        for name, value in getattr(self, "headers", []):
            headers += f"add_header {name} {chr(39)}{value}{chr(39)};\n      "
        more = STATIC.format(headers=headers, aio=self.aio, **self.values())
        return ["nginx", "-p", self.folder, "-c", self.write("nginx.conf", NGINX.format(folder=self.folder, more=more))]

    def blob_path(self, blob):
        return f"/v2/{NAME}/blobs/{blob.hexadecimal}"

    def kept_file(self, blob):
        return blob.file

    def answer_like(self, headers):
        """Restarts with the manifest's headers of another server, but for those that every server writes itself."""
        self.headers = [(name, value) for name, value in headers.items() if name.lower() not in OWN_HEADERS]
        return self.fresh()


class NginxThreads(NginxStatic):
    name = "nginx aio threads"
    aio = "aio threads;"


class NginxCache(Server):
    name = "nginx proxy_cache"

    def words(self):
        more = CACHE.format(**self.values())
        return ["nginx", "-p", self.folder, "-c", self.write("nginx.conf", NGINX.format(folder=self.folder, more=more))]


class Registry(Server):
    name = "docker-registry"

    def words(self):
        return ["docker-registry", "serve", self.write("registry.yml", REGISTRY.format(**self.values()))]
