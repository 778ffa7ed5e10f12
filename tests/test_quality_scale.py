"""Test quality_scale.yaml: every rule is done or exempt, and all named proofs exist."""

import ast
from collections.abc import Iterator
import importlib
import logging
from pathlib import Path
import re
import tomllib
from typing import Any

import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.metaapi import PLATFORMS
from custom_components.metaapi.const import DOMAIN, SERVICE_RECONNECT
from homeassistant.const import ATTR_ENTITY_ID
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity import Entity
from homeassistant.util.yaml import load_yaml_dict

from .conftest import DISCONNECTED, SWING, FakeMonitor
from .flow_support import PACKAGE
from .source_support import calls, keyword
from .test_manifest import HOME_ASSISTANT, MANIFEST

ROOT = Path(__file__).parents[1]
RULES: dict[str, Any] = load_yaml_dict(str(PACKAGE / "quality_scale.yaml"))["rules"]

# Any core integration, since all have the same rules
OF_HOME_ASSISTANT = "components/ntfy/quality_scale.yaml"

PROOF = re.compile(
    r"(?P<file>[\w.-]+(?:/[\w.-]+)*(?:\.py|\.md|/lint))(?P<part>(?:::|#)[\w-]+)?"
)

# Exceptions that users see, so that they need a translation
TRANSLATED = frozenset(
    {
        "ConfigEntryAuthFailed",
        "ConfigEntryError",
        "ConfigEntryNotReady",
        "HomeAssistantError",
        "ServiceValidationError",
        "UpdateFailed",
    }
)
# Logs a warning about every custom integration
LOADER = "homeassistant.loader"

# All imports that the client may have; none of them blocks or starts threads
CLIENT_IMPORTS = frozenset(
    {
        "aiohttp",
        "asyncio",
        "base64",
        "binascii",
        "collections",
        "collections.abc",
        "contextlib",
        "dataclasses",
        "datetime",
        "email.utils",
        "engineio",
        "enum",
        "functools",
        "hashlib",
        "heapq",
        "http.HTTPStatus",
        "ipaddress",
        "itertools",
        "json",
        "logging",
        "math",
        "orjson",
        "random",
        "re",
        "secrets",
        "socketio",
        "string",
        "time.perf_counter",
        "typing",
        "unicodedata",
        "urllib.parse",
        "yarl",
    }
)
# Imported or built in
WAITING = frozenset({"open", "input", "to_thread", "run_in_executor", "run", "Client"})


def anchors(page: Path) -> set[str]:
    """Return GitHub's anchors of the headings of a page."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    }


def names(file: Path) -> set[str]:
    """Return the names that a module defines."""
    found: set[str] = set()
    for node in ast.parse(file.read_text("utf-8")).body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                found.add(node.name)
            case ast.TypeAlias():
                found.add(node.name.id)
            case ast.Assign():
                found |= {
                    name.id for name in node.targets if isinstance(name, ast.Name)
                }
    return found


def missing(comment: str) -> Iterator[str]:
    """Yield each proof in a comment that does not exist."""
    for match in PROOF.finditer(comment):
        file, part = ROOT / match["file"], match["part"] or ""
        known = (
            file.is_file()
            and (not part.startswith("#") or part[1:] in anchors(file))
            and (not part.startswith("::") or part[2:] in names(file))
        )
        if not known:
            yield match[0]


def waits(code: str) -> Iterator[str]:
    """Yield the calls in a module of the client that may block."""
    tree = ast.parse(code)
    awaited = {node.value for node in ast.walk(tree) if isinstance(node, ast.Await)}
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                modules = [alias.name for alias in node.names]
            case ast.ImportFrom(module=str(module), level=0):
                modules = [module]
                if module in {"http", "time", "urllib"}:
                    modules = [f"{module}.{alias.name}" for alias in node.names]
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
                # A coroutine may be called `run`
                if name in WAITING and not (name == "run" and node in awaited):
                    yield name
                continue
            case _:
                continue
        yield from set(modules) - CLIENT_IMPORTS


def entities(platform: str) -> list[Entity]:
    """Return an entity of each class of a platform, created without its constructor."""
    module = importlib.import_module(f"custom_components.metaapi.{platform}")
    found = [
        object.__new__(member)
        for member in vars(module).values()
        if isinstance(member, type)
        and issubclass(member, Entity)
        and member.__module__ == module.__name__
    ]
    assert found
    return found


# -- the list ----------------------------------------------------------------------------


def test_rules_are_home_assistants() -> None:
    """No rule is missing or unknown."""
    known = load_yaml_dict(str(HOME_ASSISTANT / OF_HOME_ASSISTANT))["rules"]
    assert set(RULES) == set(known)
    assert len(RULES) == 54


@pytest.mark.parametrize("rule", RULES)
def test_rule(rule: str) -> None:
    """A rule that is done names existing proofs, and an exempt one has a reason."""
    entry = RULES[rule]
    assert set(entry) == {"status", "comment"}
    assert entry["status"] in {"done", "exempt"}
    assert not list(missing(entry["comment"]))
    if entry["status"] == "done":
        assert PROOF.search(entry["comment"])
    else:
        assert len(entry["comment"]) > 30


@pytest.mark.parametrize(
    "proof",
    [
        "tests/test_nothing.py::test_some",
        "tests/test_init.py::test_nothing",
        "README.md#nothing",
        "docs/nothing.md",
    ],
)
def test_proofs_that_do_not_exist(proof: str) -> None:
    """Missing proofs are found."""
    assert list(missing(f"See {proof}, and scripts/lint.")) == [proof]


# -- rules that the code itself shows ------------------------------------------------------


@pytest.mark.parametrize("platform", PLATFORMS)
def test_parallel_updates(platform: str) -> None:
    """Every platform sets it to 0; nothing is polled, and accounts reconnect independently."""
    module = importlib.import_module(f"custom_components.metaapi.{platform}")
    assert module.PARALLEL_UPDATES == 0


@pytest.mark.parametrize("platform", PLATFORMS)
def test_entities_have_names_of_their_own(platform: str) -> None:
    """The device's name precedes the entity's."""
    assert all(entity.has_entity_name for entity in entities(platform))


@pytest.mark.parametrize("platform", PLATFORMS)
def test_entities_are_pushed(platform: str) -> None:
    """No entity is polled."""
    assert not any(entity.should_poll for entity in entities(platform))


def test_exceptions_are_translated() -> None:
    """No text of an error that users see is in the code."""
    raised = [call for name, call in calls() if name in TRANSLATED]
    assert len(raised) >= 4
    for call in raised:
        assert not call.args, ast.unparse(call)
        assert keyword(call, "translation_domain"), ast.unparse(call)
        assert keyword(call, "translation_key"), ast.unparse(call)


def test_client_is_asynchronous() -> None:
    """The client imports nothing that blocks, and starts no thread."""
    files = list((PACKAGE / "api").rglob("*.py"))
    assert len(files) >= 10
    for file in files:
        assert not list(waits(file.read_text("utf-8"))), file.name


@pytest.mark.parametrize(
    "code",
    [
        "import time",
        "import http.client",
        "from http import client",
        "import urllib.request",
        "from urllib import request",
        "from socket import create_connection",
        "import socketio\nsocketio.Client()",
        "import asyncio\nasyncio.to_thread(print)",
        "async def f():\n    await asyncio.to_thread(print)",
        "import asyncio\nasyncio.run(f())",
        "with open('file') as file: pass",
        "loop.run_in_executor(None, print)",
    ],
)
def test_code_that_waits(code: str) -> None:
    """Blocking calls are found."""
    assert list(waits(code))


def test_no_session_of_its_own() -> None:
    """Home Assistant creates every session, for REST and for the sockets."""
    made = {name for name, _ in calls("__init__", "access")}
    assert {"async_create_clientsession", "async_get_clientsession"} <= made
    for file in PACKAGE.rglob("*.py"):
        assert "ClientSession(" not in file.read_text("utf-8"), file.name


async def test_home_assistant_has_no_complaints(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """No release logs a warning or a deprecation, from set-up to removal."""
    target = {ATTR_ENTITY_ID: "button.swing_reconnect"}
    await hass.services.async_call("button", "press", target, blocking=True)
    await hass.services.async_call(DOMAIN, SERVICE_RECONNECT, target, blocking=True)
    monitor.push(SWING.account_id, DISCONNECTED)
    assert await hass.config_entries.async_reload(mock_config_entry.entry_id)
    await hass.config_entries.async_remove(mock_config_entry.entry_id)
    await hass.async_block_till_done()
    # asyncio logs a warning on a slow machine
    records = [
        record
        for record in (*caplog.get_records("setup"), *caplog.records)
        if record.name != "asyncio"
    ]
    assert any(record.name == LOADER for record in records)
    assert not [
        record.getMessage()
        for record in records
        if record.levelno >= logging.WARNING and record.name != LOADER
    ]


def test_requirements_have_types() -> None:
    """The requirements have type hints, in the package or in our stubs."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert pyproject["tool"]["mypy"]["strict"] is True
    for requirement in MANIFEST["requirements"]:
        module = re.split(r"[<>=]", requirement)[0].removeprefix("python-")
        origin = importlib.import_module(module).__file__
        assert origin
        typed = Path(origin).with_name("py.typed").is_file()
        assert typed or (ROOT / "typings" / module).is_dir()
