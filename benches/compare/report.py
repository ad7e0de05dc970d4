"""What was measured: medians over interleaved rounds, as tables and against the targets."""

import json
import os
import statistics


def median(values):
    return statistics.median(values)


class Report:
    def __init__(self):
        self.tables = []
        self.targets = []

    def table(self, title, columns, rows):
        """`rows` are a name and one value a column; a value is a number, or None where there is nothing to say."""
        self.tables.append({"title": title, "columns": columns, "rows": rows})
        width = max([len(row[0]) for row in rows] + [24])
        print(f"\n{title}\n{'':<{width}}" + "".join(f"{column:>22}" for column in columns))
        for name, *values in rows:
            print(f"{name:<{width}}" + "".join(f"{number(value):>22}" for value in values), flush=True)

    def target(self, what, value, limit, unit=""):
        self.targets.append({"what": what, "value": value, "limit": limit, "unit": unit, "reached": value <= limit})

    def close(self, path):
        print("\ntargets")
        for target in self.targets:
            word = "reached" if target["reached"] else "MISSED"
            print(f"{word:<9}{target['what']:<66}{number(target['value']):>10} {target['unit']:<4} at most {target['limit']:g}")
        if path:
            with open(path, "w") as file:
                json.dump({"machine": machine(), "tables": self.tables, "targets": self.targets}, file, indent=1)


def number(value):
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if value == 0 or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def machine():
    with open("/proc/cpuinfo") as file:
        lines = file.read().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "?")
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    sha = "with SHA-NI" if "sha_ni" in flags else "without SHA-NI"
    return f"{os.cpu_count()} cores of {model}, {sha}; Linux {os.uname().release}; load before: {os.getloadavg()[0]:.1f}"
