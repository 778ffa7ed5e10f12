"""Support for the tests of flows; checks that every form and abort has its texts."""

from collections.abc import Iterator
import json
from pathlib import Path
import string
from typing import Any

from probatio import to_field_list
import pytest
import voluptuous as vol

from custom_components.metaapi.api import Account
from homeassistant.data_entry_flow import FlowManager, FlowResultType, section
from homeassistant.helpers import config_validation as cv

PACKAGE = Path(__file__).parents[1] / "custom_components" / "metaapi"
TEXTS: dict[str, Any] = json.loads(
    (PACKAGE / "translations" / "en.json").read_text(encoding="utf-8")
)

# Home Assistant has the texts of these reasons, which it uses by itself
OF_HOME_ASSISTANT = frozenset({"reauth_successful", "reconfigure_successful"})


def check_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check the texts of all results of flows from now on."""
    handle_step = FlowManager._async_handle_step

    async def checked(*args: Any) -> Any:
        result = await handle_step(*args)
        _check(result)
        return result

    monkeypatch.setattr(FlowManager, "_async_handle_step", checked)


def placeholders(text: str) -> set[str]:
    """Return the placeholders in a text."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def fields(schema: vol.Schema) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the section and the name of each field of a form."""
    for marker, kind in schema.schema.items():
        if isinstance(kind, section):
            for _, name in fields(kind.schema):
                yield ("sections", str(marker)), name
        else:
            yield (), str(marker)


def suggested(schema: vol.Schema) -> dict[str, Any]:
    """Return the suggested values of a form."""
    values: dict[str, Any] = {}
    for marker, kind in schema.schema.items():
        if isinstance(kind, section):
            values[str(marker)] = suggested(kind.schema)
        elif marker.description:
            values[str(marker)] = marker.description["suggested_value"]
    return values


def options(schema: vol.Schema, field: str) -> dict[str, str]:
    """Return the values and labels of a field's options."""
    return {
        option["value"]: option["label"]
        for option in schema.schema[field].config["options"]
    }


def preselected(schema: vol.Schema, field: str) -> list[str]:
    """Return the default selection of a field."""
    marker = next(marker for marker in schema.schema if marker == field)
    return list(marker.default())


def account(number: int, **kwargs: Any) -> Account:
    """Return a deployed account."""
    account_id = f"33333333-aaaa-4bbb-8ccc-{number:012}"
    kwargs = {"name": f"Account {number:03}", "state": "DEPLOYED"} | kwargs
    return Account(account_id=account_id, **kwargs)


def _check(result: Any) -> None:
    """Check the texts of a result of one of our flows."""
    handler = result["handler"]
    if isinstance(handler, tuple):
        texts = TEXTS["config_subentries"][handler[1]]
    elif handler == "metaapi":
        texts = TEXTS["config"]
    else:
        return
    if result["type"] is FlowResultType.ABORT:
        text = texts["abort"][result["reason"]]
        assert placeholders(text) <= set(result["description_placeholders"] or ())
    elif result["type"] is FlowResultType.FORM:
        # As Home Assistant's views for the frontend do
        shown_fields = to_field_list(
            result["data_schema"], custom_serializer=cv.custom_serializer
        )
        assert len(shown_fields) == len(result["data_schema"].schema)
        step = texts["step"][result["step_id"]]
        shown = [step["title"], step["description"]]
        for path, name in fields(result["data_schema"]):
            holder = step
            for key in path:
                holder = holder[key]
            shown += [holder["data"][name], holder["data_description"][name]]
        for field, key in (result["errors"] or {}).items():
            assert field == "base" or field in result["data_schema"].schema
            shown.append(texts["error"][key])
        given = result["description_placeholders"]
        for text in shown:
            assert placeholders(text) <= set(given), text
