"""Programs in the background: started, measured and stopped. A program is its process and all that it has forked."""

import http.client
import os
import resource
import signal
import socket
import subprocess
import time

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


class Failure(Exception):
    """A program did not do what the comparison needs."""


def allow_many_files():
    """A thousand clients are a thousand descriptors on either side."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def run(*arguments):
    done = subprocess.run([str(one) for one in arguments], stdin=subprocess.DEVNULL, capture_output=True, timeout=600)
    if done.returncode != 0:
        raise Failure(f"{' '.join(map(str, arguments))}: exit {done.returncode}\n{done.stderr.decode(errors='replace')[-2000:]}")
    return done.stdout.decode(errors="replace")


def ask(port, method, path, body=None, timeout=60, **headers):
    """One request over plaintext; gives status, headers and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path, body=body, headers={"Host": "127.0.0.1", **headers})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


class Program:
    """Its output goes to files in the folder, as a service's does."""

    running = []

    def __init__(self, name, arguments, folder, port):
        self.name, self.log = name, os.path.join(folder, f"{name.replace(' ', '-')}.log")
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [str(one) for one in arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder)
        Program.running.append(self)
        end = time.monotonic() + 30
        while not self.listens(port):
            if self.process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise Failure(f"{name} does not start: {self.tail()}")
            time.sleep(0.02)

    @staticmethod
    def listens(port):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return True
        except OSError:
            return False

    def tail(self):
        with open(self.log, errors="replace") as log:
            return "".join(log.readlines()[-12:])

    def stop(self):
        if self in Program.running:
            Program.running.remove(self)
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    @classmethod
    def stop_all(cls):
        for program in list(cls.running):
            program.stop()

    def pids(self):
        found = [self.process.pid]
        for pid in found:
            try:
                with open(f"/proc/{pid}/task/{pid}/children") as file:
                    found += [int(child) for child in file.read().split()]
            except OSError:
                pass
        return found

    def cpu_seconds(self):
        ticks = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/stat") as file:
                fields = file.read().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / TICKS_A_SECOND

    def rss_mib(self):
        """Resident memory. Pages that a master and its workers share count once for each."""
        total = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/status") as file:
                total += sum(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))
        return total / 1024
