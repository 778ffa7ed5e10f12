"""Make the table of figures and goals from what the runs measured."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import pairwise
from statistics import median
from typing import Any

from .peers import COUNTS
from .runs import MANY, Samples

MICRO, MILLI = 1e6, 1e3
FLAT = 1.2
HEADER = ("figure", "ours", "baseline", "ratio", "goal", "")


@dataclass(frozen=True)
class Row:
    """One figure; `goal` is empty where a figure is only reported."""

    figure: str
    ours: str
    baseline: str = ""
    ratio: str = ""
    goal: str = ""
    met: bool | None = None

    @property
    def cells(self) -> tuple[str, ...]:
        """Return the row as text."""
        verdict = {True: "met", False: "MISSED", None: ""}[self.met]
        return (
            self.figure,
            self.ours,
            self.baseline,
            self.ratio,
            self.goal,
            verdict,
        )


class Report:
    """The rows of a run."""

    def __init__(self, samples: Samples) -> None:
        """Take what was measured."""
        self._samples = samples

    def rows(self) -> list[Row]:
        """Return every figure."""
        return [
            self._ratio(
                "unchanged status, against raw aiohttp + orjson",
                ("ours flood 1", "raw flood 1"),
                _micro,
                at_most=3.0,
            ),
            self._ratio(
                "unchanged status, against MetaApi's SDK",
                ("ours flood 1", "sdk flood 1"),
                _micro,
                cheaper=12.0,
            ),
            self._ratio(
                "unchanged status, against python-socketio 5",
                ("ours flood 1", "library flood 1"),
                _micro,
            ),
            self._beyond(
                f"authenticated → state written, p99, {MANY} accounts against 1",
                (f"metaapi latency p99 {MANY}", "metaapi latency p99 1"),
                at_most=0.001,
            ),
            self._beyond(
                f"the same, median, {MANY} accounts against 1",
                (f"metaapi latency {MANY}", "metaapi latency 1"),
            ),
            self._beyond(
                "the same, p99, with the moments in which the machine stood still",
                (
                    f"metaapi latency with stalls p99 {MANY}",
                    "metaapi latency with stalls p99 1",
                ),
            ),
            self._beyond(
                f"the same of raw aiohttp + orjson before the same entities, {MANY} against 1",
                (f"raw latency p99 {MANY}", "raw latency p99 1"),
            ),
            self._beyond(
                f"authenticated → state written, p99, {MANY} accounts, ours against that",
                (f"metaapi latency p99 {MANY}", f"raw latency p99 {MANY}"),
            ),
            self._there(),
            self._ratio(
                f"a second with a status for each of {MANY} accounts",
                (f"ours steady {MANY}", f"raw steady {MANY}"),
                _milli,
                at_most=1.5,
            ),
            self._ratio(
                "the same in Home Assistant, beyond its idling",
                (f"metaapi steady {MANY}", f"raw steady {MANY}"),
                _milli,
                at_most=1.5,
            ),
            self._ratio(
                f"unchanged status at {MANY} accounts against {COUNTS[0]}",
                (f"ours flood {MANY}", f"ours flood {COUNTS[0]}"),
                _micro,
                at_most=FLAT,
            ),
            self._ratio(
                f"unchanged status at {COUNTS[1]} accounts against {COUNTS[0]}",
                (f"ours flood {COUNTS[1]}", f"ours flood {COUNTS[0]}"),
                _micro,
                at_most=FLAT,
            ),
            self._ratio(
                f"a change, two states written, at {MANY} against {COUNTS[0]}",
                (f"metaapi change {MANY}", f"metaapi change {COUNTS[0]}"),
                _micro,
                at_most=FLAT,
            ),
            self._ratio(
                "the same of raw aiohttp + orjson before the same entities",
                (f"raw change {MANY}", f"raw change {COUNTS[0]}"),
                _micro,
            ),
            self._ratio(
                f"the same where {COUNTS[0]} of the {MANY} change",
                (f"metaapi few changes {MANY}", f"metaapi change {COUNTS[0]}"),
                _micro,
                at_most=FLAT,
            ),
            self._ratio(
                f"a change at {COUNTS[0]}, ours against that of raw aiohttp + orjson",
                (f"metaapi change {COUNTS[0]}", f"raw change {COUNTS[0]}"),
                _micro,
            ),
            self._limit("loss block", "all sockets lost: longest block", _milli, 0.05),
            self._limit("loss back", "all sockets lost: all back after", _seconds, 15),
            self._limit(
                "loss attempts",
                "all sockets lost: most connects in 0.1 s",
                _share,
                0.3,
            ),
            self._limit(
                "loss subscribes",
                "all sockets lost: most subscribes in 0.1 s",
                _share,
                0.1,
            ),
            self._ratio(
                f"set-up of {MANY} accounts, against the entities alone",
                (f"metaapi setup {MANY}", f"empty setup {MANY}"),
                _milli,
                at_most=1.5,
            ),
            *(
                self._beyond(
                    f"start of Home Assistant, {count} accounts",
                    (f"metaapi start {count}", f"empty start {count}"),
                )
                for count in (COUNTS[0], MANY)
            ),
            self._limit(
                "blocking calls", "blocking calls that it found", "{:.0f}".format, 0
            ),
            *self._memory(),
        ]

    def _ratio(
        self,
        figure: str,
        names: tuple[str, str],
        unit: Callable[[float], str],
        *,
        at_most: float | None = None,
        cheaper: float | None = None,
    ) -> Row:
        """Divide two figures round by round."""
        ours, baseline = (self._samples[name] for name in names)
        ratios = [one / other for one, other in zip(ours, baseline, strict=True)]
        if cheaper is not None:
            ratios = [1 / ratio for ratio in ratios]
        goal, met = "", None
        if at_most is not None:
            goal, met = f"≤ {at_most:g}", median(ratios) <= at_most
        elif cheaper is not None:
            goal, met = f"≥ {cheaper:g}", median(ratios) >= cheaper
        return Row(
            figure,
            _spread(ours, unit),
            _spread(baseline, unit),
            _spread(ratios, "{:.2f}".format),
            goal,
            met,
        )

    def _beyond(
        self, figure: str, names: tuple[str, str], at_most: float | None = None
    ) -> Row:
        """Subtract two figures round by round."""
        ours, baseline = (self._samples[name] for name in names)
        beyond = [one - other for one, other in zip(ours, baseline, strict=True)]
        return Row(
            figure,
            _spread(ours, _milli),
            _spread(baseline, _milli),
            _spread(beyond, _more),
            "" if at_most is None else f"≤ {_more(at_most)}",
            None if at_most is None else median(beyond) <= at_most,
        )

    def _there(self) -> Row:
        """Return how many terminals met no moment in which the machine stood still."""
        ours, baseline = (
            _spread(shares, _share)
            if (shares := self._samples.get(f"metaapi there {count}"))
            else "not watched"
            for count in (MANY, 1)
        )
        return Row("terminals that met no such moment (needs root)", ours, baseline)

    def _limit(
        self, name: str, figure: str, unit: Callable[[float], str], limit: float
    ) -> Row:
        """Hold the worst of a figure against a limit."""
        worst = max(self._samples[name])
        return Row(
            figure,
            _spread(self._samples[name], unit),
            goal=f"≤ {unit(limit)}",
            met=worst <= limit,
        )

    def _memory(self) -> list[Row]:
        """Return what one account more takes, between two numbers of accounts, and whether that is flat."""
        rows, beyond = [], []
        for fewer, more in pairwise(COUNTS):
            ours, baseline = (
                (self._memory_of(domain, more) - self._memory_of(domain, fewer))
                / (more - fewer)
                for domain in ("metaapi", "empty")
            )
            beyond.append(ours - baseline)
            rows.append(
                Row(
                    f"memory of an account, from {fewer} to {more}",
                    _kib(ours),
                    _kib(baseline),
                    f"{beyond[-1] / 1024:+.1f} KiB",
                )
            )
        ratio = beyond[1] / beyond[0]
        rows.append(
            Row(
                "the same beyond the entities alone, the second against the first",
                _kib(beyond[1]),
                _kib(beyond[0]),
                f"{ratio:.2f}",
                f"≤ {FLAT:g}",
                ratio <= FLAT,
            )
        )
        return rows

    def _memory_of(self, domain: str, count: int) -> float:
        """Return what so many accounts take."""
        return median(self._samples[f"{domain} memory {count}"])


def table(rows: list[Row]) -> str:
    """Return rows as a table that a person and Markdown can read."""
    cells = [HEADER, *(row.cells for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))} |"
        for line in cells
    ]
    lines.insert(1, f"| {' | '.join('-' * max(width, 3) for width in widths)} |")
    return "\n".join(lines)


def as_json(rows: list[Row], samples: Samples) -> dict[str, Any]:
    """Return all of it for a machine; times are in seconds, memory in bytes."""
    return {"rows": [asdict(row) for row in rows], "samples": samples}


def _spread(values: list[float], unit: Callable[[float], str]) -> str:
    """Return the median, and the lowest and the highest where they differ from it."""
    middle, low, high = unit(median(values)), unit(min(values)), unit(max(values))
    return middle if low == high else f"{middle} ({low} to {high})"


def _micro(seconds: float) -> str:
    """Return microseconds."""
    return f"{seconds * MICRO:.1f} µs"


def _milli(seconds: float) -> str:
    """Return milliseconds."""
    return f"{seconds * MILLI:.1f} ms"


def _more(seconds: float) -> str:
    """Return how many milliseconds more, or fewer."""
    return f"{seconds * MILLI:+.1f} ms"


def _seconds(seconds: float) -> str:
    """Return seconds."""
    return f"{seconds:.1f} s"


def _share(share: float) -> str:
    """Return a percentage."""
    return f"{share:.0%}"


def _kib(size: float) -> str:
    """Return kibibytes."""
    return f"{size / 1024:.1f} KiB"
