"""Content that both sides can make: the upstream that serves it, and the clients that know its digest."""

import functools
import hashlib
import json

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
KIB, MIB = 1 << 10, 1 << 20

# Bytes of the layer of each kind of image.
LAYERS = {"warm": MIB, "cold": 256 * KIB, "big": 4 * MIB, "left": 8 * MIB, "far": 48 * MIB, "large": 300 * MIB}


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def block(seed):
    return hashlib.shake_256(seed.encode()).digest(64 * KIB)


def blob(seed, size):
    return (block(seed) * (size // (64 * KIB) + 1))[:size]


class Image:
    """One layer and a config, made of its name."""

    def __init__(self, kind, number, size):
        self.seed, self.size = f"{kind}/{number}", size
        self.config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Labels": {"seed": self.seed}}}).encode()
        self.config_digest = digest(self.config)
        # A layer of hundreds of megabytes is never sent whole: it needs no right digest.
        self.layer_digest = digest(blob(self.seed, size if size <= 64 * MIB else 1))
        self.manifest = json.dumps({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": self.config_digest, "size": len(self.config)},
            "layers": [{"mediaType": LAYER, "digest": self.layer_digest, "size": size}],
        }).encode()
        self.manifest_digest = digest(self.manifest)

    def layer(self):
        return blob(self.seed, self.size)


@functools.lru_cache(maxsize=4096)
def image(kind, number):
    return Image(kind, number, LAYERS[kind])


def fat_manifest(number):
    """4 MB, nearly all of which is the media type of its layer."""
    layer = {"mediaType": f"application/vnd.{number}." + "x" * (3_450_000), "digest": digest(b"fat"), "size": 3}
    config = {"mediaType": CONFIG, "digest": digest(b"{}"), "size": 2}
    return json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]}).encode()


def wide_manifest(number, config_digest):
    """3 MB of references to layers that are nowhere."""
    layers = [{"mediaType": LAYER, "digest": digest(f"{number}/{n}".encode()), "size": 3} for n in range(19_000)]
    config = {"mediaType": CONFIG, "digest": config_digest, "size": 2}
    return json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}).encode()


def referrer(subject, number):
    """A manifest with 3.9 MB of annotations, which lists of referrers repeat."""
    empty = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest(b"{}"), "size": 2}
    return json.dumps({
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/vnd.example.note", "config": empty, "layers": [empty],
        "subject": subject, "annotations": {"note": f"{number}:" + "y" * 3_450_000},
    }).encode()


def many_tags(number):
    return json.dumps({"name": f"lists/{number}", "tags": [f"v{n}" for n in range(450_000)]}).encode()


def many_referrers(number):
    """15 MB."""
    entry = {"mediaType": MANIFEST, "artifactType": "application/vnd.example.note", "size": 2, "annotations": {"n": "z" * 15_000}}
    manifests = [{**entry, "digest": digest(f"{number}/{n}".encode())} for n in range(1000)]
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}).encode()
