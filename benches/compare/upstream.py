"""A registry to fill from: one folder, one line that all connections share, and a count of what was asked.

Run as `upstream.py FOLDER`; it prints its port. FOLDER holds `manifest.json`, and blobs by their digest's hex. `/counts`
tells and forgets the counts, `/rate/N` sets the line to N bytes a second, 0 for no limit.
"""

import hashlib
import json
import os
import re
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PIECE_BYTES = 128 << 10
UNLIMITED_PIECE_BYTES = 4 << 20
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
# A line that was idle may not save up for later; a sleep that was too long may be made good.
CATCH_UP_SECONDS = 0.005


class Line:
    """The rate over all connections."""

    def __init__(self):
        self.bytes_per_second = 0
        self.free_at = 0.0
        self.lock = threading.Lock()

    def wait(self, count):
        if not self.bytes_per_second:
            return
        with self.lock:
            begin = max(self.free_at, time.monotonic() - CATCH_UP_SECONDS)
            self.free_at = begin + count / self.bytes_per_second
            until = self.free_at
        delay = until - time.monotonic()
        if delay > 0:
            time.sleep(delay)


class Counts:
    def __init__(self):
        self.lock = threading.Lock()
        self.by_kind = {}

    def add(self, kind):
        with self.lock:
            self.by_kind[kind] = self.by_kind.get(kind, 0) + 1

    def take(self):
        with self.lock:
            taken, self.by_kind = self.by_kind, {}
            return taken


LINE, COUNTS = Line(), Counts()


class Registry(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder = "."

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.answer()

    def answer(self):
        path = self.path.split("?")[0]
        if path == "/counts":
            return self.small(200, json.dumps(COUNTS.take()).encode(), "application/json")
        if match := re.fullmatch(r"/rate/(\d+)", path):
            LINE.bytes_per_second = int(match[1])
            return self.small(200, b"{}", "application/json")
        if path in ("/v2", "/v2/"):
            return self.small(200, b"{}", "application/json")
        if re.fullmatch(r"/v2/.+/manifests/[^/]+", path):
            COUNTS.add(f"{self.command} manifest")
            with open(os.path.join(self.folder, "manifest.json"), "rb") as file:
                return self.small(200, file.read(), MANIFEST_TYPE)
        if match := re.fullmatch(r"/v2/.+/blobs/sha256:([0-9a-f]{64})", path):
            COUNTS.add(f"{self.command} blob")
            return self.blob(match[1])
        return self.small(404, b'{"errors":[{"code":"NAME_UNKNOWN","message":"no such thing"}]}', "application/json")

    def small(self, status, body, media_type):
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        self.send_header("Docker-Content-Digest", "sha256:" + hashlib.sha256(body).hexdigest())
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def blob(self, hexadecimal):
        try:
            file = open(os.path.join(self.folder, hexadecimal), "rb")
        except FileNotFoundError:
            return self.small(404, b'{"errors":[{"code":"BLOB_UNKNOWN","message":"no such blob"}]}', "application/json")
        with file:
            size = os.fstat(file.fileno()).st_size
            first, last, status = 0, size - 1, 200
            if match := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
                first, last, status = int(match[1]), min(int(match[2] or last), last), 206
            self.send_response(status)
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(last + 1 - first))
            self.send_header("Docker-Content-Digest", f"sha256:{hexadecimal}")
            self.send_header("Accept-Ranges", "bytes")
            if status == 206:
                self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
            self.end_headers()
            if self.command == "GET":
                self.wfile.flush()
                self.send(file.fileno(), first, last + 1)

    def send(self, file, at, end):
        while at < end:
            count = min(end - at, PIECE_BYTES if LINE.bytes_per_second else UNLIMITED_PIECE_BYTES)
            LINE.wait(count)
            while count:
                sent = os.sendfile(self.connection.fileno(), file, at, count)
                if sent == 0:
                    raise ConnectionResetError
                at, count = at + sent, count - sent

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024

    def handle_error(self, *_):
        pass


def main():
    Registry.folder = sys.argv[1]
    server = Server(("127.0.0.1", 0), Registry)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
