"""What the tests of the blueprints share: a home with a pager, in which an hour takes no time."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
import shutil
from typing import Any, override

from freezegun.api import FrozenDateTimeFactory
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    async_capture_events,
    async_fire_time_changed,
    async_mock_service,
)

from custom_components.metaapi.api import Outcome, ReconnectResult
from custom_components.metaapi.const import DOMAIN
from homeassistant.components import automation, notify
from homeassistant.components.notify import DATA_COMPONENT, NotifyEntity
from homeassistant.core import Event, HomeAssistant, ServiceCall
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import device_registry as dr
from homeassistant.setup import async_setup_component
from homeassistant.util import slugify

from .conftest import CONNECTED, SCALP, SWING, FakeMonitor, device_of, value

BLUEPRINTS = Path(__file__).parent.parent / "blueprints" / "automation" / DOMAIN
PAGER = "notify.pager"
WEDNESDAY = datetime(2026, 11, 18, 12, tzinfo=UTC)
ACCOUNTS = {"swing": SWING, "scalp": SCALP}


ALSO_DO = {
    "event": "did",
    "event_data": {
        "event": "{{ event }}",
        "message": "{{ message }}",
        "account": "{{ account }}",
        "device": "{{ device }}",
    },
}
"""Actions that a person adds to a blueprint."""


class Pager(NotifyEntity):
    """Somebody who reads messages."""

    _attr_name = "Pager"
    _attr_unique_id = "pager"

    def __init__(self) -> None:
        """Start without messages."""
        self.messages: list[str] = []

    @override
    async def async_send_message(self, message: str, title: str | None = None) -> None:
        """Read a message."""
        self.messages.append(message)


async def add_pager(hass: HomeAssistant) -> Pager:
    """Add a pager to the home."""
    pager = Pager()
    assert await async_setup_component(hass, notify.DOMAIN, {})
    await hass.data[DATA_COMPONENT].async_add_entities([pager])
    assert value(hass, PAGER) == "unknown"
    return pager


def blueprint_config(
    hass: HomeAssistant, blueprint: str, **inputs: Any
) -> dict[str, Any]:
    """Put a blueprint where Home Assistant looks for it; return an automation made from it."""
    folder = Path(hass.config.path("blueprints", "automation", DOMAIN))
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(BLUEPRINTS / f"{blueprint}.yaml", folder)
    return {
        "id": "one",
        "alias": "One",
        "use_blueprint": {"path": f"{DOMAIN}/{blueprint}.yaml", "input": inputs},
    }


def add_phone(
    hass: HomeAssistant, name: str, *, broken: bool = False
) -> tuple[str, list[ServiceCall]]:
    """Add a phone to the home, as Home Assistant's app does; return its device's id, and its messages."""
    entry = MockConfigEntry(domain="mobile_app", title="Somebody")
    entry.add_to_hass(hass)
    device = dr.async_get(hass).async_get_or_create(
        config_entry_id=entry.entry_id, identifiers={("mobile_app", name)}, name=name
    )
    # What the person calls it is not what the app calls it
    dr.async_get(hass).async_update_device(device.id, name_by_user="Mine")
    messages = async_mock_service(
        hass,
        notify.DOMAIN,
        f"mobile_app_{slugify(name)}",
        raise_exception=HomeAssistantError("no push") if broken else None,
    )
    return device.id, messages


async def settle(hass: HomeAssistant) -> None:
    """Wait until there is nothing to do but to wait, which automations that wait do as well."""
    await asyncio.sleep(0)
    while hass.loop._ready:  # type: ignore[attr-defined]  # noqa: ASYNC110
        await asyncio.sleep(0)


class Home:
    """A home with an automation made from a blueprint."""

    def __init__(
        self,
        hass: HomeAssistant,
        freezer: FrozenDateTimeFactory,
        monitor: FakeMonitor,
        pager: Pager,
        blueprint: str,
    ) -> None:
        """Take what there is in the home."""
        self.hass = hass
        self.freezer = freezer
        self.monitor = monitor
        self.pager = pager
        self.blueprint = blueprint
        self.did: list[Event] = async_capture_events(hass, "did")

    def device(self, account: str) -> str:
        """Return the id of an account's device."""
        (entry,) = self.hass.config_entries.async_entries(DOMAIN)
        return device_of(self.hass, entry, ACCOUNTS[account].account_id).id

    async def automate(self, *accounts: str, **inputs: Any) -> None:
        """Make an automation from the blueprint."""
        config = blueprint_config(
            self.hass,
            self.blueprint,
            accounts=[self.device(account) for account in accounts],
            **inputs,
        )
        assert await async_setup_component(
            self.hass, automation.DOMAIN, {automation.DOMAIN: [config]}
        )
        await self.hass.async_block_till_done()
        assert value(self.hass, "automation.one") == "on"

    async def close(self) -> None:
        """Stop what the automation still waits for."""
        await self.hass.services.async_call(
            automation.DOMAIN, "turn_off", {"entity_id": "all"}, blocking=True
        )
        await self.hass.async_block_till_done()

    async def show(self, account: str, link: Any) -> None:
        """Show another state of an account."""
        self.monitor.push(ACCOUNTS[account].account_id, link)
        await settle(self.hass)

    async def lasts(self, *, minutes: float = 0, hours: float = 0) -> None:
        """Let time pass: by the minute, since templates look at the clock that often."""
        end = self.now + timedelta(minutes=minutes, hours=hours)
        while self.now < end:
            await self.until(min(end, self.now + timedelta(minutes=1)))

    async def until(self, moment: datetime) -> None:
        """Let it be a moment."""
        self.freezer.move_to(moment)
        async_fire_time_changed(self.hass)
        await settle(self.hass)

    @property
    def now(self) -> datetime:
        """Return what time it is."""
        return datetime.now(UTC)

    def messages(self) -> list[str]:
        """Return the messages since the last call."""
        messages = self.pager.messages[:]
        self.pager.messages.clear()
        return messages

    def events(self) -> list[str]:
        """Return what the actions that a person added were told of since the last call."""
        events = [event.data["event"] for event in self.did]
        self.did.clear()
        return events

    def reconnects(self) -> list[str]:
        """Return the accounts that were reconnected since the last call."""
        names = {account.account_id: name for name, account in ACCOUNTS.items()}
        reconnects = [names[account_id] for account_id, _ in self.monitor.reconnects]
        self.monitor.reconnects.clear()
        return reconnects

    def reconnects_fail(self, outcome: Outcome = Outcome.TIMED_OUT) -> None:
        """Let no reconnect bring a terminal back."""
        for account in ACCOUNTS.values():
            self.monitor.reconnect_results[account.account_id] = [
                ReconnectResult(outcome, 60.0)
            ] * 20

    def reconnects_work(self) -> None:
        """Let the next reconnect bring a terminal back."""
        self.monitor.reconnect_results.clear()
        ask = self.monitor.reconnect

        async def reconnect(account_id: str, timeout: float = 60.0) -> ReconnectResult:
            result = await ask(account_id, timeout)
            self.monitor.push(account_id, CONNECTED)
            return result

        self.monitor.reconnect = reconnect  # type: ignore[method-assign]
