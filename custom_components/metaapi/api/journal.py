"""What happened last on the links, for diagnostics."""

from collections import deque
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

EVENTS_KEPT = 50


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that happened."""

    when: datetime
    what: str
    account_id: str | None
    zone: str | None
    detail: str | None


class Journal:
    """Keeps the last events; what a link hears all the time is none."""

    def __init__(self) -> None:
        """Start empty."""
        self._entries: deque[Entry] = deque(maxlen=EVENTS_KEPT)

    def note(
        self,
        what: str,
        account_id: str | None = None,
        zone: str | None = None,
        detail: str | None = None,
    ) -> None:
        """Write an event down; `detail` must not hold the token."""
        self._entries.append(Entry(datetime.now(UTC), what, account_id, zone, detail))

    def diagnostics(self) -> list[dict[str, Any]]:
        """Return the events, the oldest first; `when` is ISO 8601 in UTC."""
        return [
            {name: value for name, value in asdict(entry).items() if value is not None}
            | {"when": entry.when.isoformat(timespec="milliseconds")}
            for entry in self._entries
        ]
