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
_BEHIND_ESCAPE = re.compile(r"%[0-9a-f]{2}", re.IGNORECASE)
_KEY_MAX = 3
"""Characters by which secrets are found."""

_OWN_KEY = re.compile(r"[a-z][a-z0-9_]*")
"""The keys of our own data, whatever an account is called."""

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[\d.]*(?:Z|[+-]\d\d:\d\d)?")
"""Digits of a time are no login."""

# What may be somebody's though we do not know it; an id may be cut short. Each repetition has a bound, or a
# long text would take minutes.
_UNKNOWN: Final = {
    "token": re.compile(r"eyJ[\w-]{8,}(?:\.[\w-]*){0,2}"),
    "address": re.compile(
        r"[\w.+-]{1,64}(?:@|%(?:25){0,3}40)[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}"
    ),
    "id": re.compile(
        r"[0-9a-f]{8}(?:-[0-9a-f]{1,12}){1,4}|(?<![0-9a-z])[0-9a-f]{24,}", re.IGNORECASE
    ),
}


class Redactor:
    """Replaces secrets wherever they stand, in each spelling that a URL or an error may give them.

    Secrets are found by their first characters, so that a thousand accounts cost little more than one.
    """

    def __init__(self) -> None:
        """Start without secrets."""
        self._labels: dict[str, str] = {}
        """By spelling, in lower case."""
        self._lengths: dict[str, set[int]] = {}
        """How long the spellings are that begin alike."""
        self._unknown: dict[str, dict[str, str]] = {kind: {} for kind in _UNKNOWN}
        self._redacted: dict[str, str] = {}
        """What was redacted already: most texts come again and again."""

    def add(self, secret: str | None, label: str) -> None:
        """Replace a text by a label from now on; the first label of a text stays."""
        for spelling in map(_lower, _spellings(secret or "")):
            self._labels.setdefault(spelling, label)
            self._lengths.setdefault(spelling[:_KEY_MAX], set()).add(len(spelling))
        self._redacted.clear()

    def redact(self, value: Any) -> Any:
        """Return a copy of JSON-like data without secrets; keys of our own stay what they are."""
        if isinstance(value, str):
            return self._redact_text(value)
        if isinstance(value, Mapping):
            return {
                self.redact_key(key): self.redact(one) for key, one in value.items()
            }
        if isinstance(value, list | tuple | set | frozenset):
            return [self.redact(one) for one in value]
        return value

    def redact_key(self, key: Any) -> Any:
        """Return a key without secrets; one of our own stays what it is."""
        own = isinstance(key, str) and _OWN_KEY.fullmatch(key)
        return key if own else self.redact(key)

    def _redact_text(self, text: str) -> str:
        """Return a text without secrets."""
        if (known := self._redacted.get(text)) is not None:
            return known
        redacted = text
        if not _TIME.fullmatch(text):
            redacted = self._redact_known(text)
            for kind, pattern in _UNKNOWN.items():
                redacted = pattern.sub(partial(self._label_unknown, kind), redacted)
        self._redacted[text] = redacted
        return redacted

    def _redact_known(self, text: str) -> str:
        """Return a text without the secrets that were added."""
        lower = _lower(text)
        parts: list[str] = []
        copied = position = 0
        while position < len(text):
            end = self._end_of_secret(lower, position)
            if end == position:
                position += 1
                continue
            parts += text[copied:position], self._labels[lower[position:end]]
            copied = position = end
        return "".join((*parts, text[copied:]))

    def _end_of_secret(self, lower: str, start: int) -> int:
        """Return where the longest secret ends that starts here; here if none does."""
        for size in range(_KEY_MAX, 0, -1):
            lengths = self._lengths.get(lower[start : start + size], ())
            for length in sorted(lengths, reverse=True):
                end = start + length
                if lower[start:end] in self._labels and (
                    length > _ALONE_MAX or _alone(lower, start, end)
                ):
                    return end
        return start

    def _label_unknown(self, kind: str, match: re.Match[str]) -> str:
        """Return the label of what only looks like a secret, numbered as it appears."""
        known = self._unknown[kind]
        return known.setdefault(match[0].casefold(), f"other {kind} {len(known) + 1}")


def _alone(lower: str, start: int, end: int) -> bool:
    """Return whether a part of a text is no part of a word; an escape of a URL ends one."""
    return (
        start == 0
        or not lower[start - 1].isalnum()
        or _BEHIND_ESCAPE.fullmatch(lower, max(start - 3, 0), start) is not None
    ) and not lower[end : end + 1].isalnum()


def _lower(text: str) -> str:
    """Return a text in lower case, character by character, so that it keeps its length."""
    lower = text.lower()
    if len(lower) == len(text):
        return lower
    return "".join(char.lower() if len(char.lower()) == 1 else char for char in text)


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
