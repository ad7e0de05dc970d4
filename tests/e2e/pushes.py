"""Real clients push to entrepot's own repositories and pull back; other registries pull from there."""

import concurrent.futures
import dataclasses
import json
import os
import re
import shutil
import types
import urllib.parse

from clients import Buildah, Containerd, Crane, Curl, CurlTlsHttp2, DockerPrefix, Podman, Skopeo, same, sha256_of_file
from images import OCI_MANIFEST, SBOM, Image, artifact_of, big, digest_of, multi_arch, single, tar_of
from processes import Failure, NotRun, environment, found, run
from proxy import Second
from registries import Registry

# Every repository of one's own here is `team/…`; the clients take it for the name of an upstream.
TEAM = "team"
NO_ORAS = "oras: its Go module could not be had, so no test of it is written; regctl attaches and lists instead"


@dataclasses.dataclass
class Kept:
    """What was pushed, and how its client pulls it again."""

    image: Image
    pull: object


class Pushes:
    """Each method whose name begins with `check_` or `push_` is one, in the order in which they stand here. What a `push_`
    has pushed is pulled again after a restart."""

    def __init__(self, entrepot, upstreams, program, authority, folder, big_bytes):
        self.entrepot, self.upstreams, self.program, self.authority = entrepot, upstreams, program, authority
        # Short: podman takes no runroot of more than 50 characters.
        self.folder = os.path.join(folder, "push")
        os.makedirs(self.folder)
        self.big_bytes = big_bytes
        self.clients, self.kept, self.now = {}, {}, ""
        self.url = entrepot.url
        self.curl = Curl(entrepot, os.path.join(self.folder, "by hand"))
        self.upstream_image = multi_arch("library/promoted")
        upstreams.push(self.upstream_image)

    def named(self):
        def watched(name, check):
            def attempt():
                self.now = name
                return check()
            return attempt

        names = [name for name in type(self).__dict__ if name.startswith(("check_", "push_"))]
        return [(told(name), watched(name, getattr(self, name))) for name in names]

    def named_again(self):
        """The same once more, after a restart: everything that was pushed is pulled by its client and by hand."""
        def again(name):
            def attempt():
                if name not in self.kept:
                    raise NotRun("nothing was pushed that could be pulled again")
                for kept in self.kept[name]:
                    self.whole(self.entrepot.url, kept.image)
                    kept.pull(TEAM, kept.image)
            return attempt

        names = [name for name in type(self).__dict__ if name.startswith("push_")]
        return [("after a restart: " + told(name), again(name)) for name in names]

    # --- what the checks share ---

    def client(self, kind):
        """One of each kind, started when it is first needed."""
        if kind not in self.clients:
            kind_here = type(kind.__name__, (kind,), {"name": kind.name.split()[0]})
            client = kind_here(self.entrepot, self.folder)
            reason = ", ".join(client.missing())
            if reason:
                reason = f"{kind.name}: not installed: {reason}"
            else:
                try:
                    client.start()
                except Failure as failure:
                    reason = f"{kind.name}: does not start on this machine: {str(failure)[-300:]}"
            self.clients[kind] = client, reason
        client, reason = self.clients[kind]
        if reason:
            raise NotRun(reason)
        return client

    def need(self, program):
        if not found(program):
            raise NotRun(f"{program}: not installed")

    def fresh(self, name):
        path = os.path.join(self.folder, name)
        shutil.rmtree(path, ignore_errors=True)
        os.makedirs(path)
        return path

    def name_of(self, image):
        return f"{self.entrepot.address}/{TEAM}/{image.repository}:{image.tag}"

    def back(self, image, pull=None):
        """Pulls what was just pushed, by hand and with the client, and remembers it for the restart."""
        seen = self.whole(self.entrepot.url, image)
        for digest, size in image.sizes.items():
            same(f"size of {digest}", size, seen.get(digest))
        pull = pull or self.curl.pull
        pull(TEAM, image)
        self.kept.setdefault(self.now, []).append(Kept(image, pull))

    def whole(self, url, image, prefix=TEAM):
        """Everything below a tag by hand: each manifest and blob has the bytes of its digest. Gives their sizes."""
        sizes, left = {}, [(image.tag, image.digest, True)]
        while left:
            reference, digest, is_manifest = left.pop()
            place = f"{url}/v2/{prefix}/{image.repository}/{'manifests' if is_manifest else 'blobs'}/{reference}"
            status, headers, body = self.curl.get(place)
            same(f"status of {place}", 200, status)
            same(f"bytes of {place}", digest, sha256_of_file(body))
            same(f"Docker-Content-Digest of {place}", digest, headers.get("docker-content-digest"))
            sizes[digest] = os.path.getsize(body)
            if is_manifest:
                with open(body) as file:
                    manifest = json.load(file)
                left += [(each["digest"], each["digest"], True) for each in manifest.get("manifests", [])]
                blobs = [manifest["config"], *manifest["layers"]] if "config" in manifest else []
                left += [(each["digest"], each["digest"], False) for each in blobs if each["digest"] not in sizes]
        return sizes

    def skopeo(self, *arguments):
        skopeo = self.client(Skopeo)
        return run(["skopeo", *arguments[:1], "--policy", skopeo.policy, *arguments[1:]],
                   environment(HOME=skopeo.folder, XDG_RUNTIME_DIR=skopeo.folder))

    def skopeo_push(self, source, image, *more):
        self.skopeo_copy(source, image, *more)
        same("digest that was pushed", image.digest, self.digest(image))

    def skopeo_copy(self, source, image, *more):
        self.skopeo("copy", "--quiet", "--all", "--preserve-digests", "--dest-tls-verify=false", *more, source,
                    f"docker://{self.name_of(image)}")

    def digest(self, image):
        """What the tag names now."""
        status, headers, _ = self.curl.get(f"{self.entrepot.url}/v2/{TEAM}/{image.repository}/manifests/{image.tag}", "-I")
        same(f"status of {image.repository}:{image.tag}", 200, status)
        return headers.get("docker-content-digest")

    def send(self, method, url, *more):
        """One request by curl; the Location of the answer is made whole."""
        status, headers, body = self.curl.get(url, "-X", method, *more)
        location = headers.get("location")
        return status, headers, body, urllib.parse.urljoin(url, location) if location else None

    def uploads(self, repository, query=""):
        return f"{self.url}/v2/{TEAM}/{repository}/blobs/uploads/{query}"

    def send_manifests(self, image):
        for reference, media_type, body in image.manifests:
            path = os.path.join(self.fresh("manifest"), "body")
            with open(path, "wb") as file:
                file.write(body)
            url = f"{self.url}/v2/{TEAM}/{image.repository}/manifests/{reference}"
            more = ("-H", f"Content-Type: {media_type}", "--data-binary", f"@{path}")
            status, headers, _, location = self.send("PUT", url, *more)
            same(f"status of PUT {url}", 201, status)
            same("Docker-Content-Digest", digest_of(body), headers.get("docker-content-digest"))
            same("status of its Location", 200, self.curl.get(location, "-I")[0])

    def send_blobs(self, image):
        """Whole, in one PUT each."""
        for digest, blob in image.blobs.items():
            path = os.path.join(self.fresh("blob"), "body")
            with open(path, "wb") as file:
                file.write(blob)
            status, _, _, location = self.send("POST", self.uploads(image.repository))
            same("status of POST", 202, status)
            more = ("-H", "Content-Type: application/octet-stream", "--data-binary", f"@{path}")
            status, headers, _, location = self.send("PUT", with_digest(location, digest), *more)
            same("status of PUT", 201, status)
            same("status of the blob", 200, self.curl.get(location, "-I")[0])

    # --- by hand ---

    def push_curl_pushes_an_index_with_one_PUT_for_each_blob(self):
        image = multi_arch("curl")
        self.send_blobs(image)
        self.send_manifests(image)
        self.back(image)

    def push_curl_pushes_over_TLS_and_HTTP_2(self):
        image, curl, url = multi_arch("curl-tls"), self.curl, self.url
        self.curl = CurlTlsHttp2(self.entrepot, os.path.join(self.folder, "by hand tls"))
        self.url = f"https://{self.entrepot.tls_address}"
        try:
            self.send_blobs(image)
            self.send_manifests(image)
            self.whole(self.url, image)
        finally:
            self.curl, self.url = curl, url
        self.back(image)

    def push_curl_pushes_in_chunks_and_is_told_where_it_stands(self):
        image = multi_arch("curl-chunks")
        for digest, blob in image.blobs.items():
            status, headers, _, location = self.send("POST", self.uploads(image.repository))
            same("status of POST", 202, status)
            third = len(blob) // 3
            for first, last in ((0, third), (third, 2 * third), (2 * third, len(blob))):
                path = os.path.join(self.fresh("chunk"), "body")
                with open(path, "wb") as file:
                    file.write(blob[first:last])
                chunk = ("-H", "Content-Type: application/octet-stream", "--data-binary", f"@{path}")
                # A chunk at a wrong place is refused, and nothing is lost by it.
                wrong = self.send("PATCH", location, "-H", f"Content-Range: {first + 7}-{last + 6}", *chunk)
                same("status of a chunk out of order", 416, wrong[0])
                status, headers, _, location = self.send("PATCH", location, "-H", f"Content-Range: {first}-{last - 1}", *chunk)
                same("status of PATCH", 202, status)
                same("Range after PATCH", f"0-{last - 1}", headers.get("range"))
                status, headers, _, again = self.send("GET", location)
                same("status of the upload", (204, f"0-{last - 1}"), (status, headers.get("range")))
                location = again or location
            status, headers, _, location = self.send("PUT", with_digest(location, digest), "-H", "Content-Length: 0")
            same("status of PUT", 201, status)
            same("Docker-Content-Digest", digest, headers.get("docker-content-digest", digest))
        self.send_manifests(image)
        self.back(image)

    def push_curl_pushes_a_large_layer_as_a_stream_of_unknown_length(self):
        image, path = big("curl-stream", self.big_bytes, self.folder)
        self.send_blobs(image)
        _, _, _, location = self.send("POST", self.uploads(image.repository))
        status, headers, _, location = self.send("PATCH", location, "-H", "Content-Type: application/octet-stream",
                                                 "-H", "Transfer-Encoding: chunked", "-T", path)
        same("status of PATCH", (202, f"0-{self.big_bytes - 1}"), (status, headers.get("range")))
        same("status of PUT", 201, self.send("PUT", with_digest(location, image.layers[0]), "-H", "Content-Length: 0")[0])
        os.remove(path)
        self.send_manifests(image)
        self.back(image)

    def push_curl_pushes_across_a_SIGTERM(self):
        """An upload goes on where it was after a restart."""
        image = single("curl-restart")
        (layer,) = image.layers
        blob = image.blobs.pop(layer)
        self.send_blobs(image)
        path = os.path.join(self.fresh("half"), "body")
        with open(path, "wb") as file:
            file.write(blob[:1000])
        _, _, _, location = self.send("POST", self.uploads(image.repository))
        status, _, _, location = self.send("PATCH", location, "-H", "Content-Range: 0-999", "--data-binary", f"@{path}")
        same("status of PATCH", 202, status)
        same("exit code", 0, self.entrepot.restart())
        status, headers, _, again = self.send("GET", location)
        same("the upload after the restart", (204, "0-999"), (status, headers.get("range")))
        with open(path, "wb") as file:
            file.write(blob[1000:])
        status, _, _, location = self.send("PUT", with_digest(again or location, layer), "-H", f"Content-Range: 1000-{len(blob) - 1}",
                                           "-H", "Content-Type: application/octet-stream", "--data-binary", f"@{path}")
        same("status of PUT", 201, status)
        self.send_manifests(image)
        self.back(image)

    def push_curl_pushes_and_SIGKILL_takes_nothing_of_it(self):
        image = multi_arch("curl-killed")
        self.send_blobs(image)
        self.send_manifests(image)
        self.entrepot.daemon.kill()
        self.entrepot.daemon.start()
        self.back(image)

    def check_a_blob_with_a_wrong_digest_is_refused(self):
        path = os.path.join(self.fresh("blob"), "body")
        with open(path, "wb") as file:
            file.write(b"other bytes")
        digest = digest_of(b"these bytes")
        _, _, _, location = self.send("POST", self.uploads("curl"))
        status, _, body, _ = self.send("PUT", with_digest(location, digest), "--data-binary", f"@{path}")
        same("answer", (400, "DIGEST_INVALID"), (status, code_in(body)))
        same("the blob", 404, self.curl.get(f"{self.entrepot.url}/v2/{TEAM}/curl/blobs/{digest}")[0])

    def check_a_manifest_without_its_blobs_is_refused(self):
        image = single("curl-incomplete")
        path = os.path.join(self.fresh("manifest"), "body")
        with open(path, "wb") as file:
            file.write(image.manifests[0][2])
        url = f"{self.entrepot.url}/v2/{TEAM}/{image.repository}/manifests/1"
        status, _, body, _ = self.send("PUT", url, "-H", f"Content-Type: {image.media_type}", "--data-binary", f"@{path}")
        same("status is 400 or 404", True, status in (400, 404))
        same("code", "MANIFEST_BLOB_UNKNOWN", code_in(body))

    # --- skopeo ---

    def push_skopeo_pushes_an_OCI_index_from_a_layout(self):
        image = multi_arch("skopeo", "oci")
        self.skopeo_push(f"oci:{layout_of(image, self.fresh('layout'))}:{image.tag}", image)
        self.back(image, self.client(Skopeo).pull)

    def push_skopeo_pushes_a_Docker_manifest_list_from_a_folder(self):
        image = multi_arch("skopeo", "docker", docker=True)
        self.skopeo_push(f"dir:{folder_of(image, self.fresh('folder'))}", image)
        self.back(image, self.client(Skopeo).pull)

    def push_skopeo_pushes_one_Docker_schema_2_image(self):
        image = single("skopeo", "schema2")
        self.skopeo_push(f"dir:{folder_of(image, self.fresh('folder'))}", image)
        self.back(image, self.client(Skopeo).pull)

    def push_skopeo_pushes_what_it_pulls_from_an_upstream(self):
        image = dataclasses.replace(self.upstream_image, repository="skopeo-promoted")
        source = f"docker://{self.entrepot.address}/docker.io/{self.upstream_image.repository}:{image.tag}"
        self.skopeo_push(source, image, "--src-tls-verify=false")
        self.back(image, self.client(Skopeo).pull)

    def push_skopeo_pushes_over_a_tag_and_deletes(self):
        first, second = multi_arch("skopeo-moved"), multi_arch("skopeo-moved")
        for image in (first, second):
            self.skopeo_push(f"oci:{layout_of(image, self.fresh('layout'))}:{image.tag}", image)
        said = json.loads(self.skopeo("list-tags", "--tls-verify=false", f"docker://{self.entrepot.address}/{TEAM}/skopeo-moved"))
        same("tags", ["1"], said["Tags"])
        url = f"{self.entrepot.url}/v2/{TEAM}/skopeo-moved/manifests"
        same("the manifest that lost its tag", 200, self.curl.get(f"{url}/{first.digest}")[0])
        gone = dataclasses.replace(second, tag="gone", repository="skopeo-deleted")
        self.skopeo_push(f"docker://{self.name_of(second)}", gone, "--src-tls-verify=false")
        self.skopeo("delete", "--tls-verify=false", f"docker://{self.name_of(gone)}")
        for reference in (gone.tag, gone.digest):
            url = f"{self.entrepot.url}/v2/{TEAM}/{gone.repository}/manifests/{reference}"
            same(f"{reference} afterwards", 404, self.curl.get(url)[0])
        self.back(second, self.client(Skopeo).pull)

    def push_skopeo_pushes_over_TLS(self):
        skopeo, image = self.client(Skopeo), multi_arch("skopeo-tls")
        source = f"oci:{layout_of(image, self.fresh('layout'))}:{image.tag}"
        self.skopeo("copy", "--quiet", "--all", "--preserve-digests", f"--dest-cert-dir={skopeo.certificates}", source,
                    f"docker://{self.entrepot.tls_address}/{TEAM}/{image.repository}:{image.tag}")
        self.back(image, skopeo.pull)

    def push_eight_clients_push_the_same_image_at_once(self):
        """Four each to two repositories, so that both the blobs and the tag are contended for."""
        image = multi_arch("at-once-0")
        images = [image, dataclasses.replace(image, repository="at-once-1")]
        source = f"oci:{layout_of(image, self.fresh('layout'))}:{image.tag}"
        self.client(Skopeo)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: self.skopeo_copy(source, images[number % 2]), range(8)))
        for image in images:
            same("digest that was pushed", image.digest, self.digest(image))
            self.back(image, self.client(Skopeo).pull)

    def check_skopeo_cannot_push_below_an_upstream(self):
        image = single("skopeo-refused")
        source = f"dir:{folder_of(image, self.fresh('folder'))}"
        try:
            self.skopeo("copy", "--dest-tls-verify=false", source, f"docker://{self.entrepot.address}/docker.io/team/refused:1")
        except Failure as failure:
            if "405" not in str(failure) and "UNSUPPORTED" not in str(failure).upper():
                raise
            return
        raise Failure("it was taken")

    # --- podman and buildah ---

    def push_podman_pushes_an_OCI_image(self):
        image = multi_arch("podman", "oci")
        self.podman(image, f"oci:{layout_of(image, self.fresh('layout'))}:{image.tag}")

    def push_podman_pushes_a_Docker_image(self):
        image = single("podman", "schema2")
        self.podman(image, f"dir:{folder_of(image, self.fresh('folder'))}")

    def podman(self, image, source):
        podman = self.client(Podman)
        store = podman.fresh()
        policy = f"--signature-policy={podman.policy}"
        try:
            identity = podman.command(store, "pull", "--quiet", policy, source).strip().split("\n")[-1]
            same("image ID", image.config, "sha256:" + identity)
            self.containers_push(podman, store, image, identity)
        finally:
            shutil.rmtree(store, ignore_errors=True)
        self.back(image, podman.pull)

    def containers_push(self, client, store, image, identity):
        """The library packs the layers anew: the digest is what it says that it pushed; the image is the same."""
        said = os.path.join(self.folder, "digest")
        client.command(store, "push", "--quiet", "--tls-verify=false", f"--signature-policy={client.policy}", "--digestfile", said,
                       identity, f"docker://{self.name_of(image)}")
        with open(said) as file:
            image.digest = image.platform_digest = file.read().strip()
        image.sizes = {}
        same("digest that was pushed", image.digest, self.digest(image))

    def push_buildah_pushes_what_it_built(self):
        buildah = self.client(Buildah)
        store, context = buildah.fresh(), self.fresh("context")
        with open(os.path.join(context, "noise"), "wb") as file:
            file.write(os.urandom(1 << 20))
        with open(os.path.join(context, "Containerfile"), "w") as file:
            file.write("FROM scratch\nCOPY noise /noise\n")
        image = Image("buildah", "1")
        identity = os.path.join(self.folder, "identity")
        try:
            trust = f"--signature-policy={buildah.policy}"
            buildah.command(store, "bud", "--quiet", "--isolation=chroot", trust, "--iidfile", identity, "-t", "built", context)
            with open(identity) as file:
                image.config = file.read().strip()
            built = json.loads(buildah.command(store, "inspect", "--type", "image", "built"))
            image.diff_ids = built["OCIv1"]["rootfs"]["diff_ids"]
            self.containers_push(buildah, store, image, "built")
        finally:
            shutil.rmtree(store, ignore_errors=True)
        self.back(image, buildah.pull)

    # --- crane ---

    def push_crane_pushes_a_layout(self):
        crane, image = self.client(Crane), multi_arch("crane")
        crane.crane("push", layout_of(image, self.fresh("layout")), self.name_of(image))
        self.back(image, crane.pull)

    def push_crane_copy_pushes_to_another_repository(self):
        crane, image = self.client(Crane), multi_arch("crane-source")
        crane.crane("push", layout_of(image, self.fresh("layout")), self.name_of(image))
        copy = dataclasses.replace(image, repository="crane-copy")
        crane.crane("copy", self.name_of(image), self.name_of(copy))
        self.back(copy, crane.pull)

    def push_crane_copy_pushes_what_an_upstream_has(self):
        crane = self.client(Crane)
        copy = dataclasses.replace(self.upstream_image, repository="crane-promoted")
        crane.crane("copy", f"{self.entrepot.address}/docker.io/{self.upstream_image.repository}:1", self.name_of(copy))
        self.back(copy, crane.pull)

    def push_crane_append_pushes_a_layer(self):
        crane = self.client(Crane)
        layer = tar_of({"noise": os.urandom(100_000)})
        path = os.path.join(self.fresh("layer"), "layer.tar")
        with open(path, "wb") as file:
            file.write(layer)
        image = Image("crane-append", "1")
        crane.crane("append", "--oci-empty-base", "-f", path, "-t", self.name_of(image))
        image.digest = crane.crane("digest", self.name_of(image)).strip()
        config = json.loads(crane.crane("config", self.name_of(image)))
        same("diff IDs of the layers", [digest_of(layer)], config["rootfs"]["diff_ids"])

        def pull(_, image):
            same("crane digest", image.digest, crane.crane("digest", self.name_of(image)).strip())
            archive = os.path.join(self.folder, "pulled.tar")
            crane.crane("pull", self.name_of(image), archive)

        self.back(image, pull)

    def check_crane_lists_tags_and_repositories(self):
        crane, image = self.client(Crane), multi_arch("crane-listed", "b")
        crane.crane("push", layout_of(image, self.fresh("layout")), self.name_of(image))
        for tag in ("c", "a"):
            crane.crane("tag", self.name_of(image), tag)
        same("crane ls", ["a", "b", "c"], crane.crane("ls", f"{self.entrepot.address}/{TEAM}/crane-listed").split())
        listed = crane.crane("catalog", self.entrepot.address).split()
        same("crane catalog has it", True, f"{TEAM}/crane-listed" in listed)
        crane.crane("delete", f"{self.entrepot.address}/{TEAM}/crane-listed:a")
        same("crane ls afterwards", ["b", "c"], crane.crane("ls", f"{self.entrepot.address}/{TEAM}/crane-listed").split())

    # --- docker and containerd ---

    def push_docker_pushes_what_it_pulled(self):
        docker = self.client(DockerPrefix)
        image = dataclasses.replace(self.upstream_image, repository="docker", sizes={})
        source = f"{self.entrepot.address}/docker.io/{self.upstream_image.repository}:1"
        docker.docker("pull", "--quiet", source)
        docker.docker("tag", source, self.name_of(image))
        said = docker.docker("push", self.name_of(image))
        image.digest = re.search(r"digest: (sha256:[0-9a-f]{64})", said)[1]
        docker.docker("rmi", "--force", source, self.name_of(image))
        same("images that dockerd has left", "", docker.docker("images", "-q").strip())
        self.back(image, docker.pull)

    def push_docker_pushes_what_it_imported(self):
        docker = self.client(DockerPrefix)
        layer = tar_of({"noise": os.urandom(1 << 20)})
        path = os.path.join(self.fresh("layer"), "layer.tar")
        with open(path, "wb") as file:
            file.write(layer)
        image = Image("docker-imported", "1", diff_ids=[digest_of(layer)])
        image.config = docker.docker("import", path, self.name_of(image)).strip()
        said = docker.docker("push", self.name_of(image))
        image.digest = re.search(r"digest: (sha256:[0-9a-f]{64})", said)[1]
        docker.docker("rmi", "--force", self.name_of(image))
        same("images that dockerd has left", "", docker.docker("images", "-q").strip())
        self.back(image, docker.pull)

    def push_ctr_pushes_an_OCI_index(self):
        self.ctr(multi_arch("library/ctr"))

    def push_ctr_pushes_a_Docker_manifest_list(self):
        self.ctr(multi_arch("library/ctr-docker", docker=True))

    def ctr(self, image):
        """What it pulls by way of entrepot, for all platforms."""
        containerd = self.client(Containerd)
        self.upstreams.push(image)
        source = f"{self.entrepot.address}/docker.io/{image.repository}:1"
        image = dataclasses.replace(image, repository=image.repository.removeprefix("library/"))
        containerd.ctr("images", "pull", "--plain-http", "--all-platforms", "--snapshotter", "native", source)
        containerd.ctr("images", "tag", source, self.name_of(image))
        containerd.ctr("images", "push", "--plain-http", self.name_of(image))
        self.ctr_empty(containerd)
        self.back(image, self.ctr_pull)

    def ctr_empty(self, containerd):
        names = containerd.ctr("images", "ls", "-q").split()
        containerd.ctr("images", "rm", "--sync", *names)
        same("what the content store holds", "", containerd.ctr("content", "ls", "-q").strip())

    def ctr_pull(self, _, image):
        containerd = self.client(Containerd)
        containerd.ctr("images", "pull", "--plain-http", "--snapshotter", "native", self.name_of(image))
        try:
            for digest in [image.digest, image.platform_digest, image.config, *image.layers]:
                containerd.ctr_size(digest)
        finally:
            self.ctr_empty(containerd)

    # --- artifacts ---

    def push_helm_pushes_a_chart(self):
        self.need("helm")
        folder = self.fresh("helm")
        chart = os.path.join(folder, "chart")
        os.makedirs(os.path.join(chart, "templates"))
        with open(os.path.join(chart, "Chart.yaml"), "w") as file:
            file.write("apiVersion: v2\nname: chart\nversion: 1.2.3+build\ndescription: a chart\n")
        with open(os.path.join(chart, "templates/map.yaml"), "w") as file:
            file.write("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: map}\n")

        def helm(*arguments):
            # Helm speaks to standard error, too.
            return run(["sh", "-c", 'exec helm "$@" 2>&1', "helm", *arguments], environment(HOME=folder), cwd=folder)

        helm("package", "chart")
        packed = os.path.join(folder, "chart-1.2.3+build.tgz")
        place = f"oci://{self.entrepot.address}/{TEAM}/charts"
        said = helm("push", packed, place, "--plain-http")
        # A tag cannot have a plus sign; Helm writes an underscore.
        image = Image("charts/chart", "1.2.3_build", digest=re.search(r"Digest: (sha256:[0-9a-f]{64})", said)[1])

        def pull(_, image):
            store = self.fresh("helm-pulled")
            helm("pull", f"{place}/chart", "--version", "1.2.3+build", "--plain-http", "-d", store)
            same("bytes of the chart", sha256_of_file(packed), sha256_of_file(os.path.join(store, os.path.basename(packed))))
            same("the chart's description", True, "a chart" in helm("show", "chart", f"{place}/chart", "--plain-http"))

        self.back(image, pull)

    def check_oras_pushes_and_attaches(self):
        raise NotRun(NO_ORAS)

    def push_regctl_pushes_an_artifact_that_refers_to_an_image(self):
        self.need("regctl")
        home = self.fresh("regctl")
        image = multi_arch("regctl")

        def regctl(*arguments, **more):
            return run(["regctl", "--host", f"reg={self.entrepot.address},tls=disabled", *arguments], environment(HOME=home), **more)

        layout = layout_of(image, self.fresh("layout"))
        regctl("image", "copy", f"ocidir://{layout}:{image.tag}", self.name_of(image))
        content = os.urandom(1000).hex().encode()
        regctl("artifact", "put", "--artifact-type", SBOM, "--subject", self.name_of(image), input=content)

        def pull(_, image):
            listed = json.loads(regctl("artifact", "list", "--format", "{{json .Descriptors}}", self.name_of(image)))
            same("artifact types of the referrers", [SBOM], [each["artifactType"] for each in listed])
            got = regctl("artifact", "get", "--subject", self.name_of(image), "--filter-artifact-type", SBOM)
            same("the artifact", content.decode(), got)
            same("the image's digest", image.digest, regctl("image", "digest", self.name_of(image)).strip())

        self.back(image, pull)
        same("tags, none for the referrers", "1", regctl("tag", "ls", self.name_of(image).rsplit(":", 1)[0]).strip())

    def check_regctl_removes_one_tag_and_leaves_the_other(self):
        self.need("regctl")
        home = self.fresh("regctl-tags")
        image = multi_arch("regctl-tags", "keep")
        self.send_blobs(image)
        self.send_manifests(image)
        name = self.name_of(image)
        for arguments in (("image", "copy", name, name.replace(":keep", ":drop")), ("tag", "rm", name.replace(":keep", ":drop"))):
            run(["regctl", "--host", f"reg={self.entrepot.address},tls=disabled", *arguments], environment(HOME=home))
        url = f"{self.entrepot.url}/v2/{TEAM}/{image.repository}/manifests"
        same("the tag that was removed", 404, self.curl.get(f"{url}/drop", "-I")[0])
        same("the other tag", image.digest, self.digest(image))

    def push_curl_pushes_a_referrer_and_lists_it(self):
        subject = multi_arch("curl-referrers")
        artifact = artifact_of(subject)
        # The registry keeps the list itself; nobody pushes it as a tag.
        artifact.manifests = artifact.manifests[:1]
        self.send_blobs(artifact)
        url = f"{self.entrepot.url}/v2/{TEAM}/{subject.repository}"
        path = os.path.join(self.fresh("manifest"), "body")
        with open(path, "wb") as file:
            file.write(artifact.manifests[0][2])
        more = ("-H", f"Content-Type: {OCI_MANIFEST}", "--data-binary", f"@{path}")
        status, headers, _, _ = self.send("PUT", f"{url}/manifests/sbom", *more)
        same("answer, before the subject is there", (201, subject.digest), (status, headers.get("oci-subject")))
        self.send_blobs(subject)
        self.send_manifests(subject)

        def pull(_, image):
            for query, expected in (("", [artifact.digest]), (f"?artifactType={urllib.parse.quote(SBOM, safe='')}", [artifact.digest]),
                                    ("?artifactType=application/nothing", [])):
                status, _, body = self.curl.get(f"{url}/referrers/{subject.digest}{query}")
                with open(body) as file:
                    listed = [each["digest"] for each in json.load(file)["manifests"]]
                same(f"referrers with {query!r}", (200, expected), (status, listed))

        self.back(subject, pull)
        self.back(artifact, lambda upstream, image: self.whole(self.entrepot.url, image))

    # --- registries in front of this one ---

    def check_docker_registry_in_front_pulls_what_was_pushed(self):
        storage = os.path.join(self.folder, "in-front")
        front = Registry("in-front", self.folder, storage, f"proxy: {{remoteurl: '{self.entrepot.url}'}}\n")
        try:
            curl, images = self.at(Curl, front.port, "by way of docker-registry"), self.made_here()
            for image in images:
                for _ in ("cold", "warm"):
                    curl.pull(TEAM, image)
        finally:
            front.daemon.stop()
        return f"{len(images)} images"

    def check_entrepot_in_front_pulls_what_was_pushed_and_serves_it_alone(self):
        folder = os.path.join(self.folder, "second")
        os.makedirs(folder)
        second = Second(self.program, folder, self.entrepot, self.authority)
        curl = self.at(Curl, second.port, "by way of the second entrepot")
        skopeo = self.at(Skopeo, second.port, "skopeo by way of the second entrepot")
        images = self.made_here()
        moved, after = multi_arch("moved-behind"), multi_arch("moved-behind")
        self.send_blobs(moved), self.send_manifests(moved)

        def everything():
            for image in images:
                curl.pull(f"first/{TEAM}", image)
            if not skopeo.missing():
                skopeo.pull(f"first/{TEAM}", images[0])

        try:
            if not skopeo.missing():
                skopeo.start()
            everything()
            curl.pull(f"first/{TEAM}", moved)
            self.send_blobs(after), self.send_manifests(after)
            curl.pull(f"first/{TEAM}", after)
            self.entrepot.daemon.stop()
            try:
                everything()
                same("exit code of the second", 0, second.restart())
                everything()
                curl.pull(f"first/{TEAM}", after)
            finally:
                self.entrepot.daemon.start()
        finally:
            second.daemon.stop()
        return f"{len(images)} images: cold, with the first stopped, and after a restart"

    def made_here(self):
        """What was pushed with exactly the bytes that were made here."""
        images = [kept.image for kepts in self.kept.values() for kept in kepts if kept.image.manifests and kept.image.sizes]
        chosen = [image for image in images if image.digest == digest_of(image.manifests[-1][2]) and image.config]
        same("images to pull", True, len(chosen) > 3)
        return chosen

    def at(self, kind, port, name):
        """A client that speaks to another registry."""
        place = types.SimpleNamespace(address=f"127.0.0.1:{port}", tls_address="", ca=self.entrepot.ca)
        return kind(place, os.path.join(self.folder, name))


def told(name):
    return name.split("_", 1)[1].replace("_", " ")


def code_in(body):
    """The code in an OCI error body."""
    with open(body) as file:
        said = file.read()
    try:
        return json.loads(said)["errors"][0]["code"]
    except ValueError as error:
        raise Failure(f"no OCI error body: {said[:300]!r}") from error


def with_digest(location, digest):
    return location + ("&" if "?" in location else "?") + "digest=" + urllib.parse.quote(digest)


def write(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)


def layout_of(image, folder):
    """The image as an OCI layout."""
    everything = {**image.blobs, **image.bytes_of_manifest}
    for digest, data in everything.items():
        write(os.path.join(folder, "blobs/sha256", digest.removeprefix("sha256:")), data)
    write(os.path.join(folder, "oci-layout"), b'{"imageLayoutVersion":"1.0.0"}')
    top = {"mediaType": image.media_type, "digest": image.digest, "size": len(image.manifests[-1][2]),
           "annotations": {"org.opencontainers.image.ref.name": image.tag}}
    write(os.path.join(folder, "index.json"), json.dumps({"schemaVersion": 2, "manifests": [top]}).encode())
    return folder


def folder_of(image, folder):
    """The image as skopeo's `dir:`."""
    write(os.path.join(folder, "version"), b"Directory Transport Version: 1.1\n")
    for digest, blob in image.blobs.items():
        write(os.path.join(folder, digest.removeprefix("sha256:")), blob)
    for _, _, manifest in image.manifests[:-1]:
        write(os.path.join(folder, digest_of(manifest).removeprefix("sha256:") + ".manifest.json"), manifest)
    write(os.path.join(folder, "manifest.json"), image.manifests[-1][2])
    return folder
