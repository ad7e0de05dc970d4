"""Images made here, without the internet: random layers, a program that runs, every shape that clients meet."""

import gzip
import hashlib
import io
import json
import os
import struct
import tarfile
from dataclasses import dataclass, field

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
SBOM = "application/spdx+json"

GREETING = b"hello from a pulled image\n"


@dataclass
class Image:
    """What was pushed under `repository:tag`, and what a client on amd64 must have in the end."""

    repository: str
    tag: str
    media_type: str = ""
    digest: str = ""
    platform_digest: str = ""
    config: str = ""
    layers: list = field(default_factory=list)
    diff_ids: list = field(default_factory=list)
    sizes: dict = field(default_factory=dict)
    # In the order in which a registry takes them: children first. (reference, media type, bytes)
    manifests: list = field(default_factory=list)
    # Blobs to push, by digest. Emptied once pushed.
    blobs: dict = field(default_factory=dict)

    @property
    def bytes_of_manifest(self):
        return {digest_of(body): body for _, _, body in self.manifests}


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def encode(document):
    # Not the shortest form on purpose: whoever writes it anew changes the digest.
    return json.dumps(document, indent=3).encode()


def hello_program():
    """An ELF file for x86-64 Linux that writes the greeting and ends: needs no compiler and no libc."""
    code = b"\xb8\x01\0\0\0\xbf\x01\0\0\0"  # write(1,
    code += b"\x48\x8d\x35" + struct.pack("<i", 16)  # the bytes behind the code,
    code += b"\xba" + struct.pack("<I", len(GREETING)) + b"\x0f\x05"  # their number)
    code += b"\xb8\x3c\0\0\0\x31\xff\x0f\x05"  # exit(0)
    base, start = 0x400000, 64 + 56
    size = start + len(code) + len(GREETING)
    head = b"\x7fELF\x02\x01\x01" + bytes(9)
    head += struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, base + start, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 0x1000)
    return head + segment + code + GREETING


def tar_of(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o755
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def descriptor(media_type, data, **more):
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data), **more}


def platform_image(image, architecture, layers, docker=False):
    """Adds one platform's manifest with its blobs; gives its descriptor."""
    config_type, layer_type, manifest_type = OCI_CONFIG, OCI_LAYER + "+gzip", OCI_MANIFEST
    if docker:
        config_type, layer_type, manifest_type = DOCKER_CONFIG, DOCKER_LAYER, DOCKER_MANIFEST
    packed = [gzip.compress(layer, compresslevel=1, mtime=0) for layer in layers]
    config = encode({
        "architecture": architecture,
        "os": "linux",
        "created": "2024-01-01T00:00:00Z",
        "config": {"Cmd": ["/hello"]},
        "rootfs": {"type": "layers", "diff_ids": [digest_of(layer) for layer in layers]},
        "history": [{"created": "2024-01-01T00:00:00Z", "created_by": "e2e"} for _ in layers],
    })
    manifest = encode({
        "schemaVersion": 2,
        "mediaType": manifest_type,
        "config": descriptor(config_type, config),
        "layers": [descriptor(layer_type, layer) for layer in packed],
    })
    for blob in [config, *packed]:
        image.blobs[digest_of(blob)] = blob
        image.sizes[digest_of(blob)] = len(blob)
    image.manifests.append((digest_of(manifest), manifest_type, manifest))
    if architecture == "amd64":
        image.platform_digest, image.config = digest_of(manifest), digest_of(config)
        image.layers = [digest_of(layer) for layer in packed]
        image.diff_ids = [digest_of(layer) for layer in layers]
    return descriptor(manifest_type, manifest, platform={"architecture": architecture, "os": "linux"})


def multi_arch(repository, tag="1", docker=False):
    """An index (OCI or Docker's manifest list) of two platforms; amd64 has a program that runs and a layer of noise."""
    image = Image(repository, tag)
    program = tar_of({"hello": hello_program(), "only-" + os.urandom(4).hex(): os.urandom(3000)})
    noise = tar_of({"noise": os.urandom(256 << 10 if docker else 2 << 20)})
    children = [
        platform_image(image, "amd64", [program, noise], docker),
        platform_image(image, "arm64", [tar_of({"arm": os.urandom(1000)})], docker),
    ]
    image.media_type = DOCKER_LIST if docker else OCI_INDEX
    index = encode({"schemaVersion": 2, "mediaType": image.media_type, "manifests": children})
    image.digest = digest_of(index)
    image.manifests.append((tag, image.media_type, index))
    return image


def single(repository, tag="1"):
    """One Docker schema 2 manifest without an index."""
    image = Image(repository, tag)
    files = {"hello": hello_program(), "only-" + os.urandom(4).hex(): os.urandom(3000)}
    platform_image(image, "amd64", [tar_of(files)], docker=True)
    _, image.media_type, manifest = image.manifests.pop()
    image.digest = digest_of(manifest)
    image.manifests.append((tag, image.media_type, manifest))
    return image


def artifact_of(subject):
    """An artifact that refers to `subject`, and the fallback tag that lists it, for registries without the API."""
    image = Image(subject.repository, "sbom")
    empty, content = b"{}", encode({"spdxVersion": "SPDX-2.3", "name": subject.repository})
    manifest = encode({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": SBOM,
        "config": descriptor(OCI_EMPTY, empty),
        "layers": [descriptor(SBOM, content)],
        "subject": {"mediaType": subject.media_type, "digest": subject.digest, "size": len(subject.manifests[-1][2])},
    })
    image.media_type, image.digest = OCI_MANIFEST, digest_of(manifest)
    image.layers = [digest_of(content)]
    image.blobs = {digest_of(empty): empty, digest_of(content): content}
    image.sizes = {digest: len(blob) for digest, blob in image.blobs.items()}
    listed = descriptor(OCI_MANIFEST, manifest, artifactType=SBOM)
    fallback = encode({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [listed]})
    image.manifests = [
        (image.tag, OCI_MANIFEST, manifest),
        (subject.digest.replace(":", "-"), OCI_INDEX, fallback),
    ]
    return image


def big(repository, size, folder, tag="1"):
    """One uncompressed layer of `size` bytes in a file. Gives the image and the file's path."""
    path = os.path.join(folder, repository.replace("/", "-") + ".layer")
    block = os.urandom(1 << 20)
    # A valid tar: one header, noise, padding and the two blocks of zeros at its end.
    entry = tarfile.TarInfo("noise")
    entry.size = size - 512 - 1024
    hashed = hashlib.sha256()
    with open(path, "wb") as file:
        left = size
        for data in [entry.tobuf(tarfile.USTAR_FORMAT)]:
            file.write(data), hashed.update(data)
            left -= len(data)
        number = 0
        while left > 1024:
            # Every block differs, so that a piece at a wrong place is noticed.
            data = (number.to_bytes(8, "big") + block[8:])[: left - 1024]
            file.write(data), hashed.update(data)
            left -= len(data)
            number += 1
        file.write(bytes(left)), hashed.update(bytes(left))
    layer = "sha256:" + hashed.hexdigest()
    image = Image(repository, tag)
    config = encode({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [layer]},
        "history": [{"created_by": "e2e"}],
    })
    manifest = encode({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": descriptor(OCI_CONFIG, config),
        "layers": [{"mediaType": OCI_LAYER, "digest": layer, "size": size}],
    })
    image.media_type, image.digest, image.platform_digest = OCI_MANIFEST, digest_of(manifest), digest_of(manifest)
    image.config, image.layers, image.diff_ids = digest_of(config), [layer], [layer]
    image.sizes = {layer: size, image.config: len(config)}
    image.blobs = {image.config: config}
    image.manifests = [(tag, OCI_MANIFEST, manifest)]
    return image, path
