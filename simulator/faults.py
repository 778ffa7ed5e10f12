"""Faults on demand."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True, eq=False)
class Span:
    """How long a fault lasts: a number of times, until a time, or until it is lifted."""

    count: int | None = None
    until: float | None = None

    @classmethod
    def of(cls, count: int | None, seconds: float | None) -> Span:
        """Return a span that starts now."""
        return cls(count, None if seconds is None else _now() + seconds)

    @property
    def over(self) -> bool:
        """Return whether the fault has ended."""
        return self.count == 0 or (self.until is not None and _now() >= self.until)

    def take(self) -> bool:
        """Return whether the fault still applies, and count this use."""
        if self.over:
            return False
        if self.count is not None:
            self.count -= 1
        return True


@dataclass(slots=True, eq=False)
class RequestFault:
    """Refuses requests of a type; with `error` None, leaves them unanswered."""

    type: str
    error: str | None
    span: Span
    url: str | None = None
    accounts: Collection[str] | None = None
    message: str = "Refused by the simulator"
    details: Any = None
    retry_after: float | None = None

    def applies(self, url: str, type: str, account_id: str) -> bool:
        """Return whether the fault applies to a request, and count this use."""
        return (
            self.type == type
            and self.url in (None, url)
            and (self.accounts is None or account_id in self.accounts)
            and self.span.take()
        )


@dataclass(slots=True, eq=False)
class RestFault:
    """Makes REST calls fail whose path starts with `path`."""

    status: int
    span: Span
    path: str = "/"
    retry_after: float | None = None
    body: str | None = None

    def applies(self, path: str) -> bool:
        """Return whether the fault applies to a call, and count this use."""
        return path.startswith(self.path) and self.span.take()


def _now() -> float:
    """Return the event loop's time, which a test may move."""
    return asyncio.get_running_loop().time()
