"""The real clients. Each pulls an image into an empty store of its own and proves that what it has is the image."""

import hashlib
import json
import os
import shutil

from images import DOCKER_LIST, DOCKER_MANIFEST, GREETING, OCI_INDEX, OCI_MANIFEST
from processes import Daemon, Failure, environment, found, free_port, run

ACCEPT = ", ".join((OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST))


def same(what, expected, seen):
    if expected != seen:
        raise Failure(f"{what}: expected {expected!r}, seen {seen!r}")


def sha256_of_file(path):
    hashed = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            hashed.update(block)
    return "sha256:" + hashed.hexdigest()


class Client:
    """`only` names the one upstream that a client can reach this way, where it is not all of them."""

    name, needs, only = "", (), None

    def __init__(self, entrepot, folder):
        self.entrepot = entrepot
        self.folder = os.path.join(folder, self.name)
        os.makedirs(self.folder)

    def missing(self):
        return [program for program in self.needs if not found(program)]

    def prefix(self, upstream, image, tls=False):
        address = self.entrepot.tls_address if tls else self.entrepot.address
        return f"{address}/{upstream}/{image.repository}"

    def start(self):
        """Daemons and configuration, once."""

    def pull(self, upstream, image):
        raise NotImplementedError

    def fresh(self, name="store"):
        path = os.path.join(self.folder, name)
        shutil.rmtree(path, ignore_errors=True)
        os.makedirs(path)
        return path


class Curl(Client):
    """Every byte by hand: manifests by tag and digest, HEAD and GET, blobs whole."""

    name, needs, options, tls = "curl", ("curl",), ("--http1.1",), False

    def url(self, upstream, image, rest):
        return ("https://" if self.tls else "http://") + f"{self.address()}/v2/{upstream}/{image.repository}/{rest}"

    def address(self):
        return self.entrepot.tls_address if self.tls else self.entrepot.address

    def get(self, url, *more):
        """Gives status, headers (names in lower case) and the path of the body."""
        store = self.fresh("answer")
        head, body = os.path.join(store, "head"), os.path.join(store, "body")
        open(body, "wb").close()
        options = list(self.options) + (["--cacert", self.entrepot.ca] if self.tls else [])
        run(["curl", "-sS", "--max-time", "120", *options, "-D", head, "-o", body, "-H", f"Accept: {ACCEPT}", *more, url])
        with open(head) as file:
            # The last head: 100 Continue may stand before it.
            lines = file.read().strip().split("\n\n")[-1].split("\n")
        headers = {name.lower(): value for name, value in (line.strip().split(": ", 1) for line in lines[1:] if ": " in line)}
        return int(lines[0].split()[1]), headers, body

    def pull(self, upstream, image):
        wanted = [(image.tag, image.media_type, image.digest)]
        wanted += [(reference, kind, reference) for reference, kind, _ in image.manifests if reference != image.tag]
        for reference, kind, digest in wanted:
            url = self.url(upstream, image, f"manifests/{reference}")
            for more in (["-I"], []):
                status, headers, body = self.get(url, *more)
                same(f"status of {more} {url}", 200, status)
                same(f"Docker-Content-Digest of {more} {url}", digest, headers.get("docker-content-digest"))
                same(f"Content-Type of {more} {url}", kind, headers.get("content-type"))
            same(f"bytes of {url}", digest, sha256_of_file(body))
            same(f"Content-Length of {url}", str(os.path.getsize(body)), headers.get("content-length"))
        for digest in [image.config, *image.layers]:
            url = self.url(upstream, image, f"blobs/{digest}")
            status, headers, body = self.get(url)
            same(f"status of {url}", 200, status)
            same(f"bytes of {url}", digest, sha256_of_file(body))
            status, headers, _ = self.get(url, "-I")
            same(f"status of HEAD {url}", 200, status)
            same(f"Content-Length of HEAD {url}", str(image.sizes[digest]), headers.get("content-length"))


class CurlNamespace(Curl):
    """As containerd names upstreams: `?ns=`, and no prefix."""

    name = "curl ns"

    def url(self, upstream, image, rest):
        return f"http://{self.address()}/v2/{image.repository}/{rest}?ns={upstream}"


class CurlHost(Curl):
    """By virtual host: the Host header names the upstream."""

    name = "curl host"

    def url(self, upstream, image, rest):
        return f"http://{upstream}/v2/{image.repository}/{rest}"

    def get(self, url, *more):
        return super().get(url, "--connect-to", f"::127.0.0.1:{self.entrepot.port}", *more)


class CurlHttp2(Curl):
    name, options = "curl h2c", ("--http2-prior-knowledge",)


class CurlTls(Curl):
    name, options, tls = "curl tls", ("--http1.1",), True


class CurlTlsHttp2(Curl):
    name, options, tls = "curl tls h2", ("--http2",), True


class Skopeo(Client):
    name, needs, tls = "skopeo", ("skopeo",), False

    def start(self):
        self.certificates = self.fresh("certificates")
        shutil.copy(self.entrepot.ca, os.path.join(self.certificates, "ca.crt"))
        self.policy = os.path.join(self.folder, "policy.json")
        with open(self.policy, "w") as file:
            file.write('{"default": [{"type": "insecureAcceptAnything"}]}')

    def pull(self, upstream, image):
        store = self.fresh()
        trust = [f"--src-cert-dir={self.certificates}"] if self.tls else ["--src-tls-verify=false"]
        source = f"docker://{self.prefix(upstream, image, self.tls)}:{image.tag}"
        run(["skopeo", "copy", "--quiet", "--all", "--policy", self.policy, *trust, source, f"dir:{store}"],
            environment(HOME=self.folder, XDG_RUNTIME_DIR=self.folder))
        same("bytes of the manifest", image.digest, sha256_of_file(os.path.join(store, "manifest.json")))
        for digest in [image.config, *image.layers]:
            path = os.path.join(store, digest.removeprefix("sha256:"))
            same("bytes of a blob", digest, sha256_of_file(path) if os.path.exists(path) else "no file")


class SkopeoTls(Skopeo):
    name, tls = "skopeo tls", True


class Containers(Client):
    """podman and buildah: the same library, registries.conf and store."""

    program, mirror, tls = "", False, False

    def start(self):
        certificates = self.fresh("certificates")
        folder = os.path.join(certificates, self.entrepot.tls_address)
        os.makedirs(folder)
        shutil.copy(self.entrepot.ca, os.path.join(folder, "ca.crt"))
        self.certificates = folder
        self.policy = os.path.join(self.folder, "policy.json")
        with open(self.policy, "w") as file:
            file.write('{"default": [{"type": "insecureAcceptAnything"}]}')
        self.registries = os.path.join(self.folder, "registries.conf")
        with open(self.registries, "w") as file:
            file.write("unqualified-search-registries = []\n")
            for upstream in ("docker.io", "basic.test", "token.test", "tls.test"):
                file.write(
                    f'[[registry]]\nprefix = "{upstream}"\nlocation = "{upstream}"\n'
                    f'[[registry.mirror]]\nlocation = "{self.entrepot.address}/{upstream}"\ninsecure = true\n')

    def command(self, store, *arguments):
        options = ["--root", os.path.join(store, "root"), "--runroot", os.path.join(store, "run"), "--storage-driver", "vfs"]
        env = environment(HOME=self.folder, XDG_RUNTIME_DIR=self.folder, CONTAINERS_REGISTRIES_CONF=self.registries)
        return run([self.program, *options, *arguments], env)

    def pull(self, upstream, image):
        store = self.fresh()
        name = f"{upstream}/{image.repository}" if self.mirror else self.prefix(upstream, image, self.tls)
        trust = [f"--cert-dir={self.certificates}"] if self.tls else [] if self.mirror else ["--tls-verify=false"]
        if self.program == "buildah":
            trust.append(f"--signature-policy={self.policy}")
        else:
            trust.append(f"--signature-policy={self.policy}")
        try:
            identity = self.command(store, "pull", "--quiet", *trust, f"{name}:{image.tag}").strip().split("\n")[-1]
            same("image ID", image.config, "sha256:" + identity.removeprefix("sha256:"))
            self.inspect(store, name, image)
        finally:
            shutil.rmtree(store, ignore_errors=True)

    def inspect(self, store, name, image):
        raise NotImplementedError


class Podman(Containers):
    name, needs, program = "podman prefix", ("podman",), "podman"

    def inspect(self, store, name, image):
        seen = json.loads(self.command(store, "image", "inspect", f"{name}:{image.tag}"))[0]
        same("diff IDs of the layers", image.diff_ids, seen["RootFS"]["Layers"])
        digests = {digest.split("@")[1] for digest in seen["RepoDigests"]}
        same("the digest is among RepoDigests", True, image.digest in digests)


class PodmanMirror(Podman):
    name, mirror = "podman mirror", True


class PodmanTls(Podman):
    name, tls = "podman tls", True


class PodmanRun(Podman):
    """Pulls and runs the program inside."""

    name, needs, only = "podman run", ("podman", "runc"), "docker.io"

    def inspect(self, store, name, image):
        # What a container needs besides the image is kept small: no network, no limits that need privileges.
        said = self.command(store, "run", "--rm", "--runtime", "runc", "--network=none", "--pull=never", "--ulimit",
                            "nofile=1024:1024", "--ulimit", "nproc=1024:1024", f"{name}:{image.tag}")
        same("what the image's program says", GREETING.decode(), said)


class Buildah(Containers):
    name, needs, program = "buildah prefix", ("buildah",), "buildah"

    def inspect(self, store, name, image):
        seen = json.loads(self.command(store, "inspect", "--type", "image", f"{name}:{image.tag}"))
        same("diff IDs of the layers", image.diff_ids, seen["OCIv1"]["rootfs"]["diff_ids"])
        # buildah names the digest of the platform's manifest.
        same("digest", True, seen["FromImageDigest"] in (image.digest, image.platform_digest))


class BuildahMirror(Buildah):
    name, mirror = "buildah mirror", True


class Containerd(Client):
    name, needs, tls = "ctr hosts.toml", ("containerd", "ctr"), False

    def start(self):
        self.socket = os.path.join(self.folder, "c.sock")
        config = os.path.join(self.folder, "config.toml")
        with open(config, "w") as file:
            file.write(
                f'version = 2\nroot = "{self.folder}/root"\nstate = "{self.folder}/state"\n'
                f'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\naddress = "{self.socket}"\n')
        self.hosts = self.fresh("hosts")
        url = f"https://{self.entrepot.tls_address}" if self.tls else self.entrepot.url
        for upstream in ("docker.io", "basic.test", "token.test", "tls.test"):
            folder = os.path.join(self.hosts, upstream)
            os.makedirs(folder)
            with open(os.path.join(folder, "hosts.toml"), "w") as file:
                # The server is the same, so that there is nothing to fall back to.
                file.write(f'server = "{url}"\n[host."{url}"]\ncapabilities = ["pull", "resolve"]\n')
                if self.tls:
                    file.write(f'ca = "{self.entrepot.ca}"\n')
        self.daemon = Daemon(self.name.replace(" ", "-"), ["containerd", "-c", config], self.folder,
                             lambda: os.path.exists(self.socket))

    def ctr(self, *arguments):
        return run(["ctr", "-a", self.socket, "-n", "e2e", *arguments])

    def pull(self, upstream, image):
        name = f"{upstream}/{image.repository}:{image.tag}"
        self.ctr("images", "pull", "--hosts-dir", self.hosts, "--snapshotter", "native", name)
        try:
            rows = [line.split() for line in self.ctr("images", "ls").splitlines()]
            seen = [row[2] for row in rows if row[0] == name]
            same("digest", [image.digest], seen)
            for digest in [image.platform_digest, image.config, *image.layers]:
                size = int(self.ctr_size(digest))
                if digest in image.sizes:
                    same("size of a blob in the content store", image.sizes[digest], size)
        finally:
            self.ctr("images", "rm", "--sync", name)
            same("what the content store holds afterwards", "", self.ctr("content", "ls", "-q").strip())

    def ctr_size(self, digest):
        path = os.path.join(self.folder, "root/io.containerd.content.v1.content/blobs/sha256", digest.removeprefix("sha256:"))
        same("bytes in the content store", digest, sha256_of_file(path) if os.path.exists(path) else "no file")
        return os.path.getsize(path)


class ContainerdTls(Containerd):
    name, tls = "ctr tls", True


class Crane(Client):
    name, needs, tls = "crane", ("crane",), False

    def crane(self, *arguments):
        more = {"SSL_CERT_FILE": self.entrepot.ca} if self.tls else {}
        return run(["crane", *arguments], environment(HOME=self.folder, **more))

    def pull(self, upstream, image):
        store = self.fresh()
        name = f"{self.prefix(upstream, image, self.tls)}:{image.tag}"
        same("crane digest", image.digest, self.crane("digest", name).strip())
        manifest = self.crane("manifest", name)
        same("crane manifest", image.manifests[-1][2].decode(), manifest.removesuffix("\n"))
        self.crane("pull", "--format=oci", "--platform=linux/amd64", name, store)
        for digest in [image.platform_digest, image.config, *image.layers]:
            path = os.path.join(store, "blobs/sha256", digest.removeprefix("sha256:"))
            same("bytes of a blob", digest, sha256_of_file(path) if os.path.exists(path) else "no file")


class CraneTls(Crane):
    name, tls = "crane tls", True


class Docker(Client):
    """dockerd with `registry-mirrors`: names no upstream, so it gets the default one."""

    name, needs, only = "docker mirror", ("dockerd", "docker"), "docker.io"

    def start(self):
        self.socket = "unix://" + os.path.join(self.folder, "d.sock")
        config = os.path.join(self.folder, "daemon.json")
        with open(config, "w") as file:
            json.dump({"registry-mirrors": [self.entrepot.url]}, file)
        port = free_port()
        self.daemon = Daemon(
            self.name.replace(" ", "-"),
            ["dockerd", "--config-file", config, "--data-root", f"{self.folder}/root", "--exec-root", f"{self.folder}/exec",
             "-H", self.socket, "-p", f"{self.folder}/pid", "-s", "vfs", "--iptables=false", "--bridge=none",
             "--metrics-addr", f"127.0.0.1:{port}"],
            self.folder, port)

    def docker(self, *arguments):
        return run(["docker", "-H", self.socket, *arguments], environment(HOME=self.folder))

    def name_of(self, upstream, image):
        return image.repository.removeprefix("library/")

    def pull(self, upstream, image):
        name = self.name_of(upstream, image)
        self.docker("pull", "--quiet", f"{name}:{image.tag}")
        try:
            seen = json.loads(self.docker("image", "inspect", f"{name}:{image.tag}"))[0]
            same("image ID", image.config, seen["Id"])
            same("diff IDs of the layers", image.diff_ids, seen["RootFS"]["Layers"])
            same("RepoDigests", [image.digest], [digest.split("@")[1] for digest in seen["RepoDigests"]])
        finally:
            self.docker("rmi", "--force", f"{name}:{image.tag}")


class DockerPrefix(Docker):
    name, only = "docker prefix", None

    def name_of(self, upstream, image):
        return self.prefix(upstream, image)


ALL = (
    Curl, CurlNamespace, CurlHost, CurlHttp2, CurlTls, CurlTlsHttp2, Skopeo, SkopeoTls, Podman, PodmanMirror, PodmanTls,
    PodmanRun, Buildah, BuildahMirror, Containerd, ContainerdTls, Crane, CraneTls, Docker, DockerPrefix,
)
