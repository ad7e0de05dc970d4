"""What is served: one image of random blobs, and the upstream registry that has it."""

import hashlib
import json
import os
import subprocess
import sys

from processes import fetch

HERE = os.path.dirname(os.path.abspath(__file__))
NAME, TAG = "bench/image", "latest"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
PIECE_BYTES = 8 << 20


class Blob:
    def __init__(self, folder, size):
        total, left = hashlib.sha256(), size
        passing = os.path.join(folder, "passing")
        with open(passing, "wb") as file:
            while left:
                piece = os.urandom(min(left, PIECE_BYTES))
                total.update(piece)
                file.write(piece)
                left -= len(piece)
        self.size, self.hexadecimal = size, total.hexdigest()
        self.digest = "sha256:" + self.hexadecimal
        self.file = os.path.join(folder, self.hexadecimal)
        os.rename(passing, self.file)


class Content:
    """`blob` is the usual one, `small` that of the large herd, `cold` are those that are read from the disk."""

    def __init__(self, folder, blob_bytes, small_bytes, cold_count, cold_bytes):
        os.makedirs(folder)
        self.folder = folder
        self.blob, self.small = Blob(folder, blob_bytes), Blob(folder, small_bytes)
        self.cold = [Blob(folder, cold_bytes) for _ in range(cold_count)]
        config = Blob(folder, 1500)
        self.manifest = json.dumps({
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config.digest, "size": config.size},
            "layers": [
                {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": blob.digest, "size": blob.size}
                for blob in [self.blob, self.small, *self.cold]
            ],
            # To the length of an image with a dozen layers.
            "annotations": {"org.opencontainers.image.description": "-" * 1100},
        }, indent=1).encode()
        with open(os.path.join(folder, "manifest.json"), "wb") as file:
            file.write(self.manifest)


class Upstream:
    """The registry of upstream.py, in a process of its own."""

    def __init__(self, content):
        words = [sys.executable, "-B", os.path.join(HERE, "upstream.py"), content.folder]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
        self.url = f"http://127.0.0.1:{self.process.stdout.readline().strip()}"

    def line(self, bytes_per_second):
        fetch(f"{self.url}/rate/{bytes_per_second}")

    def take_counts(self):
        return json.loads(fetch(f"{self.url}/counts")[0])

    def stop(self):
        self.process.terminate()
        self.process.wait()
