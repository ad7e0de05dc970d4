"""The client, which is a program of its own: see client.c."""

import itertools
import json
import os
import subprocess

from processes import Failure, run

HERE = os.path.dirname(os.path.abspath(__file__))


class Client:
    def __init__(self, folder):
        self.program = os.path.join(folder, "client")
        self.seeds = itertools.count(1)
        run("gcc", "-O2", "-o", self.program, os.path.join(HERE, "client.c"), "-lcrypto", "-lpthread")

    def push(self, server, repository, clients, blobs, size, way):
        """Pushes blobs that nobody has seen. `way` is whole or streamed."""
        return self.call(server, "push", "127.0.0.1", server.port, repository, clients, blobs, size, next(self.seeds), way)

    def ask(self, server, method, paths):
        """Asks for each path once, over one connection."""
        return self.call(server, "ask", "127.0.0.1", server.port, 1, method, text="".join(f"{path}\n" for path in paths))

    def call(self, server, *arguments, text=""):
        done = subprocess.run([self.program, *map(str, arguments)], input=text, capture_output=True, text=True, timeout=1800)
        if done.returncode != 0:
            raise Failure(f"client {arguments}: exit {done.returncode} {done.stderr}")
        answer = json.loads(done.stdout)
        if answer["incomplete"]:
            log = "".join(program.tail() for program in server.programs)
            raise Failure(f"{server.name}: {answer['incomplete']} of {arguments} failed; {answer['complaint']}\n{log}")
        return answer
