"""Test the action `metaapi.notify` with phones and notify entities that fail in every way."""

import asyncio
from typing import Any
from unittest.mock import patch

import pytest
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    MockUser,
    async_mock_service,
)

from custom_components.metaapi import delivery
from custom_components.metaapi.const import DOMAIN
from homeassistant.core import Context, HomeAssistant, ServiceCall
from homeassistant.exceptions import HomeAssistantError, Unauthorized
from homeassistant.helpers import device_registry as dr, entity_registry as er
from homeassistant.setup import async_setup_component

from .blueprint_support import PAGER, Pager, add_pager
from .conftest import FakeMonitor


def add_phone(hass: HomeAssistant, name: str) -> str:
    """Add the entry, the device and the notify entity of a phone; return the device's id."""
    entry = MockConfigEntry(
        domain="mobile_app",
        title=name,
        data={"device_name": name, "webhook_id": f"hook of {name}"},
    )
    entry.add_to_hass(hass)
    device = dr.async_get(hass).async_get_or_create(
        config_entry_id=entry.entry_id, identifiers={("mobile_app", name)}, name=name
    )
    return device.id


def add_phone_entity(hass: HomeAssistant, device_id: str) -> str:
    """Add the notify entity of a phone."""
    entity = er.async_get(hass).async_get_or_create(
        "notify", "mobile_app", device_id, device_id=device_id
    )
    hass.states.async_set(entity.entity_id, "unknown")
    return entity.entity_id


async def notify(hass: HomeAssistant, **data: Any) -> dict[str, Any]:
    """Send a message, and return the recipients that got it."""
    answer = await hass.services.async_call(
        DOMAIN,
        "notify",
        {"message": "hello", **data},
        blocking=True,
        return_response=True,
    )
    assert answer is not None
    return dict(answer)


@pytest.fixture
async def pager(hass: HomeAssistant, monitor: FakeMonitor) -> Pager:
    """Add a pager to a home with the integration."""
    return await add_pager(hass)


async def test_nobody(hass: HomeAssistant, pager: Pager) -> None:
    """A message without recipients is no error."""
    assert await notify(hass) == {"sent": [], "failed": []}


@pytest.mark.parametrize(
    ("wake", "expected"),
    [
        (False, {}),
        ("normal", {}),
        ("passive", {"alert_once": True, "push": {"interruption-level": "passive"}}),
        (
            "time_sensitive",
            {
                "ttl": 0,
                "priority": "high",
                "push": {"interruption-level": "time-sensitive"},
            },
        ),
        (
            True,
            {
                "ttl": 0,
                "priority": "high",
                "channel": "alarm_stream",
                "push": {
                    "interruption-level": "critical",
                    "sound": {"name": "default", "critical": 1, "volume": 1.0},
                },
            },
        ),
    ],
)
async def test_phone(
    hass: HomeAssistant, pager: Pager, wake: Any, expected: dict[str, Any]
) -> None:
    """A phone gets the title, the message, and the data for both Android and iOS."""
    calls = async_mock_service(hass, "notify", "mobile_app_pixel")
    phone = add_phone(hass, "Pixel")
    button = {"action": "X", "title": "Do"}
    answer = await notify(
        hass,
        devices=phone,
        title="T",
        wake=wake,
        tag="t",
        url="/x",
        actions=button,
    )
    assert answer == {"sent": [phone], "failed": []}
    assert calls[0].data == {
        "title": "T",
        "message": "hello",
        "target": ["hook of Pixel"],
        "data": {
            **expected,
            "tag": "t",
            "group": "metaapi",
            "url": "/x",
            "clickAction": "/x",
            "actions": [button],
        },
    }


@pytest.mark.parametrize("how", ["missing", "error", "crash", "hangs"])
async def test_phone_whose_action_fails(
    hass: HomeAssistant, pager: Pager, how: str
) -> None:
    """The notify entity is used instead, and the response reports a failure."""
    phone = add_phone(hass, "Pixel")
    entity_id = add_phone_entity(hass, phone)
    calls = async_mock_service(hass, "notify", "send_message")

    async def fail(call: ServiceCall) -> None:
        if how == "error":
            raise HomeAssistantError("no push")
        if how == "crash":
            raise ValueError
        await asyncio.Event().wait()

    if how != "missing":
        hass.services.async_register("notify", "mobile_app_pixel", fail)
    with patch.object(delivery, "TIMEOUT", 0.05):
        answer = await notify(hass, devices=[phone], entities=[PAGER])
    assert sorted(answer["sent"]) == sorted([PAGER, entity_id])
    ((target, error),) = [(one["target"], one["error"]) for one in answer["failed"]]
    assert target == phone
    assert error.endswith(f"; sent to {entity_id} instead, which cannot wake")
    assert {call.data["entity_id"] for call in calls} == {entity_id, PAGER}


async def test_all_at_once(hass: HomeAssistant, pager: Pager) -> None:
    """A recipient that hangs does not delay the others; each has its own timeout."""
    phones = [add_phone(hass, f"Phone {number}") for number in range(5)]
    waiting = asyncio.Event()
    arrived: list[str] = []

    async def hang(call: ServiceCall) -> None:
        arrived.append(call.service)
        await waiting.wait()

    for number in range(5):
        hass.services.async_register("notify", f"mobile_app_phone_{number}", hang)
    task = hass.async_create_task(notify(hass, devices=phones, entities=[PAGER]))
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(arrived) == 5
    assert pager.messages == ["None: hello"]
    waiting.set()
    assert len((await task)["sent"]) == 6


@pytest.mark.parametrize(
    ("entity_id", "state", "error"),
    [
        ("notify.gone", None, "does not exist"),
        ("notify.away", "unavailable", "is unavailable"),
        ("light.desk", "on", "is not a notify entity"),
    ],
)
async def test_entity_that_cannot_be_reached(
    hass: HomeAssistant,
    pager: Pager,
    caplog: pytest.LogCaptureFixture,
    entity_id: str,
    state: str | None,
    error: str,
) -> None:
    """A recipient that Home Assistant would skip silently is reported and logged."""
    if state is not None:
        hass.states.async_set(entity_id, state)
    answer = await notify(hass, entities=[entity_id, PAGER])
    assert answer["sent"] == [PAGER]
    assert answer["failed"] == [{"target": entity_id, "error": f"{entity_id} {error}"}]
    assert f"{entity_id} {error}" in caplog.text


async def test_device_that_is_no_phone(hass: HomeAssistant, pager: Pager) -> None:
    """Another device is reported as one."""
    (entry,) = hass.config_entries.async_entries(DOMAIN)
    (device, *_) = dr.async_entries_for_config_entry(dr.async_get(hass), entry.entry_id)
    answer = await notify(hass, devices=device.id)
    assert "is not a phone with the app" in answer["failed"][0]["error"]


@pytest.mark.parametrize("third", ["Other", "📱"])
async def test_phones_with_the_same_name(
    hass: HomeAssistant, pager: Pager, third: str
) -> None:
    """They are distinguished, unless a third phone has the name of the shared action."""
    general = async_mock_service(hass, "notify", "mobile_app")
    async_mock_service(hass, "notify", "mobile_app_pixel")
    both = [add_phone(hass, "Pixel"), add_phone(hass, "pixel")]
    add_phone(hass, third)
    answer = await notify(hass, devices=both)
    if third == "Other":
        assert answer["sent"] == both
        assert [call.data["target"] for call in general] == [
            ["hook of Pixel"],
            ["hook of pixel"],
        ]
    else:
        assert general == []
        assert len(answer["failed"]) == 2


async def test_context(hass: HomeAssistant, pager: Pager) -> None:
    """The called actions have the caller's context."""
    calls = async_mock_service(hass, "notify", "send_message")
    context = Context()
    await hass.services.async_call(
        DOMAIN,
        "notify",
        {"message": "hello", "entities": PAGER},
        blocking=True,
        context=context,
    )
    assert calls[0].context is context


@pytest.mark.parametrize("of_phone", [True, False], ids=["with entity", "without"])
@pytest.mark.parametrize("target", ["phone", "entity", "test"])
async def test_read_only_user(
    hass: HomeAssistant,
    pager: Pager,
    hass_read_only_user: MockUser,
    target: str,
    of_phone: bool,
) -> None:
    """Who may only look sends nothing, though Home Assistant asks nobody who calls a phone's action."""
    calls = async_mock_service(hass, "notify", "mobile_app_pixel")
    phone = add_phone(hass, "Pixel")
    if of_phone:
        add_phone_entity(hass, phone)
    targets: dict[str, dict[str, Any]] = {
        "phone": {"devices": phone},
        "entity": {"entities": PAGER},
        "test": {"devices": phone, "entities": PAGER, "test": True},
    }
    context = Context(user_id=hass_read_only_user.id)

    with pytest.raises(Unauthorized) as raised:
        await hass.services.async_call(
            DOMAIN, "notify", targets[target], blocking=True, context=context
        )

    assert raised.value.permission == "control"
    assert calls == []
    assert pager.messages == []


async def test_user_who_may_control_what_delivers(
    hass: HomeAssistant, pager: Pager, hass_read_only_user: MockUser
) -> None:
    """Each target is checked by its notify entities."""
    calls = async_mock_service(hass, "notify", "mobile_app_pixel")
    phone = add_phone(hass, "Pixel")
    entity_id = add_phone_entity(hass, phone)
    user = hass_read_only_user
    user.mock_policy({"entities": {"entity_ids": {entity_id: {"control": True}}}})
    context = Context(user_id=user.id)

    with pytest.raises(Unauthorized) as raised:
        await hass.services.async_call(
            DOMAIN,
            "notify",
            {"devices": phone, "entities": PAGER},
            blocking=True,
            context=context,
        )
    assert raised.value.entity_id == PAGER
    assert calls == []

    await hass.services.async_call(
        DOMAIN, "notify", {"devices": phone}, blocking=True, context=context
    )
    assert len(calls) == 1


async def test_test_message(hass: HomeAssistant, pager: Pager) -> None:
    """A notification in the home's language shows who was reached."""
    assert await async_setup_component(hass, "persistent_notification", {})
    answer = await notify(hass, test=True, entities=PAGER)
    assert answer["title"] == "Test of your MetaApi alarm"
    assert pager.messages == [f"{answer['title']}: {answer['message']}"]
    (shown,) = hass.data["persistent_notification"].values()
    assert shown["message"].startswith(
        "As far as Home Assistant can tell, everybody was reached. Messages sent: 1."
    )
    await notify(hass, test=True)
    (shown,) = hass.data["persistent_notification"].values()
    assert shown["message"].startswith("You have chosen nobody")


@pytest.mark.parametrize(
    ("entity_id", "error"),
    [
        ("notify.gone", "notify.gone gibt es nicht"),
        ("light.desk", "light.desk ist keine Benachrichtigungs-Entität"),
    ],
)
async def test_reason_in_the_language_of_the_home(
    hass: HomeAssistant, pager: Pager, entity_id: str, error: str
) -> None:
    """The notification of a test message is read by people, also why somebody was not reached."""
    assert await async_setup_component(hass, "persistent_notification", {})
    hass.config.language = "de"
    (entry,) = hass.config_entries.async_entries(DOMAIN)
    assert await hass.config_entries.async_reload(entry.entry_id)
    await notify(hass, entities=[entity_id], test=True)
    (shown,) = hass.data["persistent_notification"].values()
    assert shown["message"] == f"Nicht erreicht: {entity_id}: {error}"
