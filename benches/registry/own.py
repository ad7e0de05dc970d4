"""The servers that are pushed to: entrepot with repositories of its own, in files and SQLite, and docker-registry."""

import os
import time

import servers
from processes import Failure, Program, ask, free_port


class Entrepot(servers.Server):
    name = "entrepot"

    def __init__(self, folder, binary, name="entrepot"):
        self.name = name
        super().__init__(folder, None, None)
        self.binary, self.admin_port = binary, free_port()
        # Nothing runs by the clock while something else is measured.
        self.config = self.file("entrepot.toml", f"""
listen = ["127.0.0.1:{self.port}"]
data = "{self.data()}"

[admin]
listen = ["127.0.0.1:{self.admin_port}"]

[hosted]
reclaim_every = "1d"
scrub_every = "0s"
""")

    def start(self):
        """Gives the seconds until it was ready."""
        begun = time.monotonic()
        self.programs = [Program(self.name, [self.binary, "serve", "--config", self.config], self.folder, self.admin_port)]
        while ask(self.admin_port, "GET", "/readyz")[0] != 200:
            if time.monotonic() > begun + 120:
                raise Failure(f"{self.name} is not ready: {self.programs[0].tail()}")
            time.sleep(0.005)
        return time.monotonic() - begun

    def database(self):
        return os.path.join(self.data(), "entrepot.db")


class DockerRegistry(servers.DockerRegistry):
    """Debian's, with files."""

    name = "docker-registry"
    has_tls = False

    def __init__(self, folder):
        super().__init__(folder, None, None)

    def more(self):
        return ""
