"""What the doctor looks into, what it found, and how that is told without a secret."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

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

    key: str
    question: str
    assumed: str


POINTS = {
    point.key: point
    for point in (
        Point(
            "open-packet",
            "Values of the open packet, and what follows it",
            "Engine.IO 3: two ping times between 0.05 s and 1 h, then `40` unasked within 10 s",
        ),
        Point(
            "polling",
            "Does long polling answer",
            "not needed: only websockets are used",
        ),
        Point(
            "eio4",
            "What a client of Engine.IO 4 is answered",
            "not needed: `EIO=3` is sent",
        ),
        Point(
            "bad-token",
            "How a wrong token is refused",
            "HTTP 401 at the handshake; ended, closed and `UnauthorizedError` are understood too",
        ),
        Point(
            "no-streaming",
            "How a token without streaming permission is refused",
            "HTTP 401 or 403 at the handshake, or `ForbiddenError` or `UnauthorizedError` to `subscribe`",
        ),
        Point(
            "who-serves",
            "Which URL serves the account",
            "a zone of its region; the global URL where it is the default region",
        ),
        Point(
            "payload-form",
            "Are payloads objects or JSON in a string",
            "either: both are read",
        ),
        Point(
            "authenticated-fields",
            "Fields of `authenticated`",
            "at least `type` and `accountId`; `sessionId`, where there is one, is the one we sent",
        ),
        Point(
            "status-interval",
            "Interval and fields of `status`",
            "less than 60 s; `connected` and `authenticated` are truth values",
        ),
        Point(
            "status-unsubscribed",
            "Does `status` come for accounts never subscribed",
            "either: events of accounts nobody asked for are ignored",
        ),
        Point(
            "connections-zone",
            "Values of `zone` in `connections`",
            "not used: both zones are asked",
        ),
        Point(
            "error-unknown",
            "Answer to `subscribe` of an unknown account",
            "`NotFoundError`",
        ),
        Point(
            "error-undeployed",
            "Answer to `subscribe` of an account that is not deployed",
            "`TimeoutError` or `NotFoundError`: none goes out where REST says so",
        ),
        Point(
            "error-foreign-region",
            "Answer to `subscribe` in a foreign region",
            "`TimeoutError` or `NotFoundError`",
        ),
        Point(
            "reconnect-forms",
            "Which forms of `reconnect` are accepted",
            "on a zone with `protocol=3`; else the seed page's form on the global URL",
        ),
        Point(
            "reconnect-order",
            "Order and timing of events after `reconnect`",
            "`response` within 20 s, then `authenticated` within 60 s; the other order is understood",
        ),
        Point(
            "reconnect-disconnected",
            "Does `disconnected` or a `status` without `authenticated` precede",
            "either: the sensor is off from the `response` on",
        ),
        Point(
            "reconnect-rapid",
            "Answer to a second `reconnect` at once",
            "not needed: one at a time for each account",
        ),
    )
}


@dataclass
class Report:
    """What was found, point by point, with every secret taken out."""

    about: str
    secrets: list[str]
    names: dict[str, str] = field(default_factory=dict)
    """What to call an account instead of by its id."""
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    found: dict[str, list[str]] = field(default_factory=dict)

    def clean(self, text: str) -> str:
        """Take tokens and account ids out of a text, and keep it on one line."""
        for secret in self.secrets:
            text = redact(text, secret)
        for account_id, name in self.names.items():
            text = text.replace(account_id, name)
        return text.replace("\n", " ")

    def tell(self, text: str) -> None:
        """Say what is going on."""
        print(self.clean(text), flush=True)

    def note(self, key: str, text: str) -> None:
        """Note what was found about a point; the same twice is one finding."""
        text = self.clean(text)
        found = self.found.setdefault(POINTS[key].key, [])
        if text not in found:
            found.append(text)
            print(f"  {key}: {text}", flush=True)

    def judge(self, key: str, *, expected: bool) -> None:
        """Compare with what the code assumes; one disagreement is enough."""
        if self.verdicts.get(key) is not Verdict.DIFFERS:
            self.verdicts[key] = Verdict.AS_ASSUMED if expected else Verdict.DIFFERS

    def verdict(self, key: str) -> Verdict:
        """Return how a point came out."""
        return self.verdicts.get(
            key, Verdict.TOLD if key in self.found else Verdict.OPEN
        )

    def markdown(self) -> str:
        """Return the report as Markdown."""
        lines = [
            "# The doctor's report",
            "",
            f"{self.clean(self.about)}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
            "",
            "| Point | Question | Found | Verdict | What the code assumes |",
            "| --- | --- | --- | --- | --- |",
        ]
        for key, point in POINTS.items():
            found = "<br>".join(map(_cell, self.found.get(key, ["-"])))
            cells = (key, point.question, found, self.verdict(key), point.assumed)
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
