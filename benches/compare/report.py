"""The table: a figure, what the others reached, the ratio, the target."""

import os
import platform


def number(value):
    if value is None:
        return ""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def machine():
    with open("/proc/cpuinfo") as file:
        text = file.read()
    model = next((line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")), platform.machine())
    sha = "with" if " sha_ni " in text else "without"
    return f"{os.cpu_count()} × {model} ({sha} SHA instructions), Linux {platform.release()}; clients and servers share the cores"


class Report:
    def __init__(self):
        self.rows = []

    def row(self, title, own, others, target, how, relative_to=None, more_is_better=False):
        """`target` bounds the figure itself or, where `relative_to` names another column, the ratio to that."""
        reference = relative_to or next(iter(others), None)
        ratio = own / others[reference] if reference and others[reference] else None
        verdict = ""
        if target is not None:
            judged = ratio if relative_to else own
            # Beyond the digits that are shown, a figure says nothing.
            met = judged is not None and round(judged, 3) <= target
            verdict = f"≤ {target}{f' × {relative_to}' if relative_to else ''}: {'reached' if met else '**missed**'}"
        elif more_is_better:
            verdict = "more is better"
        self.rows.append({"title": title, "entrepot": own, "others": others, "reference": reference, "ratio": ratio,
                          "target": target, "verdict": verdict, "how": how})
        shown = ", ".join(f"{name} {number(value)}" for name, value in others.items())
        print(f"{title}: {number(own)} | {shown} | {verdict}", flush=True)

    def missed(self):
        return [row["title"] for row in self.rows if "missed" in row["verdict"]]

    def markdown(self):
        lines = ["| measured | entrepot | beside | ratio | target |", "|---|---:|---|---:|---|"]
        notes = []
        for row in self.rows:
            others = ", ".join(f"{name} {number(value)}" for name, value in row["others"].items())
            mark = ""
            if row["how"]:
                if row["how"] not in notes:
                    notes.append(row["how"])
                mark = f" [{notes.index(row['how']) + 1}]"
            ratio = f"{row['ratio']:.2f} × {row['reference']}" if row["ratio"] is not None else ""
            lines.append(f"| {row['title']}{mark} | {number(row['entrepot'])} | {others} | {ratio} | {row['verdict']} |")
        lines += ["", *(f"{at}. {note}." for at, note in enumerate(notes, 1))]
        return "\n".join(lines)
