"""The process and its folder, looked at from outside."""

import itertools
import os
import threading
import time


class Watch:
    """Looks at the process five times a second; peaks are since `begin`."""

    def __init__(self, pid, data):
        self.pid, self.data = pid, data
        self.begin()
        threading.Thread(target=self.look, daemon=True).start()

    def begin(self):
        # 5 forgets the kernel's own peak, which misses nothing between two looks.
        with open(f"/proc/{self.pid}/clear_refs", "w") as file:
            file.write("5")
        self.files = self.disk = 0

    def look(self):
        for turn in itertools.count():
            try:
                self.files = max(self.files, self.open_files())
                if turn % 20 == 0:
                    self.disk = max(self.disk, self.cache_bytes())
            except OSError:
                if not os.path.exists(f"/proc/{self.pid}/fd"):
                    return
            time.sleep(0.2)

    def status(self, field):
        with open(f"/proc/{self.pid}/status") as file:
            return next(int(line.split()[1]) << 10 for line in file if line.startswith(field))

    def resident(self):
        return self.status("VmRSS:")

    def peak(self):
        return self.status("VmHWM:")

    def processor_seconds(self):
        with open(f"/proc/{self.pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def open_files(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def cache_bytes(self):
        """Blobs, unfinished fills, and what was removed and is still open. Blobs that were pushed lie among them."""
        found = {}
        for path in (*self.below("blobs"), *self.below("staging", is_fill), *self.removed()):
            try:
                state = os.stat(path)
                found[state.st_ino] = state.st_blocks * 512
            except OSError:
                continue
        return sum(found.values())

    def removed(self):
        for name in os.listdir(f"/proc/{self.pid}/fd"):
            try:
                if "(deleted)" in os.readlink(f"/proc/{self.pid}/fd/{name}"):
                    yield f"/proc/{self.pid}/fd/{name}"
            except OSError:
                continue

    def upload_bytes(self):
        return sum(os.stat(path).st_blocks * 512 for path in self.below("staging", lambda name: not is_fill(name)) if os.path.exists(path))

    def database_bytes(self):
        files = [os.path.join(self.data, name) for name in os.listdir(self.data) if name.startswith("entrepot.db")]
        return sum(os.stat(path).st_blocks * 512 for path in files)

    def below(self, folder, wanted=lambda name: True):
        for path, _, names in os.walk(os.path.join(self.data, folder)):
            yield from (os.path.join(path, name) for name in names if wanted(name))


def is_fill(name):
    """Fills are named by their digest, uploads at random."""
    return "sha256" in name or "sha512" in name
