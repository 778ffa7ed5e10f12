"""Every text that the code asks for exists, and no text is left over or badly formed."""

import ast
from collections.abc import Iterator
import json
from pathlib import Path
import re
from typing import Any

import pytest

from custom_components.metaapi import binary_sensor, button, sensor
from custom_components.metaapi.api.model import Status
from homeassistant.util.yaml import load_yaml_dict

from .flow_support import OF_HOME_ASSISTANT, PACKAGE, TEXTS, placeholders

ICONS: dict[str, Any] = json.loads((PACKAGE / "icons.json").read_text(encoding="utf-8"))
SERVICES = load_yaml_dict(str(PACKAGE / "services.yaml"))
MODULES = {
    path.stem: ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted(PACKAGE.glob("*.py"))
}
CONFIG = TEXTS["config"]
ACCOUNT = TEXTS["config_subentries"]["account"]

# Steps that show no form of their own
WITHOUT_FORM = frozenset({"reauth"})


def strings(texts: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield every text with its path."""
    if isinstance(texts, str):
        yield path, texts
        return
    for key, value in texts.items():
        yield from strings(value, f"{path}.{key}" if path else key)


def calls(*modules: str) -> Iterator[tuple[str, ast.Call]]:
    """Yield every call in some modules, or in all, with the name of what is called."""
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
    """Return a text that stands in the code."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return None


def constants(*modules: str) -> set[str]:
    """Return every text that stands in the code of some modules, or of all."""
    return {
        node.value
        for name in modules or MODULES
        for node in ast.walk(MODULES[name])
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def steps(module: str) -> set[str]:
    """Return the steps that show a form."""
    return {
        node.name.removeprefix("async_step_")
        for node in ast.walk(MODULES[module])
        if isinstance(node, ast.AsyncFunctionDef)
        and node.name.startswith("async_step_")
    } - WITHOUT_FORM


def problems() -> set[str]:
    """Return the keys of problems that forms tell of."""
    keys = {literal(call.args[0]) for name, call in calls() if name == "Problem"} - {
        None
    }
    for node in MODULES["flow_access"].body:
        target = node.targets[0] if isinstance(node, ast.Assign) else None
        target = node.target if isinstance(node, ast.AnnAssign) else target
        if isinstance(target, ast.Name) and target.id.startswith("_KEY_BY_"):
            assert isinstance(node, ast.Assign | ast.AnnAssign)
            assert isinstance(node.value, ast.Dict)
            keys |= {literal(value) for value in node.value.values}
    return {key for key in keys if key} | {"cannot_connect", "unknown"}


# -- flows -----------------------------------------------------------------------------


def test_steps_have_texts() -> None:
    """Each form has its texts, and each text its form."""
    assert steps("config_flow") == set(CONFIG["step"])
    assert steps("subentry_flow") == set(ACCOUNT["step"])


def test_errors_have_texts() -> None:
    """Each problem has a text in the flow that can meet it."""
    assert problems() == set(CONFIG["error"]) | set(ACCOUNT["error"])
    # What only the other flow asks for
    assert problems() - set(CONFIG["error"]) == {"invalid_region"}
    assert problems() - set(ACCOUNT["error"]) == {
        "account_already_configured",
        "invalid_api_url",
        "no_accounts",
        "token_expired",
    }


def test_aborts_have_texts() -> None:
    """Each abort has its text."""
    reasons = {
        module: {
            reason
            for name, call in calls(module)
            if name in {"async_abort", "_abort_if_unique_id_mismatch"}
            and (reason := literal(keyword(call, "reason")))
        }
        for module in ("config_flow", "subentry_flow")
    }
    assert set(CONFIG["abort"]) == (
        reasons["config_flow"] | {"already_configured"} | OF_HOME_ASSISTANT
    )
    # The listing's problems end the flow
    assert set(ACCOUNT["abort"]) == reasons["subentry_flow"] | {
        "cannot_connect",
        "invalid_auth",
        "reconfigure_successful",
        "too_many_requests",
        "unknown",
    }


def test_account_has_texts() -> None:
    """What the page of an entry shows of accounts has its texts."""
    assert set(ACCOUNT) == {"abort", "entry_type", "error", "initiate_flow", "step"}
    assert ACCOUNT["entry_type"]
    assert set(ACCOUNT["initiate_flow"]) == {"user", "reconfigure"}


@pytest.mark.parametrize("texts", [*CONFIG["step"].values(), *ACCOUNT["step"].values()])
def test_fields_have_texts(texts: dict[str, Any]) -> None:
    """Each field has a name and a description."""
    for holder in (texts, *texts.get("sections", {}).values()):
        assert set(holder["data"]) == set(holder["data_description"])
    assert texts["title"]
    assert texts["description"]
    assert all(section["name"] for section in texts.get("sections", {}).values())


# -- entities, exceptions, actions -------------------------------------------------------


def test_entities_have_names() -> None:
    """Each entity has a name, and each name its entity."""
    described = {
        "binary_sensor": {
            description.translation_key
            for description in (*binary_sensor.BINARY_SENSORS, binary_sensor.LINK)
        },
        "button": {description.translation_key for description in button.BUTTONS},
        "sensor": {description.translation_key for description in sensor.SENSORS},
    }
    assert {
        platform: set(entities) for platform, entities in TEXTS["entity"].items()
    } == described
    assert all(
        entity["name"]
        for entities in TEXTS["entity"].values()
        for entity in entities.values()
    )


def test_states_have_texts() -> None:
    """Each status has its text and its icon."""
    states = {status.value for status in Status} - {Status.UNKNOWN.value}
    assert set(TEXTS["entity"]["sensor"]["status"]["state"]) == states
    assert set(ICONS["entity"]["sensor"]["status"]["state"]) == states


def test_exceptions_have_texts() -> None:
    """Each key of an exception exists, with what its text needs."""
    found = 0
    for _name, call in calls():
        key = literal(keyword(call, "translation_key"))
        if key is None or keyword(call, "translation_domain") is None:
            continue
        found += 1
        text = TEXTS["exceptions"][key]["message"]
        given = keyword(call, "translation_placeholders")
        assert given is None or isinstance(given, ast.Dict)
        names = {literal(name) for name in given.keys if name} if given else set()
        assert placeholders(text) == names, key
    assert found


def test_exception_texts_are_used() -> None:
    """No text of an exception is left over."""
    assert set(TEXTS["exceptions"]) <= constants()


def test_actions_have_texts() -> None:
    """Each action and each of its fields has its texts, and an icon."""
    assert set(SERVICES) == set(TEXTS["services"]) == set(ICONS["services"])
    for action, shape in SERVICES.items():
        texts = TEXTS["services"][action]
        assert texts["name"]
        assert texts["description"]
        fields = texts.get("fields", {})
        assert set(shape.get("fields", {})) == set(fields)
        assert all(field["name"] and field["description"] for field in fields.values())


def test_icons() -> None:
    """Icons are Material Design icons of entities and actions that exist."""
    for path, icon in strings(ICONS):
        assert re.fullmatch(r"mdi:[a-z0-9]+(-[a-z0-9]+)*", icon), path
    for platform, entities in ICONS["entity"].items():
        assert set(entities) <= set(TEXTS["entity"][platform])


# -- form ------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "text"), list(strings(TEXTS)))
def test_text_is_well_formed(path: str, text: str) -> None:
    """A text is what Home Assistant's own checks accept."""
    assert text.strip() == text
    assert text
    assert "  " not in text
    assert "[%key" not in text
    assert not re.search(r"[a-z]+://|www\.", text), "URLs go into placeholders"
    assert not re.search(r"<[^>]+>", text), "no HTML"
    assert not re.search(r"'\{\w+\}'", text), "quotes keep a placeholder from its value"
    assert all(re.fullmatch(r"[a-z_]+", name) for name in placeholders(text))
    if path.rsplit(".", 1)[-1] in {"name", "title"}:
        assert not text.endswith(".")


@pytest.mark.parametrize(
    "file",
    sorted((PACKAGE / "translations").glob("*.json")),
    ids=lambda file: file.stem,
)
def test_languages_agree(file: Path) -> None:
    """Every language has the same keys with the same placeholders."""
    other = dict(strings(json.loads(file.read_text(encoding="utf-8"))))
    english = dict(strings(TEXTS))
    assert set(other) == set(english)
    for path, text in english.items():
        assert placeholders(other[path]) == placeholders(text), path
