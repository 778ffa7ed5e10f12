"""The JSON bodies of control calls."""

from collections.abc import Collection
from typing import Any


class BodyError(ValueError):
    """A body that is not valid."""


class Body:
    """The JSON body of a control call."""

    def __init__(self, data: Any) -> None:
        """Store the JSON object; raise BodyError if it is none."""
        if not isinstance(data, dict):
            raise BodyError("the body must be a JSON object")
        self.data: dict[str, Any] = data

    def flag(self, name: str, default: bool | None = None) -> bool:
        """Return a Boolean."""
        value = self.data.get(name, default)
        if not isinstance(value, bool):
            raise BodyError(f"{name} must be true or false")
        return value

    def text(self, name: str, choices: Collection[str] | None = None) -> str:
        """Return a string, which must be one of `choices` if any are given."""
        value = self.data.get(name)
        if not isinstance(value, str) or not value:
            raise BodyError(f"{name} must be a string")
        if choices is not None and value not in choices:
            raise BodyError(f"{name} must be one of {', '.join(choices)}")
        return value

    def maybe_text(
        self, name: str, choices: Collection[str] | None = None
    ) -> str | None:
        """Return a string, or None if the field is missing."""
        return None if self.data.get(name) is None else self.text(name, choices)

    def number(self, name: str, default: float | None = None) -> float:
        """Return a non-negative number."""
        value = self.data.get(name, default)
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, float))
            or not 0 <= value < 1e11
        ):
            raise BodyError(f"{name} must be a number of 0 or more")
        return value

    def maybe_number(self, name: str) -> float | None:
        """Return a number, or None if the field is missing."""
        return None if self.data.get(name) is None else self.number(name)

    def maybe_count(self, name: str) -> int | None:
        """Return an integer, or None if the field is missing."""
        value = self.maybe_number(name)
        return None if value is None else int(value)

    def status(self) -> int | None:
        """Return an HTTP error status, or None."""
        value = self.maybe_count("status")
        if value is not None and not 200 <= value < 600:
            raise BodyError("status must be an HTTP status or null")
        return value

    def maybe_texts(self, name: str) -> list[str] | None:
        """Return a list of strings, or None if the field is missing."""
        value = self.data.get(name)
        if value is not None and not (
            isinstance(value, list) and all(isinstance(each, str) for each in value)
        ):
            raise BodyError(f"{name} must be a list of strings")
        return value
