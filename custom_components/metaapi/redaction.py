"""Takes out of data what nobody else should read, the same thing always by the same words."""

from collections.abc import Mapping
from functools import partial
from html import escape
import json
import re
from typing import Any, Final
from urllib.parse import quote, quote_plus

REDACTED: Final = "**REDACTED**"

_ALONE_MAX = 3
"""A secret as short as this is one only where it stands alone."""
_ALONE = (r"(?:(?<![^\W_])|(?<=%[0-9a-f]{2}))", r"(?![^\W_])")

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[\d.]*(?:Z|[+-]\d\d:\d\d)?")
"""Digits of a time are no login."""

# What may be somebody's though we do not know it; an id may be cut short
_UNKNOWN: Final = {
    "token": re.compile(r"eyJ[\w-]{8,}(?:\.[\w-]*){0,2}"),
    "address": re.compile(r"[\w.+-]+(?:@|%(?:25)*40)[\w-]+(?:\.[\w-]+)+"),
    "id": re.compile(
        r"[0-9a-f]{8}(?:-[0-9a-f]{1,12}){1,4}|(?<![0-9a-z])[0-9a-f]{24,}", re.IGNORECASE
    ),
}


class Redactor:
    """Replaces secrets wherever they stand, in each spelling that a URL or an error may give them."""

    def __init__(self) -> None:
        """Start without secrets."""
        self._labels: dict[str, str] = {}
        self._pattern: re.Pattern[str] | None = None
        self._unknown: dict[str, dict[str, str]] = {kind: {} for kind in _UNKNOWN}

    def add(self, secret: str | None, label: str) -> None:
        """Replace a text by a label from now on; the first label of a text stays."""
        for spelling in _spellings(secret or ""):
            self._labels.setdefault(spelling.casefold(), label)
        self._pattern = None

    def redact(self, value: Any) -> Any:
        """Return a copy of JSON-like data without secrets, in keys as in values."""
        if isinstance(value, str):
            return self._redact_text(value)
        if isinstance(value, Mapping):
            return {self.redact(key): self.redact(one) for key, one in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.redact(one) for one in value]
        return value

    def _redact_text(self, text: str) -> str:
        """Return a text without secrets."""
        if _TIME.fullmatch(text):
            return text
        if self._pattern is None:
            # Of two secrets that begin alike the longer one is meant
            spellings = sorted(self._labels, key=len, reverse=True)
            self._pattern = re.compile(
                "|".join(map(_pattern, spellings)) or r"(?!)", re.IGNORECASE
            )
        text = self._pattern.sub(self._label, text)
        for kind, pattern in _UNKNOWN.items():
            text = pattern.sub(partial(self._label_unknown, kind), text)
        return text

    def _label(self, match: re.Match[str]) -> str:
        """Return the label of a secret."""
        return self._labels.get(match[0].casefold(), REDACTED)

    def _label_unknown(self, kind: str, match: re.Match[str]) -> str:
        """Return the label of what only looks like a secret, numbered as it appears."""
        known = self._unknown[kind]
        return known.setdefault(match[0].casefold(), f"other {kind} {len(known) + 1}")


def _spellings(secret: str) -> set[str]:
    """Return the ways to write a text, in any one case of its letters."""
    quoted = quote(secret, safe="")
    return {
        secret,
        quote(secret),
        quoted,
        quote(quoted, safe=""),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        repr(secret)[1:-1],
        escape(secret),
    } - {""}


def _pattern(spelling: str) -> str:
    """Return the pattern that finds a spelling."""
    before, after = _ALONE if len(spelling) <= _ALONE_MAX else ("", "")
    return f"{before}{re.escape(spelling)}{after}"
