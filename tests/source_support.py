"""Support for the checks of the integration's files: syntax trees and texts."""

import ast
from collections.abc import Iterator
import json
from typing import Any

from homeassistant.util.yaml import load_yaml_dict
from scripts.languages import strings  # noqa: F401 - for tests that import it from here

from .flow_support import PACKAGE

MODULES = {
    path.stem: ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted(PACKAGE.glob("*.py"))
}
ICONS: dict[str, Any] = json.loads((PACKAGE / "icons.json").read_text(encoding="utf-8"))

# The files that describe actions, triggers and conditions, and their keys in icons.json
DESCRIBED = {
    "services": "service",
    "triggers": "trigger",
    "conditions": "condition",
}
DESCRIPTIONS: dict[str, dict[str, Any]] = {
    category: {
        key: shape
        for key, shape in load_yaml_dict(str(PACKAGE / f"{category}.yaml")).items()
        if not key.startswith(".")
    }
    for category in DESCRIBED
}


def calls(*modules: str) -> Iterator[tuple[str, ast.Call]]:
    """Yield every call in some modules, or in all, with the name of the function."""
    for name in modules or MODULES:
        for node in ast.walk(MODULES[name]):
            if isinstance(node, ast.Call):
                function = node.func
                if isinstance(function, ast.Attribute):
                    yield function.attr, node
                elif isinstance(function, ast.Name):
                    yield function.id, node


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    """Return the value of a keyword argument."""
    return next((kw.value for kw in call.keywords if kw.arg == name), None)


def literal(node: ast.expr | None) -> str | None:
    """Return a string constant."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return None


def keys(node: ast.expr | None) -> set[str]:
    """Return the keys of a dictionary display, or none."""
    if node is None:
        return set()
    assert isinstance(node, ast.Dict), ast.unparse(node)
    found = {literal(key) for key in node.keys}
    assert None not in found, ast.unparse(node)
    return {key for key in found if key}


def constants(*modules: str) -> set[str]:
    """Return every string constant in some modules, or in all."""
    return {
        node.value
        for name in modules or MODULES
        for node in ast.walk(MODULES[name])
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def functions(module: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield every function of a module."""
    for node in ast.walk(MODULES[module]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
