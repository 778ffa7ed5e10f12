"""Test that the forms of actions, triggers and conditions match the schemas."""

from collections.abc import Callable, Iterator
from enum import StrEnum
from importlib import import_module
from typing import Any

import pytest
import voluptuous as vol

from custom_components.metaapi.condition import (
    CONDITIONS,
    ENTITY_STATE_CONDITION_SCHEMA_ANY_ALL,
)
from custom_components.metaapi.const import (
    DOMAIN,
    SERVICE_NOTIFY,
    SERVICE_RECONNECT,
)
from custom_components.metaapi.delivery import NOTIFY_SCHEMA
from custom_components.metaapi.services import RECONNECT_SCHEMA
from custom_components.metaapi.trigger import (
    CONF_RECONNECT_AFTER,
    TRIGGERS,
    MetaApiTrigger,
)
from homeassistant.const import (
    ATTR_ENTITY_ID,
    CONF_EXCLUDE,
    CONF_OPTIONS,
    CONF_TARGET,
)
from homeassistant.helpers import config_validation as cv, service
from homeassistant.helpers.selector import selector
from homeassistant.util.yaml import load_yaml_dict

from .flow_support import PACKAGE
from .source_support import DESCRIBED, DESCRIPTIONS

TARGET = {ATTR_ENTITY_ID: ["binary_sensor.some"]}
OF_TARGETS = {*map(str, cv.ENTITY_SERVICE_FIELDS), CONF_EXCLUDE}

# Only for YAML, since there is no selector for a list of durations
WITHOUT_FIELD = {CONF_RECONNECT_AFTER}

# Valid values of a form, by selector
SAMPLES: dict[str, list[Any]] = {
    "boolean": [True, False],
    "device": [["0123456789abcdef"]],
    "duration": [{"minutes": 5}],
    "entity": [["calendar.some"]],
    "object": [[{"action": "some", "title": "Some"}]],
    "text": ["some"],
}
BEHAVIORS = {"trigger": ["each", "first", "all"], "condition": ["any", "all"]}


def validated(category: str, key: str, **options: Any) -> dict[str, Any]:
    """Return the validated options of an action, a trigger or a condition."""
    if category == "services":
        schema = {SERVICE_NOTIFY: NOTIFY_SCHEMA, SERVICE_RECONNECT: RECONNECT_SCHEMA}
        target = {} if key == SERVICE_NOTIFY else TARGET
        whole: dict[str, Any] = schema[key]({**target, **options})
        return whole
    config = {CONF_TARGET: TARGET, CONF_OPTIONS: options}
    read: dict[str, Any] = whole_schema(category, key)(config)[CONF_OPTIONS]
    return read


def whole_schema(category: str, key: str) -> vol.Schema:
    """Return the schema of a trigger or a condition."""
    if category == "conditions":
        assert key in CONDITIONS
        return ENTITY_STATE_CONDITION_SCHEMA_ANY_ALL
    trigger = TRIGGERS[key]
    assert issubclass(trigger, MetaApiTrigger)
    return trigger._schema


def options_of(category: str, key: str) -> dict[str, vol.Marker]:
    """Return the options of a schema, without the target."""
    if category == "services":
        schema = {SERVICE_NOTIFY: NOTIFY_SCHEMA, SERVICE_RECONNECT: RECONNECT_SCHEMA}
        markers = [one for one in schema[key].schema if type(one) is not vol.Remove]
    else:
        whole = whole_schema(category, key).schema
        (options,) = [whole[one] for one in whole if str(one) == CONF_OPTIONS]
        markers = list(options)
    return {str(one): one for one in markers if str(one) not in OF_TARGETS}


def fields_of(category: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield the platform, the name and the description of every field of every form."""
    for key, shape in DESCRIPTIONS[category].items():
        for name, field in shape["fields"].items():
            yield key, name, field


def takes(category: str, key: str, **options: Any) -> bool:
    """Return whether a schema accepts options."""
    try:
        validated(category, key, **options)
    except vol.Invalid:
        return False
    return True


def selection(field: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the type and the settings of a field's selector."""
    ((kind, settings),) = field["selector"].items()
    return kind, settings or {}


def samples(field: dict[str, Any]) -> list[Any]:
    """Return valid values of a field: both ends of a number, all options."""
    kind, settings = selection(field)
    if kind == "number":
        return [settings["min"], settings["max"]]
    if kind == "select":
        return list(settings["options"])
    if kind == "automation_behavior":
        return BEHAVIORS[settings["mode"]]
    return SAMPLES[kind]


def refusals(field: dict[str, Any]) -> list[Any]:
    """Return invalid values of a field: numbers just beyond both ends."""
    kind, settings = selection(field)
    if kind == "number":
        return [settings["min"] - 1, settings["max"] + 1]
    if kind == "text":
        # Its selector has no bounds: those of the schema have tests of their own
        return []
    return ["nonsense"] if kind == "object" else [{"nonsense": "nonsense"}]


def schema_of(category: str) -> Callable[[Any], dict[str, Any]]:
    """Return Home Assistant's schema for descriptions, which moved between releases."""
    if category == "services":
        return service._SERVICES_SCHEMA
    kind = category.removesuffix("s")
    package = f"homeassistant.helpers.{kind}"
    try:
        module = import_module(f"{package}.descriptions")
    except ModuleNotFoundError:
        module = import_module(package)
    schema: vol.Schema = getattr(module, f"_{kind.upper()}S_DESCRIPTION_SCHEMA")
    return schema


@pytest.mark.parametrize("category", DESCRIBED)
def test_descriptions(category: str) -> None:
    """Home Assistant's schema accepts the actions, the triggers and the conditions."""
    read = schema_of(category)(load_yaml_dict(str(PACKAGE / f"{category}.yaml")))
    assert {key: read[key] for key in DESCRIPTIONS[category]} == read
    for key, shape in read.items():
        if (category, key) == ("services", SERVICE_NOTIFY):
            # whom it tells is no account
            assert set(shape) == {"fields"}
            continue
        assert set(shape) == {"target", "fields"}
        for field in shape["fields"].values():
            assert set(field) <= {"default", "required", "selector"}
        for kind in cv.ensure_list(shape["target"]["entity"]):
            assert kind["integration"] == DOMAIN


@pytest.mark.parametrize("category", DESCRIBED)
def test_every_option_has_a_field(category: str) -> None:
    """Every option has a field, and every field an option."""
    for key, shape in DESCRIPTIONS[category].items():
        fields, options = set(shape["fields"]), set(options_of(category, key))
        missing, left_over = options - fields - WITHOUT_FIELD, fields - options
        assert not missing, f"{category}.yaml has no field {missing} below {key}"
        assert not left_over, f"{category}.yaml: {key} does not take {left_over}"


@pytest.mark.parametrize("category", DESCRIBED)
def test_default(category: str) -> None:
    """The default of a field is that of the option; a field without a default may be empty."""
    for key, name, field in fields_of(category):
        without = validated(category, key).get(name)
        offered = (
            validated(category, key, **{name: field["default"]})[name]
            if "default" in field
            else None
        )
        # no duration is as good as one of 0:00, and an empty list as good as none
        assert (offered or None) == (without or None), (
            f"{category}.yaml: the default of {key}, {name} is {field.get('default')!r},"
            f" that of its schema {without!r}"
        )


@pytest.mark.parametrize("category", DESCRIBED)
def test_required(category: str) -> None:
    """A field is required if the option is, and a required field has a default."""
    for key, name, field in fields_of(category):
        marker = options_of(category, key)[name]
        if isinstance(marker, vol.Required) and marker.default is vol.UNDEFINED:
            assert field.get("required"), f"{category}.yaml: {key} requires {name}"
        elif field.get("required"):
            assert "default" in field, f"{category}.yaml: {key}, {name} has no default"


@pytest.mark.parametrize("category", DESCRIBED)
def test_bounds(category: str) -> None:
    """The schema accepts the values that the form can send, and refuses others."""
    for key, name, field in fields_of(category):
        form: Any = selector(field["selector"])
        for value in samples(field):
            form(value)
            assert takes(category, key, **{name: value}), (
                f"{category}.yaml: the form of {key} offers {value!r} as {name},"
                " which its schema does not take"
            )
        for value in refusals(field):
            assert not takes(category, key, **{name: value}), (
                f"{category}.yaml: the form of {key} does not offer {value!r} as {name},"
                " which its schema takes"
            )


@pytest.mark.parametrize("category", DESCRIBED)
def test_choices(category: str) -> None:
    """Each choice is valid and different, and none is missing."""
    for key, name, field in fields_of(category):
        kind, settings = selection(field)
        where = f"{category}.yaml: the choices of {key}, {name}"
        if kind == "select":
            meant = [
                validated(category, key, **{name: one})[name] for one in samples(field)
            ]
            assert len(set(meant)) == len(meant), where
            if isinstance(meant[0], StrEnum):
                assert set(meant) == set(type(meant[0])), where
        elif kind == "automation_behavior":
            assert settings["mode"] == category.removesuffix("s"), where
