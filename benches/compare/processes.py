"""Programs that are started, watched and stopped; nothing here looks for processes by name."""

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
START_SECONDS = 30


class Failure(Exception):
    """The comparison cannot go on; the text says why."""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def run(*words, timeout=600):
    """The standard output of a program that must succeed."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=timeout)
    if done.returncode:
        raise Failure(f"{words[0]} failed: {done.stderr.strip()[-2000:]} {done.stdout.strip()[-500:]}")
    return done.stdout


def fetch(url, accept="*/*"):
    """Body and headers of a small answer."""
    request = urllib.request.Request(url, headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read(), answer.headers


class Program:
    """A server in the foreground, with its standard output and error in a file."""

    running = []

    def __init__(self, words, folder, ready_url):
        self.folder = folder
        self.log = open(os.path.join(folder, "output.log"), "ab")
        self.process = subprocess.Popen([str(word) for word in words], cwd=folder, stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log, start_new_session=True)
        Program.running.append(self)
        self.await_ready(ready_url)

    def await_ready(self, url):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                fetch(url)
                return
            except urllib.error.HTTPError:
                return
            except OSError:
                time.sleep(0.02)
        with open(os.path.join(self.folder, "output.log"), errors="replace") as log:
            raise Failure(f"{self.process.args[0]} does not answer: {log.read()[-2000:]}")

    def stop(self):
        if self in Program.running:
            Program.running.remove(self)
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()

    @classmethod
    def stop_all(cls):
        for program in list(cls.running):
            program.stop()

    def pids(self):
        """The process and its workers."""
        found, at = [self.process.pid], 0
        while at < len(found):
            with open(f"/proc/{found[at]}/task/{found[at]}/children") as file:
                found += [int(pid) for pid in file.read().split()]
            at += 1
        return found

    def cpu_seconds(self):
        """User and system time of all threads of all its processes."""
        ticks = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/stat") as file:
                fields = file.read().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / TICKS_PER_SECOND

    def resident(self):
        """Resident bytes of all its processes, and the part of them that is no file's: (VmRSS, RssAnon)."""
        total = anonymous = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/status") as file:
                values = dict(line.split(":", 1) for line in file if ":" in line)
            total += int(values["VmRSS"].split()[0]) << 10
            anonymous += int(values["RssAnon"].split()[0]) << 10
        return total, anonymous
