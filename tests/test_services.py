"""Test the action `metaapi.reconnect`."""

import asyncio
from dataclasses import replace
from typing import Any
from unittest.mock import MagicMock

import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, MockUser
import voluptuous as vol

from custom_components.metaapi.api import Outcome, ReconnectResult
from custom_components.metaapi.const import DEFAULT_TIMEOUT, DOMAIN
from custom_components.metaapi.services import FAILURES, REMOVED
from homeassistant.config_entries import ConfigEntryDisabler
from homeassistant.const import STATE_UNAVAILABLE
from homeassistant.core import Context, HomeAssistant
from homeassistant.exceptions import (
    HomeAssistantError,
    ServiceValidationError,
    Unauthorized,
    UnknownUser,
)
from homeassistant.helpers import (
    area_registry as ar,
    device_registry as dr,
    entity_registry as er,
    floor_registry as fr,
    label_registry as lr,
)
from homeassistant.setup import async_setup_component

from .conftest import (
    NO_CONNECTION,
    SCALP,
    SWING,
    FakeMonitor,
    device_of,
    make_entry,
    setup_entry,
    value,
)

SWING_ID, SCALP_ID = SWING.account_id, SCALP.account_id
BOTH = {SWING_ID, SCALP_ID}

REFUSED = ReconnectResult(Outcome.REFUSED, 0.5, "Trading is closed")
TIMED_OUT = ReconnectResult(Outcome.TIMED_OUT, 60.0)
NOT_DEPLOYED = ReconnectResult(Outcome.NOT_DEPLOYED, 0.0)
UNREACHABLE = ReconnectResult(Outcome.NO_CONNECTION, 60.0)

# Without a region, which would place the account anew
UNDEPLOYED = replace(SWING, state="UNDEPLOYED", region="")

FAILURE_TEXTS = {
    "reconnect_refused": (
        "MetaApi refused to reconnect (Trading is closed)."
        " Look at the account at MetaApi"
    ),
    "reconnect_timed_out": (
        "the terminal did not come back in time, but still may."
        " Wait a minute and look at the status."
        " If it stays disconnected, look at the account at MetaApi"
    ),
    "reconnect_not_deployed": (
        "not deployed, so there is no terminal to reconnect. Deploy it at MetaApi first"
    ),
    "reconnect_no_connection": (
        "Home Assistant has no connection to MetaApi. Check the network, then try again"
    ),
    "reconnect_lost": (
        "the connection to MetaApi was lost before the outcome was known."
        " Look at the status before you try again"
    ),
    "reconnect_token_refused": (
        "MetaApi does not accept the token."
        " Enter a new one in the form that Home Assistant offers, then try again"
    ),
    "reconnect_removed": (
        "removed from Home Assistant while the reconnect was under way"
    ),
}
FAILED = {
    "reconnect_refused": REFUSED,
    "reconnect_timed_out": TIMED_OUT,
    "reconnect_not_deployed": NOT_DEPLOYED,
    "reconnect_no_connection": UNREACHABLE,
    "reconnect_lost": ReconnectResult(Outcome.CONNECTION_LOST, 2.0),
    "reconnect_token_refused": ReconnectResult(Outcome.TOKEN_REFUSED, 0.0),
}


async def call(hass: HomeAssistant, **data: Any) -> None:
    """Call the action without a response."""
    await hass.services.async_call(DOMAIN, "reconnect", data, blocking=True)


async def ask(hass: HomeAssistant, **data: Any) -> list[dict[str, Any]]:
    """Call the action and return its response."""
    response = await hass.services.async_call(
        DOMAIN, "reconnect", data, blocking=True, return_response=True
    )
    assert isinstance(response, dict)
    assert list(response) == ["accounts"]
    accounts = response["accounts"]
    assert isinstance(accounts, list)
    return accounts  # type: ignore[return-value]


def reconnected(monitor: FakeMonitor) -> set[str]:
    """Return the reconnected accounts, and check that each was reconnected once."""
    ids = [account_id for account_id, _ in monitor.reconnects]
    assert len(ids) == len(set(ids))
    return set(ids)


# -- outcomes ----------------------------------------------------------------------------------


async def test_success(hass: HomeAssistant, monitor: FakeMonitor) -> None:
    """A successful call without a response returns nothing."""
    await call(hass, entity_id="binary_sensor.swing_terminal")

    assert monitor.reconnects == [(SWING_ID, DEFAULT_TIMEOUT)]


async def test_success_with_response(hass: HomeAssistant, monitor: FakeMonitor) -> None:
    """The response contains each account's outcome."""
    (account,) = await ask(hass, entity_id="binary_sensor.swing_terminal")

    seconds = account.pop("seconds")
    assert isinstance(seconds, float)
    assert account == {
        "account_id": SWING_ID,
        "name": "Swing",
        "outcome": "authenticated",
        "error": None,
    }


@pytest.mark.parametrize(("key", "result"), FAILED.items())
async def test_failure(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    provisioning: MagicMock,
    key: str,
    result: ReconnectResult,
) -> None:
    """Each outcome raises its own error with the account's name."""
    monitor.reconnect_results[SWING_ID] = [result]
    provisioning.account.return_value = UNDEPLOYED

    with pytest.raises(HomeAssistantError) as raised:
        await call(hass, entity_id="binary_sensor.swing_terminal")

    assert not isinstance(raised.value, ServiceValidationError)
    assert raised.value.translation_domain == DOMAIN
    assert raised.value.translation_key == key
    assert raised.value.translation_placeholders == {
        "accounts": "Swing",
        "error": result.error or "",
    }
    assert str(raised.value) == f"Swing: {FAILURE_TEXTS[key]}"


@pytest.mark.parametrize("result", FAILED.values())
async def test_failure_with_response(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    provisioning: MagicMock,
    result: ReconnectResult,
) -> None:
    """A failure is in the response, and raises no error."""
    monitor.reconnect_results[SWING_ID] = [result]
    provisioning.account.return_value = UNDEPLOYED

    (account,) = await ask(hass, entity_id="binary_sensor.swing_terminal")

    assert account["outcome"] == result.outcome.value
    assert account["error"] == result.error


def test_every_failure_has_an_error() -> None:
    """Each outcome except success has its own error."""
    assert set(FAILURES) == set(Outcome) - {Outcome.AUTHENTICATED} | {REMOVED}
    assert set(FAILURES.values()) == set(FAILURE_TEXTS)


async def test_mixed_outcomes(hass: HomeAssistant, monitor: FakeMonitor) -> None:
    """All accounts are tried, and one error names the failed ones with MetaApi's reasons."""
    monitor.reconnect_results = {SWING_ID: [REFUSED], SCALP_ID: [TIMED_OUT]}

    with pytest.raises(HomeAssistantError) as raised:
        await call(hass, entity_id="all")

    assert reconnected(monitor) == BOTH
    assert raised.value.translation_key == "reconnect_failed"
    assert str(raised.value) == (
        "These accounts did not come back: Swing (Trading is closed), Scalp."
        " Their status shows why"
    )


async def test_mixed_outcomes_with_response(
    hass: HomeAssistant, monitor: FakeMonitor
) -> None:
    """The response contains every outcome."""
    monitor.reconnect_results = {SCALP_ID: [REFUSED]}

    accounts = await ask(hass, entity_id="all")

    assert [(one["name"], one["outcome"], one["error"]) for one in accounts] == [
        ("Swing", "authenticated", None),
        ("Scalp", "refused", "Trading is closed"),
    ]


async def test_one_of_several_fails(hass: HomeAssistant, monitor: FakeMonitor) -> None:
    """The error contains only the failed account, with the user's name for it."""
    monitor.reconnect_results = {SCALP_ID: [TIMED_OUT]}
    (entry,) = hass.config_entries.async_entries(DOMAIN)
    dr.async_get(hass).async_update_device(
        device_of(hass, entry, SCALP_ID).id, name_by_user="My scalper"
    )

    with pytest.raises(HomeAssistantError) as raised:
        await call(hass, entity_id="all")

    assert reconnected(monitor) == BOTH
    assert str(raised.value) == f"My scalper: {FAILURE_TEXTS['reconnect_timed_out']}"


async def test_one_reason_for_several(
    hass: HomeAssistant, monitor: FakeMonitor
) -> None:
    """Accounts that failed for the same reason are named together."""
    monitor.reconnect_results = {SWING_ID: [UNREACHABLE], SCALP_ID: [UNREACHABLE]}

    with pytest.raises(HomeAssistantError) as raised:
        await call(hass, entity_id="all")

    assert str(raised.value) == (
        f"Swing, Scalp: {FAILURE_TEXTS['reconnect_no_connection']}"
    )


async def test_two_refusals(hass: HomeAssistant, monitor: FakeMonitor) -> None:
    """Different answers of MetaApi are different reasons."""
    monitor.reconnect_results = {
        SWING_ID: [REFUSED],
        SCALP_ID: [ReconnectResult(Outcome.REFUSED, 0.1, "Broker {is} away")],
    }

    with pytest.raises(HomeAssistantError) as raised:
        await call(hass, entity_id="all")

    assert str(raised.value) == (
        "These accounts did not come back:"
        " Swing (Trading is closed), Scalp (Broker {is} away)."
        " Their status shows why"
    )


async def test_mixed_outcomes_in_the_language_of_the_home(
    hass: HomeAssistant, monitor: FakeMonitor
) -> None:
    """The placeholders contain only names and MetaApi's texts, since they are not translated."""
    monitor.reconnect_results = {SWING_ID: [REFUSED], SCALP_ID: [TIMED_OUT]}
    hass.config.language = "de"

    with pytest.raises(HomeAssistantError) as raised:
        await call(hass, entity_id="all")

    assert raised.value.translation_placeholders == {
        "accounts": "Swing (Trading is closed), Scalp"
    }


async def test_account_removed_while_it_is_reconnected(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
) -> None:
    """The outcome is *removed*, with the account's name."""
    subentry_ids = list(mock_config_entry.subentries)

    async def attempt(account_id: str) -> ReconnectResult:
        hass.config_entries.async_remove_subentry(
            mock_config_entry, subentry_ids[account_id == SCALP_ID]
        )
        await hass.async_block_till_done()
        return ReconnectResult(Outcome.CONNECTION_LOST, 1.0)

    monitor.on_reconnect = attempt

    with pytest.raises(HomeAssistantError) as raised:
        await call(hass, entity_id="button.swing_reconnect")
    assert str(raised.value) == f"Swing: {FAILURE_TEXTS['reconnect_removed']}"
    (account,) = await ask(hass, entity_id="button.scalp_reconnect")
    assert (account["name"], account["outcome"]) == ("Scalp", "removed")
    assert account["error"] is None


async def test_entry_removed_while_it_is_reconnected(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
) -> None:
    """The outcome is *removed* as well if the entry is removed."""

    async def attempt(account_id: str) -> ReconnectResult:
        await hass.config_entries.async_remove(mock_config_entry.entry_id)
        return ReconnectResult(Outcome.CONNECTION_LOST, 1.0)

    monitor.on_reconnect = attempt

    (account,) = await ask(hass, entity_id="button.swing_reconnect")
    assert (account["name"], account["outcome"]) == ("Swing", "removed")


async def test_accounts_do_not_wait_for_each_other(
    hass: HomeAssistant, monitor: FakeMonitor
) -> None:
    """Several accounts are reconnected at the same time."""
    started: list[str] = []
    both = asyncio.Event()

    async def attempt(account_id: str) -> ReconnectResult:
        started.append(account_id)
        if len(started) == 2:
            both.set()
        await both.wait()
        return ReconnectResult(Outcome.AUTHENTICATED, 1.0)

    monitor.on_reconnect = attempt

    async with asyncio.timeout(30):
        await call(hass, entity_id="all")


async def test_entities_unavailable(hass: HomeAssistant, monitor: FakeMonitor) -> None:
    """The action works while all entities are unavailable."""
    monitor.push_link(False)
    for account_id in BOTH:
        monitor.push(account_id, NO_CONNECTION)
    assert value(hass, "binary_sensor.swing_terminal") == STATE_UNAVAILABLE

    await call(hass, entity_id="binary_sensor.swing_terminal")

    assert reconnected(monitor) == {SWING_ID}


# -- fields ------------------------------------------------------------------------------------


@pytest.mark.parametrize("timeout", [1, 90, 300, "15"])
async def test_timeout(
    hass: HomeAssistant, monitor: FakeMonitor, timeout: float | str
) -> None:
    """The caller's timeout is used."""
    await call(hass, entity_id="button.swing_reconnect", timeout=timeout)

    assert monitor.reconnects == [(SWING_ID, float(timeout))]


@pytest.mark.parametrize("timeout", [0, 0.5, 301, -1, "soon", "nan", None])
async def test_bad_timeout(
    hass: HomeAssistant, monitor: FakeMonitor, timeout: float | str | None
) -> None:
    """A timeout that is out of bounds is refused."""
    with pytest.raises(vol.Invalid):
        await call(hass, entity_id="button.swing_reconnect", timeout=timeout)

    assert monitor.reconnects == []


async def test_no_target(hass: HomeAssistant, monitor: FakeMonitor) -> None:
    """A call without a target gets advice."""
    with pytest.raises(ServiceValidationError) as raised:
        await call(hass, timeout=5)

    assert raised.value.translation_key == "no_account_in_target"
    assert monitor.reconnects == []


async def test_unknown_field(hass: HomeAssistant, monitor: FakeMonitor) -> None:
    """An unknown field is refused, except the metadata that the frontend adds."""
    with pytest.raises(vol.Invalid):
        await call(hass, entity_id="button.swing_reconnect", speed="high")
    assert monitor.reconnects == []

    await call(hass, entity_id="button.swing_reconnect", metadata={"x": 1})
    assert reconnected(monitor) == {SWING_ID}


# -- targets -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "entity_id",
    [
        "binary_sensor.swing_terminal",
        "binary_sensor.swing_broker",
        "sensor.swing_status",
        "button.swing_reconnect",
    ],
)
async def test_target_entity(
    hass: HomeAssistant, monitor: FakeMonitor, entity_id: str
) -> None:
    """Any entity of an account stands for it."""
    await call(hass, entity_id=entity_id)

    assert reconnected(monitor) == {SWING_ID}


async def test_target_several_entities_of_one_account(
    hass: HomeAssistant, monitor: FakeMonitor
) -> None:
    """The account is reconnected once."""
    await call(
        hass, entity_id=["binary_sensor.swing_terminal", "button.swing_reconnect"]
    )

    assert reconnected(monitor) == {SWING_ID}


async def test_target_group(hass: HomeAssistant, monitor: FakeMonitor) -> None:
    """A group stands for its members."""
    await async_setup_component(
        hass,
        "group",
        {"group": {"terminals": {"entities": ["binary_sensor.scalp_terminal"]}}},
    )
    await hass.async_block_till_done()

    await call(hass, entity_id="group.terminals")

    assert reconnected(monitor) == {SCALP_ID}


async def test_target_device(
    hass: HomeAssistant, monitor: FakeMonitor, mock_config_entry: MockConfigEntry
) -> None:
    """A device stands for its account."""
    await call(hass, device_id=device_of(hass, mock_config_entry, SCALP_ID).id)

    assert reconnected(monitor) == {SCALP_ID}


async def test_target_hub(
    hass: HomeAssistant, monitor: FakeMonitor, mock_config_entry: MockConfigEntry
) -> None:
    """The hub stands for all its accounts."""
    hub = device_of(hass, mock_config_entry, mock_config_entry.entry_id)

    await call(hass, device_id=hub.id)

    assert reconnected(monitor) == BOTH


async def test_target_link(hass: HomeAssistant, monitor: FakeMonitor) -> None:
    """The hub's entity stands for all its accounts as well."""
    await call(hass, entity_id="binary_sensor.metaapi_link")

    assert reconnected(monitor) == BOTH


async def test_target_area(
    hass: HomeAssistant, monitor: FakeMonitor, mock_config_entry: MockConfigEntry
) -> None:
    """An area stands for the accounts whose device is in it."""
    area = ar.async_get(hass).async_create("Office")
    device = device_of(hass, mock_config_entry, SCALP_ID)
    dr.async_get(hass).async_update_device(device.id, area_id=area.id)

    await call(hass, area_id=area.id)

    assert reconnected(monitor) == {SCALP_ID}


async def test_target_area_of_an_entity(
    hass: HomeAssistant, monitor: FakeMonitor
) -> None:
    """An area stands for the accounts that have an entity in it."""
    area = ar.async_get(hass).async_create("Office")
    er.async_get(hass).async_update_entity(
        "binary_sensor.swing_terminal", area_id=area.id
    )

    await call(hass, area_id=[area.id])

    assert reconnected(monitor) == {SWING_ID}


async def test_target_floor(
    hass: HomeAssistant, monitor: FakeMonitor, mock_config_entry: MockConfigEntry
) -> None:
    """A floor stands for the accounts in its areas."""
    floor = fr.async_get(hass).async_create("Ground")
    area = ar.async_get(hass).async_create("Office", floor_id=floor.floor_id)
    device = device_of(hass, mock_config_entry, SWING_ID)
    dr.async_get(hass).async_update_device(device.id, area_id=area.id)

    await call(hass, floor_id=floor.floor_id)

    assert reconnected(monitor) == {SWING_ID}


@pytest.mark.parametrize("labeled", ["device", "entity", "area"])
async def test_target_label(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    labeled: str,
) -> None:
    """A label stands for the accounts whose device, entity or area has it."""
    label = lr.async_get(hass).async_create("Important").label_id
    device = device_of(hass, mock_config_entry, SCALP_ID)
    if labeled == "device":
        dr.async_get(hass).async_update_device(device.id, labels={label})
    elif labeled == "entity":
        er.async_get(hass).async_update_entity(
            "binary_sensor.scalp_broker", labels={label}
        )
    else:
        area = ar.async_get(hass).async_create("Office", labels={label})
        dr.async_get(hass).async_update_device(device.id, area_id=area.id)

    await call(hass, label_id=label)

    assert reconnected(monitor) == {SCALP_ID}


@pytest.mark.parametrize("by", ["area_id", "floor_id", "label_id"])
async def test_target_contains_the_hub(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    by: str,
) -> None:
    """An area, floor or label of the hub stands for the accounts in it, not for all."""
    entry = mock_config_entry
    floor = fr.async_get(hass).async_create("Ground").floor_id
    area = ar.async_get(hass).async_create("Office", floor_id=floor).id
    label = lr.async_get(hass).async_create("Important").label_id
    for identifier in (entry.entry_id, SWING_ID):
        dr.async_get(hass).async_update_device(
            device_of(hass, entry, identifier).id, area_id=area, labels={label}
        )

    await call(
        hass, **{by: {"area_id": area, "floor_id": floor, "label_id": label}[by]}
    )

    assert reconnected(monitor) == {SWING_ID}


async def test_exclude(
    hass: HomeAssistant, monitor: FakeMonitor, mock_config_entry: MockConfigEntry
) -> None:
    """An account of the hub and an area of `all` can be excluded."""
    entry = mock_config_entry
    hub = device_of(hass, entry, entry.entry_id)
    swing = device_of(hass, entry, SWING_ID)
    await call(hass, device_id=hub.id, exclude={"device_id": swing.id})
    assert reconnected(monitor) == {SCALP_ID}

    monitor.reconnects.clear()
    area = ar.async_get(hass).async_create("Office").id
    dr.async_get(hass).async_update_device(swing.id, area_id=area)
    await call(hass, entity_id="all", exclude={"area_id": [area]})
    assert reconnected(monitor) == {SCALP_ID}


async def test_exclude_everything(
    hass: HomeAssistant, monitor: FakeMonitor, mock_config_entry: MockConfigEntry
) -> None:
    """A target without any account left raises an error."""
    swing = device_of(hass, mock_config_entry, SWING_ID)
    entities = er.async_entries_for_device(er.async_get(hass), swing.id)

    with pytest.raises(ServiceValidationError) as raised:
        await call(
            hass,
            device_id=swing.id,
            exclude={"entity_id": [entity.entity_id for entity in entities]},
        )

    assert raised.value.translation_key == "no_account_in_target"
    assert monitor.reconnects == []


async def test_exclude_in_an_exclude(hass: HomeAssistant, monitor: FakeMonitor) -> None:
    """A nested `exclude` is refused, as by Home Assistant."""
    with pytest.raises(vol.Invalid):
        await call(hass, entity_id="all", exclude={"exclude": {"entity_id": "all"}})
    assert monitor.reconnects == []


# -- permissions -------------------------------------------------------------------------------


async def call_as(hass: HomeAssistant, user: MockUser, **data: Any) -> None:
    """Call the action as a user."""
    await hass.services.async_call(
        DOMAIN, "reconnect", data, blocking=True, context=Context(user_id=user.id)
    )


@pytest.mark.parametrize("target", ["entity", "device", "all", "area", "hub"])
async def test_read_only_user(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    hass_read_only_user: MockUser,
    target: str,
) -> None:
    """A user with read-only permission cannot reconnect, whatever the target is."""
    entry = mock_config_entry
    swing = device_of(hass, entry, SWING_ID)
    area = ar.async_get(hass).async_create("Office").id
    dr.async_get(hass).async_update_device(swing.id, area_id=area)
    data = {
        "entity": {"entity_id": "sensor.swing_status"},
        "device": {"device_id": swing.id},
        "all": {"entity_id": "all"},
        "area": {"area_id": area},
        "hub": {"device_id": device_of(hass, entry, entry.entry_id).id},
    }[target]

    with pytest.raises(Unauthorized) as raised:
        await call_as(hass, hass_read_only_user, **data)

    assert raised.value.permission == "control"
    assert raised.value.entity_id == "button.swing_reconnect"
    assert monitor.reconnects == []


async def test_read_only_user_of_an_entry_not_loaded(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    hass_read_only_user: MockUser,
) -> None:
    """The error contains nothing but the missing permission."""
    await hass.config_entries.async_unload(mock_config_entry.entry_id)
    with pytest.raises(Unauthorized):
        await call_as(hass, hass_read_only_user, entity_id="sensor.swing_status")


async def test_user_who_may_control_one_account(
    hass: HomeAssistant, monitor: FakeMonitor, hass_read_only_user: MockUser
) -> None:
    """The permission of each account's button is checked; `all` contains the permitted ones."""
    user = hass_read_only_user
    user.mock_policy(
        {"entities": {"entity_ids": {"button.scalp_reconnect": {"control": True}}}}
    )

    with pytest.raises(Unauthorized) as raised:
        await call_as(
            hass, user, entity_id=["sensor.swing_status", "sensor.scalp_status"]
        )
    assert raised.value.entity_id == "button.swing_reconnect"
    assert monitor.reconnects == []

    await call_as(hass, user, entity_id="sensor.scalp_status")
    assert reconnected(monitor) == {SCALP_ID}
    monitor.reconnects.clear()
    await call_as(hass, user, entity_id="all")
    assert reconnected(monitor) == {SCALP_ID}


async def test_user_and_an_account_without_a_button(
    hass: HomeAssistant, monitor: FakeMonitor, hass_read_only_user: MockUser
) -> None:
    """Such an account requires the permission for all entities."""
    er.async_get(hass).async_remove("button.swing_reconnect")
    with pytest.raises(Unauthorized):
        await call_as(hass, hass_read_only_user, entity_id="sensor.swing_status")
    hass_read_only_user.mock_policy({"entities": True})
    await call_as(hass, hass_read_only_user, entity_id="sensor.swing_status")
    assert reconnected(monitor) == {SWING_ID}


async def test_administrator(
    hass: HomeAssistant, monitor: FakeMonitor, hass_admin_user: MockUser
) -> None:
    """An administrator may reconnect every account."""
    await call_as(hass, hass_admin_user, entity_id="all")
    assert reconnected(monitor) == BOTH


async def test_unknown_user(hass: HomeAssistant, monitor: FakeMonitor) -> None:
    """A deleted user has no permission."""
    with pytest.raises(UnknownUser):
        await call_as(hass, MockUser(id="gone"), entity_id="all")
    assert monitor.reconnects == []


@pytest.fixture
def foreign(hass: HomeAssistant) -> tuple[str, str]:
    """Return a device and an entity of another integration."""
    entry = MockConfigEntry(domain="other")
    entry.add_to_hass(hass)
    device = dr.async_get(hass).async_get_or_create(
        config_entry_id=entry.entry_id, identifiers={("other", "lamp")}
    )
    entity = er.async_get(hass).async_get_or_create(
        "light", "other", "lamp", config_entry=entry, device_id=device.id
    )
    return device.id, entity.entity_id


async def test_foreign_members_are_ignored(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    foreign: tuple[str, str],
) -> None:
    """Foreign and missing members of a target are ignored."""
    device_id, entity_id = foreign
    area = ar.async_get(hass).async_create("Office")
    ours = device_of(hass, mock_config_entry, SWING_ID)
    for one in (device_id, ours.id):
        dr.async_get(hass).async_update_device(one, area_id=area.id)

    await call(
        hass,
        area_id=[area.id, "no_such_area"],
        entity_id=[entity_id, "sensor.yaml_thing", "light.no_such_light"],
        device_id=[device_id, "no_such_device"],
        label_id="no_such_label",
        floor_id="no_such_floor",
    )

    assert reconnected(monitor) == {SWING_ID}


async def test_only_foreign_members(
    hass: HomeAssistant, monitor: FakeMonitor, foreign: tuple[str, str]
) -> None:
    """A target without an account raises an error, with or without a response."""
    device_id, entity_id = foreign
    area = ar.async_get(hass).async_create("Empty")
    for target in (
        {"device_id": device_id},
        {"entity_id": entity_id},
        {"area_id": area.id},
        {"entity_id": "none"},
    ):
        for caller in (call, ask):
            with pytest.raises(ServiceValidationError) as raised:
                await caller(hass, **target)
            assert raised.value.translation_key == "no_account_in_target"

    assert str(raised.value) == (
        "The target has no MetaApi account. Choose the device of an account,"
        " one of its entities, or an area or a label that has one"
    )
    assert monitor.reconnects == []


async def test_disabled_device(
    hass: HomeAssistant, monitor: FakeMonitor, mock_config_entry: MockConfigEntry
) -> None:
    """An area does not contain a disabled device."""
    area = ar.async_get(hass).async_create("Office")
    registry = dr.async_get(hass)
    for account_id in BOTH:
        device = device_of(hass, mock_config_entry, account_id)
        registry.async_update_device(device.id, area_id=area.id)
    registry.async_update_device(
        device_of(hass, mock_config_entry, SWING_ID).id,
        disabled_by=dr.DeviceEntryDisabler.USER,
    )
    await hass.async_block_till_done()

    await call(hass, area_id=area.id)

    assert reconnected(monitor) == {SCALP_ID}


# -- entries -----------------------------------------------------------------------------------


@pytest.fixture
async def two_entries(
    hass: HomeAssistant, monitors: list[FakeMonitor], provisioning: MagicMock
) -> list[MockConfigEntry]:
    """Set up two entries, each with one account."""
    entries = [
        make_entry(SWING, title="One", unique_id="one"),
        make_entry(SCALP, title="Two", unique_id="two"),
    ]
    for entry in entries:
        await setup_entry(hass, entry)
    return entries


async def test_all_of_two_entries(
    hass: HomeAssistant,
    monitors: list[FakeMonitor],
    two_entries: list[MockConfigEntry],
) -> None:
    """`all` stands for every account of every entry."""
    await call(hass, entity_id="all")

    assert [reconnected(monitor) for monitor in monitors] == [{SWING_ID}, {SCALP_ID}]


@pytest.mark.parametrize(
    "target",
    [
        {"entity_id": "all"},
        {"entity_id": "binary_sensor.scalp_terminal"},
        {"entity_id": ["binary_sensor.swing_terminal", "binary_sensor.scalp_terminal"]},
    ],
)
async def test_entry_not_loaded(
    hass: HomeAssistant,
    monitors: list[FakeMonitor],
    two_entries: list[MockConfigEntry],
    target: dict[str, Any],
) -> None:
    """An account of an entry that is not loaded raises an error before anything is sent."""
    await hass.config_entries.async_unload(two_entries[1].entry_id)

    for caller in (call, ask):
        with pytest.raises(ServiceValidationError) as raised:
            await caller(hass, **target)
        assert raised.value.translation_key == "entry_not_loaded"
        assert raised.value.translation_placeholders == {"entry": "Two"}
        assert str(raised.value) == (
            "The entry Two is not loaded, so its accounts cannot be reconnected."
            " Open the MetaApi integration to see why, then repair or enable the entry"
        )

    assert monitors[0].reconnects == []


async def test_device_of_an_entry_not_loaded(
    hass: HomeAssistant, two_entries: list[MockConfigEntry]
) -> None:
    """A device of an entry that is not loaded raises an error as well."""
    device = device_of(hass, two_entries[1], SCALP_ID)
    await hass.config_entries.async_unload(two_entries[1].entry_id)

    with pytest.raises(ServiceValidationError) as raised:
        await call(hass, device_id=device.id)

    assert raised.value.translation_key == "entry_not_loaded"


async def test_disabled_entry(
    hass: HomeAssistant,
    monitors: list[FakeMonitor],
    two_entries: list[MockConfigEntry],
) -> None:
    """`all` does not contain its accounts; naming them raises an error."""
    await hass.config_entries.async_set_disabled_by(
        two_entries[1].entry_id, ConfigEntryDisabler.USER
    )
    await hass.async_block_till_done()

    await call(hass, entity_id="all")
    assert reconnected(monitors[0]) == {SWING_ID}

    with pytest.raises(ServiceValidationError) as raised:
        await call(hass, entity_id="binary_sensor.scalp_terminal")
    assert raised.value.translation_key == "entry_not_loaded"


async def test_action_without_an_entry(hass: HomeAssistant) -> None:
    """The action exists without entries, and raises an error then."""
    assert await async_setup_component(hass, DOMAIN, {})

    with pytest.raises(ServiceValidationError) as raised:
        await call(hass, entity_id="all")

    assert raised.value.translation_key == "no_account_in_target"
