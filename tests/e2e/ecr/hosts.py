#!/usr/bin/env python3
"""Clients that are told nothing: in a network where ECR's own host names lead to a registry of one's own, they work as they are.

Runs the program at `--program` with a certificate for these names, and a tunnel in the place of such a network's DNS. Needs an access
key in the environment, which the registry's user `root` gets. Clients that are not on this machine are left out, and said so.
"""

import argparse
import json
import os
import socket
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
# Behind this folder, whose `clients` is another.
sys.path.append(os.path.dirname(HERE))
sys.dont_write_bytecode = True

from certificates import Authority  # noqa: E402
from clients import AWS, LeftOut, Machine, count  # noqa: E402
from processes import Daemon, free_port, found  # noqa: E402

ACCOUNT, REGION = "123456789012", "us-east-1"
REGISTRY = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"
API = f"api.ecr.{REGION}.amazonaws.com"
CHECKS = []
# docker-credential-ecr-login takes a token only if `proxyEndpoint` is a name of ECR's.
CONFIGURATION = """
listen = [{{ address = "127.0.0.1:{port}", tls = {{ certificate = "{certificate}", key = "{key}" }} }}]
data = "{folder}/data"
[admin]
listen = []
[auth]
account = "{account}"
region = "{region}"
url = "https://{registry}"
[[user]]
name = "root"
access_key_id = "{id}"
secret_access_key = "{secret}"
policies = ["FullAccess"]
"""


def check(function):
    CHECKS.append(function)
    return function


class Tunnel:
    """Takes `CONNECT`, and connects these names to the port and nothing else."""

    def __init__(self, names, port):
        self.targets, self.port = {f"{name}:443" for name in names}, port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.asked = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(4096) or b"\r\n\r\n"
        method, target = head.decode(errors="replace").split()[:2]
        self.asked.append(target)
        if method != "CONNECT" or target not in self.targets:
            client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            return client.close()
        server = socket.create_connection(("127.0.0.1", self.port))
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        threading.Thread(target=self.copy, args=(client, server), daemon=True).start()
        return self.copy(server, client)

    @staticmethod
    def copy(source, sink):
        try:
            while piece := source.recv(65536):
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class Network(Machine):
    """A machine in that network: it has the authority's certificate and no address of ours."""

    def __init__(self, folder, tunnel, authority):
        super().__init__(f"https://{REGISTRY}", folder)
        for name in ("HTTPS_PROXY", "https_proxy"):
            self.environment[name] = tunnel.url
        for name in ("SSL_CERT_FILE", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
            self.environment[name] = authority.certificate
        self.environment["AWS_DEFAULT_REGION"] = REGION

    def aws(self, *command):
        return self.run(AWS, "ecr", *command)

    def docker_config(self, content):
        os.makedirs(f"{self.folder}/.docker", exist_ok=True)
        with open(f"{self.folder}/.docker/config.json", "w", encoding="utf-8") as file:
            json.dump(content, file)

    def crane_round_trip(self):
        name = self.name()
        self.run("crane", "append", "--new_layer", self.archive, "--new_tag", f"{name}:1")
        digest = self.run("crane", "digest", f"{name}:1").strip()
        self.run("crane", "pull", f"{name}@{digest}", f"{self.folder}/pulled.tar")
        assert os.path.getsize(f"{self.folder}/pulled.tar") > 100_000
        return name


@check
def docker_credential_ecr_login(network):
    login = json.loads(network.run("docker-credential-ecr-login", "get", given=REGISTRY))
    assert login["Username"] == "AWS" and len(login["Secret"]) > 100
    # From its own cache the second time, by the name that the registry gave.
    again = json.loads(network.run("docker-credential-ecr-login", "get", given=f"https://{REGISTRY}"))
    assert again["Secret"] == login["Secret"]


@check
def crane_with_docker_credential_ecr_login(network):
    if not found("docker-credential-ecr-login"):
        raise LeftOut("docker-credential-ecr-login is not on this machine")
    network.docker_config({"credHelpers": {REGISTRY: "ecr-login"}})
    network.crane_round_trip()


@check
def the_credential_provider_of_the_kubelet(network):
    asked = {"apiVersion": "credentialprovider.kubelet.k8s.io/v1", "kind": "CredentialProviderRequest"}
    asked["image"] = f"{REGISTRY}/team/app:1"
    login = json.loads(network.run("ecr-credential-provider", given=json.dumps(asked)))["auth"][REGISTRY]
    network.run("crane", "auth", "login", REGISTRY, "-u", login["username"], "--password-stdin", given=login["password"])
    network.crane_round_trip()


@check
def the_aws_cli_without_an_endpoint(network):
    password = network.aws("get-login-password").strip()
    network.run("crane", "auth", "login", REGISTRY, "-u", "AWS", "--password-stdin", given=password)
    name = network.crane_round_trip().split("/", 1)[1]
    described = json.loads(network.aws("describe-repositories", "--repository-names", name))["repositories"][0]
    assert described["repositoryUri"] == f"{REGISTRY}/{name}" and described["registryId"] == ACCOUNT, described


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", required=True, help="such as target/release/entrepot")
    program = parser.parse_args().program
    # Short: as in clients.py.
    with tempfile.TemporaryDirectory(prefix="h", dir="/tmp") as folder:
        authority, port = Authority(folder), free_port()
        certificate, key = authority.issue("ecr", [f"DNS:{REGISTRY}", f"DNS:{API}"])
        with open(f"{folder}/entrepot.toml", "w", encoding="utf-8") as file:
            file.write(CONFIGURATION.format(
                port=port, certificate=certificate, key=key, folder=folder, account=ACCOUNT, region=REGION, registry=REGISTRY,
                id=os.environ["AWS_ACCESS_KEY_ID"], secret=os.environ["AWS_SECRET_ACCESS_KEY"],
            ))
        tunnel = Tunnel([REGISTRY, API], port)
        Daemon("entrepot", [program, "serve", "--config", f"{folder}/entrepot.toml"], folder, port)
        try:
            code = count(CHECKS, lambda folder: Network(folder, tunnel, authority))
        finally:
            Daemon.stop_all()
    strangers = {target for target in tunnel.asked if target not in tunnel.targets}
    if strangers:
        print(f"asked for besides: {', '.join(sorted(strangers))}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
