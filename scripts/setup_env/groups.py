"""Read the dependency groups of the project."""

from functools import cache
import tomllib
from typing import Any

from .steps import ROOT, SetupError

PYPROJECT = ROOT / "pyproject.toml"


@cache
def _groups() -> dict[str, list[Any]]:
    groups: dict[str, list[Any]] = tomllib.loads(PYPROJECT.read_text())[
        "dependency-groups"
    ]
    return groups


def has_group(name: str) -> bool:
    """Tell whether there is such a group."""
    return name in _groups()


def requirements(name: str) -> list[str]:
    """Return the requirements of a group and of those that it includes."""
    if not has_group(name):
        raise SetupError(f"pyproject.toml has no dependency group {name!r}.")
    found: list[str] = []
    for item in _groups()[name]:
        if isinstance(item, str):
            found.append(item)
        else:
            found += requirements(item["include-group"])
    return sorted(found)
