"""Results: collected by any thread, printed as a table, counted in the last line."""

import threading
import traceback

from processes import Failure, NotRun


class Report:
    def __init__(self):
        self.lock = threading.Lock()
        self.cells = {}
        self.checks = []
        self.failures = []
        self.skipped = []
        self.passed = 0

    def attempt(self, what, action):
        """Runs one test; gives the word for the table and what the test had to say."""
        try:
            said = action()
        except NotRun as reason:
            with self.lock:
                self.skipped.append((what, str(reason)))
            return "not run", str(reason)
        except Exception as error:  # whatever it is, it is one failed test and not the end of the others
            told = str(error) if isinstance(error, Failure) else traceback.format_exc()
            with self.lock:
                self.failures.append((what, told))
            return "FAILED", told.split("\n")[0]
        with self.lock:
            self.passed += 1
        return "ok", said

    def cell(self, client, upstream, phase, action):
        word, _ = self.attempt(f"{client} × {upstream} × {phase}", action)
        with self.lock:
            self.cells.setdefault((client, upstream), {})[phase] = word
        return word == "ok"

    def no_cell(self, client, upstream, phases, reason):
        def refuse():
            raise NotRun(reason)

        for phase in phases:
            self.cell(client, upstream, phase, refuse)

    def check(self, name, action):
        word, said = self.attempt(name, action)
        self.checks.append((name, word, said))

    def print(self, clients, upstreams, phases):
        print(f"\nclient × upstream: {' / '.join(phases)}")
        print("".join(f"{text:<26}" for text in ("", *upstreams)))
        for client in clients:
            row = [client]
            for upstream in upstreams:
                cell = self.cells.get((client, upstream))
                row.append("–" if cell is None else " / ".join(cell.get(phase, "?") for phase in phases))
            print("".join(f"{text:<26}" for text in row))
        print("– : this client cannot name this upstream in this way\n")
        for name, word, said in self.checks:
            print(f"{word:<8}{name}" + (f"  ({said})" if said else ""))
        if self.skipped:
            print("\nnot run:")
            for reason in dict.fromkeys(reason for _, reason in self.skipped):
                print(f"  {sum(1 for _, other in self.skipped if other == reason)} × {reason}")
        for what, told in self.failures:
            print(f"\nFAILED {what}\n  " + told.strip().replace("\n", "\n  "))
        print(f"\n{self.passed} passed, {len(self.failures)} failed, {len(self.skipped)} skipped", flush=True)
        return not self.failures and self.passed > 0
