"""Test that every text that the code needs exists, and no text is unused."""

import ast
from collections.abc import Iterable
from typing import Any

import pytest

from custom_components.metaapi import (
    binary_sensor,
    button,
    condition,
    delivery,
    event,
    messages,
    sensor,
    services,
    trigger,
)
from custom_components.metaapi.api import Outcome, Status
from homeassistant.core import HomeAssistant
import homeassistant.helpers.service

from .flow_support import OF_HOME_ASSISTANT, TEXTS, placeholders
from .source_support import (
    DESCRIBED,
    DESCRIPTIONS,
    ICONS,
    MODULES,
    calls,
    functions,
    keys,
    keyword,
    literal,
    strings,
)

CONFIG = TEXTS["config"]
ACCOUNT = TEXTS["config_subentries"]["account"]

# Steps without their own form
WITHOUT_FORM = frozenset({"init", "reauth"})


def check(where: str, texts: Iterable[str], used: Iterable[str]) -> None:
    """Require that the texts below some key are exactly those that are used."""
    there, wanted = set(texts), set(used)
    assert not wanted - there, (
        f"English text missing in translations/en.json, below {where}: {wanted - there}"
    )
    assert not there - wanted, (
        f"Nothing uses these texts of translations/en.json, below {where}: {there - wanted}"
    )


def text_of(category: str, key: str) -> Any:
    """Return a text that is used."""
    check(category, TEXTS[category].keys() & {key}, {key})
    return TEXTS[category][key]


def steps(module: str) -> set[str]:
    """Return the steps that show a form."""
    return {
        function.name.removeprefix("async_step_")
        for function in functions(module)
        if function.name.startswith("async_step_")
    } - WITHOUT_FORM


def reasons(module: str) -> set[str]:
    """Return the abort reasons of the flows in a module."""
    return {
        reason
        for name, call in calls(module)
        if name in {"async_abort", "_abort_if_unique_id_mismatch"}
        and (reason := literal(keyword(call, "reason")))
    }


def form_errors() -> set[str]:
    """Return the keys of the errors of forms."""
    keys = {literal(call.args[0]) for name, call in calls() if name == "FormError"} - {
        None
    }
    for node in MODULES["access"].body:
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
    check("config.step", CONFIG["step"], steps("config_flow"))
    check("config_subentries.account.step", ACCOUNT["step"], steps("subentry_flow"))


def test_errors_have_texts() -> None:
    """Each error has a text in the flows that can show it."""
    check("*.error", {*CONFIG["error"], *ACCOUNT["error"]}, form_errors())
    # Errors of the other flow
    assert form_errors() <= set(CONFIG["error"])
    assert form_errors() - set(ACCOUNT["error"]) == {
        "account_already_configured",
        "invalid_api_url",
        "may_not_stream",
        "no_accounts",
        "token_expired",
        "wrong_account",
    }


def test_aborts_have_texts() -> None:
    """Each abort has its text."""
    check(
        "config.abort",
        CONFIG["abort"],
        reasons("config_flow") | {"already_configured"} | OF_HOME_ASSISTANT,
    )
    # Errors of the listing abort the flow
    check(
        "config_subentries.account.abort",
        ACCOUNT["abort"],
        reasons("subentry_flow")
        | {
            "answered_with_error",
            "cannot_connect",
            "invalid_auth",
            "reconfigure_successful",
            "too_many_requests",
            "unknown",
        },
    )


def test_account_has_texts() -> None:
    """The texts for accounts on the page of an entry exist."""
    assert set(ACCOUNT) == {"abort", "entry_type", "error", "initiate_flow", "step"}
    assert ACCOUNT["entry_type"]
    assert set(ACCOUNT["initiate_flow"]) == {"user", "reconfigure"}


@pytest.mark.parametrize("texts", [*CONFIG["step"].values(), *ACCOUNT["step"].values()])
def test_fields_have_texts(texts: dict[str, Any]) -> None:
    """Each field has a name and a description."""
    for holder in (texts, *texts.get("sections", {}).values()):
        # The form that only shows an account has no fields, and its own label of the button
        if "submit" in holder:
            assert not {"data", "data_description"} & set(holder)
            continue
        assert set(holder["data"]) == set(holder["data_description"])
    assert texts["title"]
    assert texts["description"]
    assert all(section["name"] for section in texts.get("sections", {}).values())


# -- entities ----------------------------------------------------------------------------


def test_entities_have_names() -> None:
    """Each entity has a name, and each name its entity."""
    described = {
        name: {
            one.translation_key
            for value in vars(module).values()
            for one in (value if isinstance(value, tuple) else (value,))
            # Home Assistant builds the classes of some descriptions anew
            if isinstance(getattr(one, "translation_key", None), str)
        }
        for name, module in {
            "binary_sensor": binary_sensor,
            "button": button,
            "event": event,
            "sensor": sensor,
        }.items()
    }
    check("entity", TEXTS["entity"], described)
    for platform, entities in TEXTS["entity"].items():
        check(f"entity.{platform}", entities, map(str, described[platform]))
    assert all(
        entity["name"]
        for entities in TEXTS["entity"].values()
        for entity in entities.values()
    )


def test_states_have_texts() -> None:
    """Each status has a text and an icon, and no other sensor has texts of states."""
    states = {status.value for status in Status} - {Status.UNKNOWN.value}
    texts = TEXTS["entity"]["sensor"]["status"]["state"]
    check("entity.sensor.status.state", texts, states)
    assert set(ICONS["entity"]["sensor"]["status"]["state"]) == states, (
        "icons.json, entity.sensor.status.state"
    )
    assert {
        path.rsplit(".", 1)[0]
        for path, _ in strings(TEXTS["entity"])
        if not path.endswith(".name")
    } == {
        "sensor.status.state",
        "event.reconnect_result.state_attributes.event_type.state",
    }
    outcomes = TEXTS["entity"]["event"]["reconnect_result"]["state_attributes"]
    assert set(outcomes["event_type"]["state"]) >= {one.value for one in Outcome}


# -- messages ----------------------------------------------------------------------------


def test_messages_have_texts() -> None:
    """Each text of messages exists with its placeholders, and none is unused."""
    used: set[str] = set()
    for name, call in calls():
        if name not in {"text", "DeliveryError"} or not call.args:
            continue
        if key := literal(call.args[0]):
            given = {keyword.arg for keyword in call.keywords}
            if name == "DeliveryError":
                given = {"name"}
            assert placeholders(text_of("common", key)) <= given, key
            used.add(key)
    used |= {key for keys in messages.TITLES.values() for key in keys}
    used |= {*messages.LOST_AT.values(), *messages.WAS_LOST.values()}
    used |= {f"advice_{about}" for about in (*messages.ADVICE, "not_running")}
    used |= {f"month_{month}" for month in range(1, 13)}
    # The tests of the dashboard check its texts
    texts = {key for key in TEXTS["common"] if not key.startswith("dashboard_")}
    check("common", texts, used)


# -- exceptions, issues, system health -----------------------------------------------------


def test_exceptions_have_texts() -> None:
    """Each key of an exception exists with its placeholders, and none is unused."""
    used: dict[str, set[str]] = {}
    for _name, call in calls():
        key = keyword(call, "translation_key")
        if key is None or keyword(call, "translation_domain") is None:
            continue
        given = keys(keyword(call, "translation_placeholders"))
        if (name := literal(key)) is None:
            # The reasons of failed reconnects are in a table
            assert ast.unparse(key) == "key"
            used |= dict.fromkeys(services.FAILURES.values(), given)
            continue
        assert placeholders(text_of("exceptions", name)["message"]) == given, name
        used[name] = given
    check("exceptions", TEXTS["exceptions"], used)
    for name, given in used.items():
        assert placeholders(TEXTS["exceptions"][name]["message"]) <= given, name


def test_issues_have_texts() -> None:
    """Each issue has its texts, and each text its issue."""
    raised: set[str] = set()
    for name, call in calls():
        if name != "async_create_issue":
            continue
        key = literal(keyword(call, "translation_key"))
        fixable = keyword(call, "is_fixable")
        assert key is not None
        assert isinstance(fixable, ast.Constant)
        raised.add(key)
        texts = text_of("issues", key)
        assert set(texts) == {"title", "fix_flow" if fixable.value else "description"}
        flow = texts.get("fix_flow", {})
        # The errors and abort reasons of the flow are checked separately
        shown_first = {**texts, "fix_flow": flow.get("step", {})}
        needed = {
            name for _, text in strings(shown_first) for name in placeholders(text)
        }
        assert needed == keys(keyword(call, "translation_placeholders")), key
    check("issues", TEXTS["issues"], raised)


def test_repairs_have_texts() -> None:
    """Each form and abort reason of a repair has its text, and each text is used."""
    flows = [
        texts["fix_flow"] for texts in TEXTS["issues"].values() if "fix_flow" in texts
    ]
    for flow in flows:
        assert set(flow["step"]) == steps("repairs")
        assert all(
            {"title", "description"} <= set(step) for step in flow["step"].values()
        )
    assert {reason for flow in flows for reason in flow["abort"]} == reasons(
        "repairs"
    ) | {"already_configured"}


def test_token_repair_has_texts_of_errors() -> None:
    """The repair that asks for a token has the same errors as the reauth form."""
    flow = TEXTS["issues"]["token_expiring"]["fix_flow"]
    assert set(flow["step"]["confirm"]["data"]) == {"token"}
    assert set(flow["step"]["confirm"]["data_description"]) == {"token"}
    assert set(flow["error"]) == set(CONFIG["error"]) - {
        # Errors of fields that the repair does not have
        "account_already_configured",
        "invalid_api_url",
        "invalid_region",
        "looks_like_login",
        "may_not_list",
        "no_accounts",
    }
    assert all(flow["error"][key] == CONFIG["error"][key] for key in flow["error"])
    assert flow["abort"]["already_configured"] == CONFIG["abort"]["already_configured"]


def test_system_health_has_texts() -> None:
    """Each line has its text, and each text its line."""
    shown = {
        key
        for function in functions("system_health")
        for node in ast.walk(function)
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Dict)
        for key in keys(node.value)
    }
    assert shown
    check("system_health.info", TEXTS["system_health"]["info"], shown)


# -- actions, triggers, conditions ---------------------------------------------------------


async def test_descriptions(hass: HomeAssistant) -> None:
    """Each action, trigger and condition is described, and nothing else."""
    services.async_setup_services(hass)
    delivery.async_setup_delivery(hass)
    assert {category: set(shapes) for category, shapes in DESCRIPTIONS.items()} == {
        "services": set(hass.services.async_services_for_domain("metaapi")),
        "triggers": set(await trigger.async_get_triggers(hass)),
        "conditions": set(await condition.async_get_conditions(hass)),
    }


@pytest.mark.parametrize("category", DESCRIBED)
def test_descriptions_have_texts(category: str) -> None:
    """Each action, trigger and condition, and each of its fields, has its texts and an icon."""
    shapes, texts = DESCRIPTIONS[category], TEXTS[category]
    check(category, texts, shapes)
    assert set(shapes) == set(ICONS[category]), f"icons.json, {category}"
    for key, shape in shapes.items():
        assert texts[key]["name"]
        assert texts[key]["description"]
        assert set(ICONS[category][key]) == {DESCRIBED[category]}
        fields = texts[key].get("fields", {})
        check(f"{category}.{key}.fields", fields, shape.get("fields", {}))
        assert all(field["name"] for field in fields.values())
        if category == "services":
            assert all(field["description"] for field in fields.values())


def test_selectors_have_texts() -> None:
    """Each set of options that a selector shows has its texts, and each text its selector."""
    used = {
        literal(keyword(call, "translation_key"))
        for name, call in calls()
        if name.endswith("SelectorConfig") and keyword(call, "translation_key")
    }
    used |= {
        settings["translation_key"]
        for shapes in DESCRIPTIONS.values()
        for shape in shapes.values()
        for field in shape.get("fields", {}).values()
        for settings in field["selector"].values()
        if settings and "translation_key" in settings
    }
    check("selector", TEXTS.get("selector", {}), {one for one in used if one})


async def test_home_assistant_shows_the_action(hass: HomeAssistant) -> None:
    """The action editor gets our texts."""
    services.async_setup_services(hass)
    delivery.async_setup_delivery(hass)
    descriptions = await homeassistant.helpers.service.async_get_all_descriptions(hass)
    for key, shown in descriptions["metaapi"].items():
        missing = set(shown["fields"]) ^ set(TEXTS["services"][key]["fields"])
        assert not missing, f"{key}: field without texts, or texts without a field"
    assert descriptions["metaapi"]["reconnect"]["target"]


def test_every_category_is_checked() -> None:
    """A test here checks each category of texts."""
    assert set(TEXTS) - {"title", "selector"} == {
        "common",
        "conditions",
        "config",
        "config_subentries",
        "entity",
        "exceptions",
        "issues",
        "services",
        "system_health",
        "triggers",
    }
    assert set(CONFIG) == {"abort", "error", "step"}
    assert set(TEXTS["config_subentries"]) == {"account"}
    assert set(TEXTS["system_health"]) == {"info"}
    assert TEXTS["title"] == "MetaApi"
