"""Faults on demand, and how long each lasts."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True, eq=False)
class Span:
    """How long a fault lasts: so many times, until a moment, or until it is lifted."""

    count: int | None = None
    until: float | None = None

    @classmethod
    def of(cls, count: int | None, seconds: float | None) -> Span:
        """Return a span that begins now."""
        return cls(count, None if seconds is None else _now() + seconds)

    @property
    def over(self) -> bool:
        """Return whether the fault has had its time."""
        return self.count == 0 or (self.until is not None and _now() >= self.until)

    def take(self) -> bool:
        """Return whether the fault strikes once more, and count that."""
        if self.over:
            return False
        if self.count is not None:
            self.count -= 1
        return True


@dataclass(slots=True, eq=False)
class RequestFault:
    """Requests of a type that are refused, or never answered where there is no error."""

    type: str
    error: str | None
    span: Span
    url: str | None = None
    accounts: Collection[str] | None = None
    message: str = "Refused by the simulator"
    details: Any = None
    retry_after: float | None = None

    def strikes(self, url: str, type: str, account_id: str) -> bool:
        """Return whether it is this request's, and count that."""
        return (
            self.type == type
            and self.url in (None, url)
            and (self.accounts is None or account_id in self.accounts)
            and self.span.take()
        )


@dataclass(slots=True, eq=False)
class RestFault:
    """REST calls that fail; `path` is the start of the paths that it spoils."""

    status: int
    span: Span
    path: str = "/"
    retry_after: float | None = None
    body: str | None = None

    def strikes(self, path: str) -> bool:
        """Return whether it is this call's, and count that."""
        return path.startswith(self.path) and self.span.take()


def _now() -> float:
    """Return the loop's clock, which a test may move."""
    return asyncio.get_running_loop().time()
