#!/usr/bin/env python3
"""Real clients log in and push and pull as they may: the AWS CLI's token, a robot's password, nobody at all.

Needs a registry at `--endpoint` with a user `robot` (password `robot-password`, FullAccess) and a user `reader` (password
`reader-password`, PullOnly), and an access key in the environment. Clients that are not on this machine are left out, and said so.
"""

import argparse
import hashlib
import io
import json
import os
import secrets
import shutil
import subprocess
import sys
import tarfile
import tempfile
import traceback

AWS = os.path.join(os.path.dirname(sys.executable), "aws")
CHECKS = []


class LeftOut(Exception):
    pass


def check(function):
    CHECKS.append(function)
    return function


class Machine:
    """A home directory of its own for each check, so that no client knows what another has logged in to."""

    def __init__(self, endpoint, folder):
        self.endpoint, self.host, self.folder = endpoint, endpoint.split("://")[1], folder
        self.environment = {**os.environ, "HOME": folder, "XDG_RUNTIME_DIR": folder, "REGISTRY_AUTH_FILE": f"{folder}/auth.json"}
        self.archive = os.path.join(folder, "image.tar")
        write_image(self.archive)

    def run(self, *command, given=None, fails=False, **environment):
        if not shutil.which(command[0]):
            raise LeftOut(f"{command[0]} is not on this machine")
        environment = {**self.environment, **environment}
        done = subprocess.run(
            command, input=given, env=environment, cwd=self.folder, capture_output=True, text=True, timeout=120, check=False
        )
        said = f"{' '.join(command)}\n{done.stdout}{done.stderr}"
        assert (done.returncode != 0) == fails, said
        # What it says on standard error is about its tries.
        return said if fails else done.stdout

    def aws(self, *command):
        return self.run(AWS, "ecr", "--endpoint-url", self.endpoint, *command)

    def password(self):
        return self.aws("get-login-password").strip()

    def name(self):
        return f"{self.host}/clients-{secrets.token_hex(4)}/app"

    def skopeo_push(self, name):
        self.run("skopeo", "copy", "--dest-tls-verify=false", f"oci-archive:{self.archive}", f"docker://{name}:1")

    def make_public(self, name):
        statement = {"Effect": "Allow", "Principal": "*", "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.aws("set-repository-policy", "--repository-name", name.split("/", 1)[1], "--policy-text", policy)


@check
def skopeo_with_the_token_of_the_aws_cli(machine):
    machine.run("skopeo", "login", "--tls-verify=false", "-u", "AWS", "--password-stdin", machine.host, given=machine.password())
    name = machine.name()
    machine.skopeo_push(name)
    machine.run("skopeo", "inspect", "--tls-verify=false", f"docker://{name}:1")
    machine.run("skopeo", "delete", "--tls-verify=false", f"docker://{name}:1")
    machine.run("skopeo", "inspect", "--tls-verify=false", f"docker://{name}:1", fails=True)


@check
def crane_with_the_token_of_the_aws_cli(machine):
    machine.run("crane", "auth", "login", machine.host, "-u", "AWS", "--password-stdin", given=machine.password())
    name = machine.name()
    machine.run("crane", "append", "--new_layer", machine.archive, "--new_tag", f"{name}:1")
    assert machine.run("crane", "digest", f"{name}:1").strip().startswith("sha256:")
    assert name.split("/", 1)[1] in machine.run("crane", "catalog", machine.host)
    machine.run("crane", "tag", f"{name}:1", "2")
    assert machine.run("crane", "ls", name).split() == ["1", "2"]


@check
def podman_with_the_password_of_a_robot(machine):
    login = ["podman", "login", "--tls-verify=false", "-u", "robot", "--password-stdin", machine.host]
    machine.run(*login, given="a wrong one", fails=True)
    machine.run(*login, given="robot-password")
    machine.skopeo_push(machine.name())


@check
def a_reader_pulls_and_does_not_push(machine):
    name = machine.name()
    machine.run("skopeo", "login", "--tls-verify=false", "-u", "robot", "--password-stdin", machine.host, given="robot-password")
    machine.skopeo_push(name)
    machine.run("skopeo", "login", "--tls-verify=false", "-u", "reader", "--password-stdin", machine.host, given="reader-password")
    machine.run("skopeo", "copy", "--src-tls-verify=false", f"docker://{name}:1", f"dir:{machine.folder}/pulled")
    said = machine.run(
        "skopeo", "copy", "--dest-tls-verify=false", f"oci-archive:{machine.archive}", f"docker://{name}:2", fails=True
    )
    assert "not authorized" in said or "denied" in said or "unauthorized" in said, said


@check
def nobody_pulls_what_is_public(machine):
    name = machine.name()
    machine.run("skopeo", "login", "--tls-verify=false", "-u", "robot", "--password-stdin", machine.host, given="robot-password")
    machine.skopeo_push(name)
    machine.run("skopeo", "logout", machine.host)
    machine.run("skopeo", "inspect", "--tls-verify=false", f"docker://{name}:1", fails=True)
    machine.make_public(name)
    machine.run("skopeo", "copy", "--src-tls-verify=false", f"docker://{name}:1", f"dir:{machine.folder}/pulled")
    machine.run("crane", "manifest", f"{name}:1")


@check
def the_credential_provider_of_the_kubelet(machine):
    # As the kubelet runs it; the last is a registry's own name, which AWS does not know.
    for host in ("123456789012.dkr.ecr.us-east-1.amazonaws.com", "210987654321.dkr.ecr.eu-west-1.amazonaws.com", "registry.example"):
        asked = {"apiVersion": "credentialprovider.kubelet.k8s.io/v1", "kind": "CredentialProviderRequest"}
        asked["image"] = f"{host}/team/app:1"
        said = machine.run("ecr-credential-provider", given=json.dumps(asked), AWS_ENDPOINT_URL_ECR=machine.endpoint)
        answer = json.loads(said)
        assert answer["kind"] == "CredentialProviderResponse" and list(answer["auth"]) == [host], said
        # Half of the token's twelve hours.
        assert answer["cacheDuration"].startswith(("5h59m", "6h0m")), answer["cacheDuration"]
        login = answer["auth"][host]
        machine.run(
            "skopeo", "login", "--tls-verify=false", "-u", login["username"], "--password-stdin", machine.host, given=login["password"]
        )
        name = machine.name()
        machine.skopeo_push(name)
        machine.run("skopeo", "copy", "--src-tls-verify=false", f"docker://{name}:1", f"dir:{machine.folder}/{host}")
        machine.run("skopeo", "logout", machine.host)
        machine.run("skopeo", "inspect", "--tls-verify=false", f"docker://{name}:1", fails=True)
    wrong = machine.run(
        "ecr-credential-provider", given=json.dumps(asked), fails=True,
        AWS_ENDPOINT_URL_ECR=machine.endpoint, AWS_SECRET_ACCESS_KEY="a wrong one",
    )
    assert "InvalidSignatureException" in wrong, wrong


@check
def the_aws_cli(machine):
    name = machine.name().split("/", 1)[1]
    made = json.loads(machine.aws("create-repository", "--repository-name", name, "--image-tag-mutability", "IMMUTABLE"))
    assert made["repository"]["repositoryUri"] == f"{machine.host}/{name}"
    machine.run("skopeo", "login", "--tls-verify=false", "-u", "AWS", "--password-stdin", machine.host, given=machine.password())
    machine.skopeo_push(f"{machine.host}/{name}")
    # The same again changes nothing.
    machine.skopeo_push(f"{machine.host}/{name}")
    listed = json.loads(machine.aws("list-images", "--repository-name", name))
    assert [one["imageTag"] for one in listed["imageIds"]] == ["1"]
    described = json.loads(machine.aws("describe-images", "--repository-name", name))["imageDetails"]
    assert described[0]["imageTags"] == ["1"] and described[0]["imageSizeInBytes"] > 0
    machine.aws("delete-repository", "--repository-name", name, "--force")


def write_image(path):
    """An OCI archive with one layer that no other has."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        content = secrets.token_bytes(100_000)
        entry = tarfile.TarInfo("file")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    blobs = {}

    def blob(media_type, content):
        digest = hashlib.sha256(content).hexdigest()
        blobs[digest] = content
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}

    layer = blob("application/vnd.oci.image.layer.v1.tar", layer.getvalue())
    config = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}}
    config = blob("application/vnd.oci.image.config.v1+json", json.dumps(config).encode())
    media_type = "application/vnd.oci.image.manifest.v1+json"
    manifest = {"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": [layer]}
    manifest = blob(media_type, json.dumps(manifest).encode())
    index = {"schemaVersion": 2, "manifests": [{**manifest, "annotations": {"org.opencontainers.image.ref.name": "1"}}]}
    files = {f"blobs/sha256/{digest}": content for digest, content in blobs.items()}
    files["oci-layout"] = b'{"imageLayoutVersion":"1.0.0"}'
    files["index.json"] = json.dumps(index).encode()
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))


def count(checks, machine):
    """Runs each check on a machine of its own and says what came of it; gives the exit code."""
    passed = failed = left_out = 0
    for function in checks:
        name = function.__name__.replace("_", " ")
        # Short: podman takes no long paths.
        with tempfile.TemporaryDirectory(prefix="c", dir="/tmp") as folder:
            try:
                function(machine(folder))
                passed += 1
                print(f"passed   {name}")
            except LeftOut as reason:
                left_out += 1
                print(f"left out {name}: {reason}")
            except Exception:
                failed += 1
                print(f"FAILED   {name}\n{traceback.format_exc()}")
    print(f"{passed} passed, {failed} failed, {left_out} left out")
    return 1 if failed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--endpoint", required=True, help="such as http://127.0.0.1:5000")
    endpoint = parser.parse_args().endpoint.rstrip("/")
    return count(CHECKS, lambda folder: Machine(endpoint, folder))


if __name__ == "__main__":
    sys.exit(main())
