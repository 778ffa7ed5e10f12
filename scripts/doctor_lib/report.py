"""What the doctor looks into, what it found, and how it reports that without a secret."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from custom_components.metaapi.api import redact


class Verdict(StrEnum):
    """How what was found compares with what the code assumes."""

    AS_ASSUMED = "as assumed"
    DIFFERS = "**differs**"
    TOLD = "told"
    OPEN = "not settled"


@dataclass(frozen=True)
class Point:
    """One thing that is not known of the live service."""

    how: str
    assumed: str


def _read_points(page: str) -> dict[str, Point]:
    """Return the points of the page that explains them, by their keys."""
    rows = [line.strip("| ").split(" | ") for line in page.splitlines()]
    return {
        row[0].strip("`"): Point(*row[1:])
        for row in rows
        if len(row) == 3 and row[0].startswith("`")
    }


PAGE = Path(__file__).parents[2] / "docs" / "live-checklist.md"
POINTS = _read_points(PAGE.read_text())


@dataclass
class Report:
    """What was found, point by point, with every secret taken out."""

    about: str
    secrets: list[str]
    names: dict[str, str] = field(default_factory=dict)
    """What to call an account instead of by its id."""
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    found: dict[str, list[str]] = field(
        default_factory=lambda: {key: [] for key in POINTS}
    )

    def clean(self, text: str) -> str:
        """Take tokens and account ids out of a text, and keep it on one line."""
        for secret in self.secrets:
            text = redact(text, secret)
        for account_id, name in self.names.items():
            text = text.replace(account_id, name)
        return text.replace("\n", " ")

    def tell(self, text: str) -> None:
        """Print what is going on."""
        print(self.clean(text), flush=True)

    def note(self, key: str, text: str) -> None:
        """Note what was found about a point; the same twice is one finding."""
        text = self.clean(text)
        if text not in self.found[key]:
            self.found[key].append(text)
            print(f"  {key}: {text}", flush=True)

    def judge(self, key: str, *, expected: bool) -> None:
        """Compare with what the code assumes; one disagreement is enough."""
        if self.verdicts.get(key) is not Verdict.DIFFERS:
            self.verdicts[key] = Verdict.AS_ASSUMED if expected else Verdict.DIFFERS

    def verdict(self, key: str) -> Verdict:
        """Return how a point came out."""
        unjudged = Verdict.TOLD if self.found[key] else Verdict.OPEN
        return self.verdicts.get(key, unjudged)

    def markdown(self) -> str:
        """Return the report as Markdown."""
        lines = [
            "# The doctor's report",
            "",
            f"{self.clean(self.about)}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
            "",
            "| Point | What the doctor does | Found | Verdict | What the code assumes |",
            "| --- | --- | --- | --- | --- |",
        ]
        for key, point in POINTS.items():
            found = "<br>".join(map(_cell, self.found[key] or ["-"]))
            cells = (key, point.how, found, self.verdict(key), point.assumed)
            lines.append(f"| {' | '.join(cells)} |")
        counts = ", ".join(
            f"{sum(self.verdict(key) is verdict for key in POINTS)} {verdict.strip('*')}"
            for verdict in Verdict
        )
        return "\n".join([*lines, "", f"{len(POINTS)} points: {counts}.", ""])


def _cell(text: str) -> str:
    """Keep what a server said inside its cell of a table."""
    return text.replace("|", "\\|").replace("<", "&lt;")


def seconds(values: Iterable[float]) -> str:
    """Return a series of seconds as its extremes and its middle."""
    ordered = sorted(values)
    if not ordered:
        return "none"
    middle = ordered[len(ordered) // 2]
    return f"{ordered[0]:.2f} to {ordered[-1]:.2f} s, middle {middle:.2f} s, {len(ordered)} in all"
