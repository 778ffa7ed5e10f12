"""The points that the doctor checks, and its report, which contains no secrets."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from custom_components.metaapi.api import redact


class Verdict(StrEnum):
    """How a finding compares with what the code assumes."""

    AS_ASSUMED = "as assumed"
    DIFFERS = "**differs**"
    REPORTED = "reported"
    OPEN = "not settled"


@dataclass(frozen=True)
class Point:
    """An open question about the live service."""

    how: str
    assumed: str


def _read_points(page: str) -> dict[str, Point]:
    """Return the points in the table of the checklist, by key."""
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
    """The findings by point, with all secrets removed."""

    about: str
    secrets: list[str]
    names: dict[str, str] = field(default_factory=dict)
    """Names to show instead of the account ids."""
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    found: dict[str, list[str]] = field(
        default_factory=lambda: {key: [] for key in POINTS}
    )

    def clean(self, text: str) -> str:
        """Remove tokens, account ids and line breaks from a text."""
        for secret in self.secrets:
            text = redact(text, secret)
        for account_id, name in self.names.items():
            text = text.replace(account_id, name)
        return text.replace("\n", " ")

    def progress(self, text: str) -> None:
        """Print the progress."""
        print(self.clean(text), flush=True)

    def note(self, key: str, text: str) -> None:
        """Note a finding about a point, unless it is noted already."""
        text = self.clean(text)
        if text not in self.found[key]:
            self.found[key].append(text)
            print(f"  {key}: {text}", flush=True)

    def judge(self, key: str, *, expected: bool) -> None:
        """Store whether a finding is as assumed; a difference is final."""
        if self.verdicts.get(key) is not Verdict.DIFFERS:
            self.verdicts[key] = Verdict.AS_ASSUMED if expected else Verdict.DIFFERS

    def verdict(self, key: str) -> Verdict:
        """Return the verdict of a point."""
        unjudged = Verdict.REPORTED if self.found[key] else Verdict.OPEN
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
    """Escape a server's text for a cell of a table."""
    return text.replace("|", "\\|").replace("<", "&lt;")


def seconds(values: Iterable[float]) -> str:
    """Return the minimum, the maximum and the median of durations."""
    ordered = sorted(values)
    if not ordered:
        return "none"
    middle = ordered[len(ordered) // 2]
    return f"{ordered[0]:.2f} to {ordered[-1]:.2f} s, middle {middle:.2f} s, {len(ordered)} in all"
