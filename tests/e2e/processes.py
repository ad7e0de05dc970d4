"""Programs that run in the background, and commands that end. Everything that is started here is stopped here."""

import os
import shutil
import signal
import socket
import subprocess
import time


class Failure(Exception):
    """Something was not as it must be."""


class NotRun(Exception):
    """Something cannot be tried here, and why."""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def found(program):
    return shutil.which(program) is not None


def environment(**more):
    """Nothing of the caller's proxies, registries and logins reaches the programs."""
    base = {"PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin", "LANG": "C.UTF-8"}
    return {**base, **{key: str(value) for key, value in more.items()}}


def run(arguments, env=None, timeout=180, input=None, cwd=None, check=True):
    """Runs a command to its end; gives its standard output as text."""
    arguments = [str(argument) for argument in arguments]
    try:
        done = subprocess.run(
            arguments, env=env or environment(), cwd=cwd, timeout=timeout, input=input,
            stdin=None if input is not None else subprocess.DEVNULL, capture_output=True,
        )
    except subprocess.TimeoutExpired as late:
        raise Failure(f"no end after {timeout} s: {' '.join(arguments)}") from late
    if check and done.returncode != 0:
        said = (done.stderr or done.stdout).decode(errors="replace").strip()
        raise Failure(f"exit {done.returncode}: {' '.join(arguments)}\n{said[-1500:]}")
    return done.stdout.decode(errors="replace")


class Daemon:
    """A program in the background with its output in files."""

    all = []

    def __init__(self, name, arguments, folder, ready, env=None, patience=30):
        self.name = name
        self.arguments = [str(argument) for argument in arguments]
        self.stdout = os.path.join(folder, name + ".out")
        self.stderr = os.path.join(folder, name + ".err")
        self.ready = ready
        self.env = env or environment()
        self.patience = patience
        self.process = None
        self.start()
        Daemon.all.append(self)

    def start(self):
        with open(self.stdout, "ab") as out, open(self.stderr, "ab") as err:
            self.process = subprocess.Popen(
                self.arguments, env=self.env, stdin=subprocess.DEVNULL, stdout=out, stderr=err
            )
        end = time.monotonic() + self.patience
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > end:
                state = f"exit {self.process.poll()}" if self.process.poll() is not None else "still not ready"
                self.stop()
                raise Failure(f"{self.name} did not start ({state}): {' '.join(self.arguments)}\n{self.tail()}")
            time.sleep(0.05)

    def is_ready(self):
        if callable(self.ready):
            return self.ready()
        try:
            socket.create_connection(("127.0.0.1", self.ready), timeout=1).close()
            return True
        except OSError:
            return False

    def stop(self, patience=20):
        """SIGTERM, then SIGKILL. Gives the exit code, or None where it had to be killed."""
        if self.process is None:
            return None
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return None
        finally:
            self.process = None

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def tail(self, lines=15):
        with open(self.stderr, errors="replace") as file:
            return "".join(file.readlines()[-lines:])

    @classmethod
    def stop_all(cls):
        for daemon in reversed(cls.all):
            daemon.stop(patience=5)
        cls.all.clear()
