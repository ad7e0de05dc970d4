"""What is served: blobs of random bytes, a manifest that names them, and a certificate for every server alike."""

import hashlib
import json
import os

from processes import run

CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
REPOSITORY = "bench/image"
SLICE_BYTES = 8 << 20


class Content:
    """Files named by the hexadecimal part of their digest, in one folder that the origin and nginx serve from."""

    def __init__(self, folder, sizes):
        self.folder = os.path.join(folder, "content")
        os.makedirs(self.folder)
        self.config = self.keep(json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers"}}).encode())
        self.blobs = {name: self.random(size) for name, size in sizes.items()}
        self.sizes = sizes
        # Twenty entries make a manifest of about 3 KiB, as real images have.
        layers = [self.descriptor(LAYER, digest) for digest in self.blobs.values()]
        filler = [self.descriptor(LAYER, self.keep(str(i).encode())) for i in range(20 - len(layers))]
        self.manifest_body = json.dumps(
            {"schemaVersion": 2, "mediaType": MANIFEST, "config": self.descriptor(CONFIG, self.config),
             "layers": layers + filler}, indent=1).encode()
        self.manifest = self.keep(self.manifest_body)
        with open(os.path.join(self.folder, "latest"), "w") as file:
            file.write(self.manifest.removeprefix("sha256:"))

        self.certificate, self.key = os.path.join(folder, "certificate.pem"), os.path.join(folder, "key.pem")
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
            "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", self.key, "-out", self.certificate)

    def path(self, digest):
        return os.path.join(self.folder, digest.removeprefix("sha256:"))

    def keep(self, body):
        digest = "sha256:" + hashlib.sha256(body).hexdigest()
        with open(self.path(digest), "wb") as file:
            file.write(body)
        return digest

    def random(self, size):
        digest, temporary = hashlib.sha256(), os.path.join(self.folder, "part")
        with open(temporary, "wb") as file:
            for at in range(0, size, SLICE_BYTES):
                block = os.urandom(min(SLICE_BYTES, size - at))
                digest.update(block)
                file.write(block)
        os.rename(temporary, self.path(digest.hexdigest()))
        return "sha256:" + digest.hexdigest()

    def descriptor(self, kind, digest):
        return {"mediaType": kind, "digest": digest, "size": os.path.getsize(self.path(digest))}
