"""Compare translations with English; only a release needs complete translations."""

from collections.abc import Iterator
import json
from pathlib import Path
import re
import string
from typing import Any

# Targets of links, and code
_LITERAL = re.compile(r"\]\(.*?\)|`.*?`")


def lagging(folder: Path) -> dict[str, list[str]]:
    """Return the outdated texts of each language, by language code."""
    files = {path.stem: path for path in sorted(folder.glob("*.json"))}
    english = json.loads(files.pop("en").read_text("utf-8"))
    return {
        name: list(lags(json.loads(path.read_text("utf-8")), english))
        for name, path in files.items()
    }


def lags(texts: dict[str, Any], english: dict[str, Any]) -> Iterator[str]:
    """Yield the texts that are missing, obsolete, or do not match the English ones."""
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
    """Yield each text with its path."""
    if isinstance(texts, str):
        yield path, texts
        return
    for key, value in texts.items():
        yield from strings(value, f"{path}.{key}" if path else key)


def _is_sentence(text: str) -> bool:
    """Return whether a text has to be translated: it is not only a term, or values with units."""
    words = re.findall(r"[^\W\d_]+", re.sub(r"\{\w+\}", "", text))
    return len(words) > 1 and any(len(word) > 3 for word in words)


def _literals(text: str) -> tuple[set[str], list[str]]:
    """Return the parts that a translation must keep: placeholders, link targets and code."""
    names = {name for _, name, _, _ in string.Formatter().parse(text) if name}
    return names, sorted(_LITERAL.findall(text))
