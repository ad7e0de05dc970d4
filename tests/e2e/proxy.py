"""The program under test, with every upstream configured, plaintext and TLS."""

import json
import os
import urllib.request

from processes import Daemon, environment, free_port
from registries import PASSWORD, USERNAME, toml


class Entrepot:
    def __init__(self, program, folder, upstreams, authority):
        self.folder = folder
        self.port, self.tls_port, self.admin_port, self.dead_port = (free_port() for _ in range(4))
        self.address = f"127.0.0.1:{self.port}"
        self.tls_address = f"127.0.0.1:{self.tls_port}"
        self.url = f"http://{self.address}"
        self.ca = authority.certificate
        self.data = os.path.join(folder, "entrepot-data")
        self.config = os.path.join(folder, "entrepot.toml")
        with open(self.config, "w") as file:
            file.write(self.settings(upstreams, authority))
        self.daemon = Daemon("entrepot", [program, "serve", "--config", self.config], folder, self.is_ready, environment())

    def settings(self, upstreams, authority):
        certificate, key = authority.issue("entrepot")
        login = f"username = {toml(USERNAME)}\npassword = {toml(PASSWORD)}\n"
        wrong = f'username = {toml(USERNAME)}\npassword = "wrong"\n'
        realms = f"realms = [{toml(upstreams.token_server.host)}]\n"
        dead = f"http://127.0.0.1:{self.dead_port}"

        def upstream(name, url, more=""):
            return f"\n[[upstream]]\nname = {toml(name)}\nurl = {json.dumps(url)}\n{more}"

        return (
            f"listen = [\n  {{ address = {toml(self.address)} }},\n"
            f"  {{ address = {toml(self.tls_address)}, tls = {{ certificate = {toml(certificate)}, key = {toml(key)} }} }},\n]\n"
            f"data = {toml(self.data)}\nwell_known_upstreams = false\n"
            f'\n[cache]\ndisk = "20GiB"\n\n[admin]\nlisten = ["127.0.0.1:{self.admin_port}"]\n\n[log]\nformat = "json"\n'
            + upstream("docker.io", upstreams.plain.url, "default = true\n")
            + upstream("basic.test", upstreams.basic.url, login)
            + upstream("token.test", upstreams.token.url, login + realms)
            + upstream("tls.test", upstreams.tls.url, f"ca = {toml(upstreams.tls.ca)}\n")
            # The first address refuses, the second serves.
            + upstream("mirrored.test", [dead, upstreams.plain.url])
            + upstream("dead.test", dead)
            + upstream("slow.test", upstreams.slow.url)
            + upstream("basic-wrong.test", upstreams.basic.url, wrong)
            + upstream("basic-nobody.test", upstreams.basic.url)
            + upstream("token-wrong.test", upstreams.token.url, wrong + realms)
            + upstream("token-nobody.test", upstreams.token.url, realms)
        )

    def is_ready(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}/readyz", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def restart(self):
        code = self.daemon.stop()
        self.daemon.start()
        return code

    def access(self, fragment):
        """The access lines with this in their path."""
        lines = []
        for path in (self.daemon.stderr, self.daemon.stdout):
            with open(path, errors="replace") as file:
                lines += [line for line in file if fragment in line and "user_agent" in line]
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]

    def metrics(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}/metrics", timeout=5) as answer:
            return answer.read().decode()


class Second(Entrepot):
    """Another one, whose only upstream is the first. It asks for every tag, so that it tells what it does without the first."""

    def settings(self, first, authority):
        return (
            f"listen = [{toml(self.address)}]\ndata = {toml(self.data)}\nwell_known_upstreams = false\n"
            f'\n[admin]\nlisten = ["127.0.0.1:{self.admin_port}"]\n\n[log]\nformat = "json"\n'
            f'\n[[upstream]]\nname = "first"\nurl = {toml(first.url)}\ntag_ttl = "0s"\nstale_while_revalidate = "0s"\n'
        )
