"""Compare translations with English: they may lag behind a change, but not behind a release."""

from collections.abc import Iterator
import json
from pathlib import Path
import re
import string
from typing import Any

# Placeholders, where a link leads, and code
_LITERAL = re.compile(r"\]\(.*?\)|`.*?`")


def lagging(folder: Path) -> dict[str, list[str]]:
    """Return what each language of a folder lacks, by the name of its file."""
    files = {path.stem: path for path in sorted(folder.glob("*.json"))}
    english = json.loads(files.pop("en").read_text("utf-8"))
    return {
        name: list(lags(json.loads(path.read_text("utf-8")), english))
        for name, path in files.items()
    }


def lags(texts: dict[str, Any], english: dict[str, Any]) -> Iterator[str]:
    """Yield the texts that are missing, left over, or do not fit the English one."""
    translated, original = dict(strings(texts)), dict(strings(english))
    yield from (f"{path} is left over" for path in translated.keys() - original.keys())
    for path, text in original.items():
        if path not in translated:
            yield f"{path} is missing"
        elif translated[path] == text and _is_sentence(text):
            yield f"{path} is not translated"
        elif _literals(translated[path]) != _literals(text):
            yield f"{path} has other placeholders, links or code"


def strings(texts: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield every text with its path."""
    if isinstance(texts, str):
        yield path, texts
        return
    for key, value in texts.items():
        yield from strings(value, f"{path}.{key}" if path else key)


def _is_sentence(text: str) -> bool:
    """Return whether a text is more than a term, or values with their units."""
    words = re.findall(r"[^\W\d_]+", re.sub(r"\{\w+\}", "", text))
    return len(words) > 1 and any(len(word) > 3 for word in words)


def _literals(text: str) -> tuple[set[str], list[str]]:
    """Return what a translation must leave as it is."""
    names = {name for _, name, _, _ in string.Formatter().parse(text) if name}
    return names, sorted(_LITERAL.findall(text))
