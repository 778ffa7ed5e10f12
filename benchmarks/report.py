"""The goals, and the table of what was measured in some runs."""

from collections.abc import Callable, Sequence
from math import inf
from statistics import median
from typing import NamedTuple

from .runs import Samples

TOLERATED = 0.2
"""Missing a goal by more than this share is an error."""

# What is measured | its unit, and the unit of both parts | our part | operator | the other part | goal
TABLE = """
an unchanged `status`, socket to "nothing to write", against raw aiohttp + orjson | x µs | flood ours | / | flood raw | <= 1.4
the same: so many times cheaper than the official SDK | x µs | flood sdk | / | flood ours | >= 24
a change (two states written) at 10 accounts, against the least client before the same entities | x µs | change metaapi 10 | / | change raw 10 | <= 1.6
a change at 1,000 against 10: its growth, against the least client's | x x | growth metaapi | / | growth raw | <= 1.05
`authenticated` → state, p99, 1,000 accounts beyond 1 | ms ms | p99 1000 | - | p99 1 | <= 0.5
the same, without Python's garbage collector | ms ms | own p99 1000 | - | own p99 1 | <= 0.5
1,000 accounts lose their sockets: longest block | ms | loss block | | | <= 10
the same, without Python's garbage collector | ms | loss own block | | | <= 10
the same: from the first that is unavailable to the last | s | loss spread | | | <= 1
all back after a loss of all | s | loss back | | | <= 8
the same: most connects in 0.1 s | % | loss attempts | | | <= 10
the same: most subscribes in 0.1 s | % | loss subscribes | | | <= 10
a listing of 1,000 accounts: longest block | ms | listing block | | | <= 10
diagnostics of 1,000 accounts: longest block | ms | diagnostics block | | | <= 50
start of Home Assistant, 10 accounts, beyond the empty integration | ms ms | start metaapi | - | start empty | <= 30
set-up of 1,000 accounts, against the entities alone | x s | setup metaapi | / | setup empty | <= 1.05
memory of an account beyond its entities, from 100 to 1,000 | KiB KiB | memory metaapi | - | memory empty | <= 5
the same from 10 to 100: flat | KiB KiB | memory metaapi few | - | memory empty few | <= 5
a day: states written within a minute of the last time, but for changes | | day too often | | | <= 0
a day: states written | | day writes
a day: rows of states and events, and of Home Assistant's statistics | | day rows | + | day statistics rows
a day: CPU time of the event loop, and of the recorder and other threads | s s | day loop | + | day recorder
"""
UNITS = {"x": 1, "s": 1, "ms": 1e3, "µs": 1e6, "%": 100, "KiB": 1 / 1024, "": 1}
HOW: dict[str, Callable[[float, float], float]] = {
    "/": lambda ours, other: ours / other,
    "-": lambda ours, other: ours - other,
    "+": lambda ours, other: ours + other,
    "": lambda ours, _: ours,
}


class Row(NamedTuple):
    """A figure: our value, or our value combined with another; with or without a goal."""

    what: str
    units: str
    ours: str
    how: str = ""
    other: str = ""
    goal: str = ""

    def value(self, samples: Samples) -> float:
        """Return the median of all rounds, in the figure's unit."""
        ours, other = samples[self.ours], samples[self.other or self.ours]
        values = map(HOW[self.how], ours, other, strict=True)
        return median(values) * UNITS[self.units.split(" ")[0]]

    def cell(self, samples: Samples) -> str:
        """Return the value as text, with the two parts that it is computed from."""
        unit, _, of = self.units.partition(" ")
        text = _text(self.value(samples), unit, "+" if self.how == "-" else "")
        if not self.how:
            return text
        two = (median(samples[name]) * UNITS[of] for name in (self.ours, self.other))
        return f"{text} ({', '.join(_text(one, of) for one in two)})"

    def missed(self, samples: Samples) -> float:
        """Return by how much the goal is missed, relative to the goal."""
        sense, _, goal = self.goal.partition(" ")
        value, limit = self.value(samples), float(goal or 0)
        if not sense or (value >= limit if sense == ">=" else value <= limit):
            return 0.0
        return abs(value / limit - 1) if limit else inf

    def verdict(self, runs: Sequence[Samples]) -> str:
        """Return whether the goal is met, judged by the worst of some runs."""
        if missed := max(map(self.missed, runs)):
            return f"**missed by {missed:.0%}**"
        return "met" if self.goal else ""


def _text(value: float, unit: str, sign: str = "") -> str:
    """Return a number as readable text."""
    digits = {"": 0, "x": 2}.get(unit, 1)
    return f"{value:{sign},.{digits}f} {unit}".strip()


ROWS = [Row(*map(str.strip, line.split("|"))) for line in TABLE.strip().splitlines()]


def table(runs: Sequence[Samples]) -> str:
    """Return the results of some runs as a Markdown table."""
    names = [f"run {number}" for number in range(1, len(runs) + 1)]
    lines = [("what", *names, "goal", ""), ("---",) * (len(runs) + 3)]
    for row in ROWS:
        goal = row.goal.replace("<=", "≤").replace(">=", "≥")
        lines.append((row.what, *map(row.cell, runs), goal, row.verdict(runs)))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def missed(samples: Samples) -> list[str]:
    """Return the goals that are missed by more than the tolerance."""
    return [row.what for row in ROWS if row.missed(samples) > TOLERATED]
