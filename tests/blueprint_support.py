"""What the tests of the alarm share: a home with phones, in which an hour takes no time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
import logging
from pathlib import Path
import shutil
from typing import Any, override
from unittest.mock import patch

from aiohttp import web
from freezegun.api import FrozenDateTimeFactory
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    async_capture_events,
    async_fire_time_changed,
)
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.metaapi.api import Outcome, ReconnectResult
from custom_components.metaapi.const import DOMAIN
from homeassistant.components import automation, notify
from homeassistant.components.notify import DATA_COMPONENT, NotifyEntity
from homeassistant.components.persistent_notification import (
    _async_get_or_create_notifications,
)
from homeassistant.core import Event, HomeAssistant
from homeassistant.helpers import device_registry as dr
from homeassistant.setup import async_setup_component
from homeassistant.util.yaml import load_yaml_dict

from .compat import voice  # noqa: F401
from .conftest import CONNECTED, SCALP, SWING, FakeMonitor, device_of, value

FOLDER = Path(__file__).parent.parent / "blueprints" / "automation" / DOMAIN
NAME = "watch_my_terminals"
BLUEPRINT = FOLDER / f"{NAME}.yaml"
PAGER = "notify.pager"
WEDNESDAY = datetime(2026, 11, 18, 2, 12, tzinfo=UTC)
"""In Berlin it is 03:12."""
ACCOUNTS = {"swing": SWING, "scalp": SCALP}
ACTION = f"{DOMAIN}.notify"

ALSO_DO = {
    "event": "did",
    "event_data": {
        "phase": "{{ trigger.phase | default('test') }}",
        "title": "{{ title }}",
        "message": "{{ message }}",
    },
}
"""Actions that a person adds to the blueprint."""


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
        self.messages.append(f"{title}: {message}")


async def add_pager(hass: HomeAssistant) -> Pager:
    """Add a pager to the home."""
    pager = Pager()
    # Home Assistant never runs without
    assert await async_setup_component(hass, "persistent_notification", {})
    assert await async_setup_component(hass, notify.DOMAIN, {})
    await hass.data[DATA_COMPONENT].async_add_entities([pager])
    assert value(hass, PAGER) == "unknown"
    return pager


class PushServer:
    """What Google and Apple are to phones: keeps what each of them gets."""

    def __init__(self) -> None:
        """Start without messages."""
        self.messages: dict[str, list[dict[str, Any]]] = {}
        self.refused: set[str] = set()
        """Phones whose messages are refused."""
        self.url = ""

    @classmethod
    @asynccontextmanager
    async def running(cls) -> AsyncIterator[PushServer]:
        """Run one on loopback."""
        server = cls()
        app = web.Application()
        app.router.add_post("/push", server._receive)
        # aiohttp's log of accesses cannot bear a clock that stands still
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/push"
        try:
            yield server
        finally:
            await runner.cleanup()

    async def _receive(self, request: web.Request) -> web.Response:
        """Keep a message, as a phone would get it."""
        body = await request.json()
        token = body.pop("push_token")
        del body["registration_info"]
        if token in self.refused:
            return web.json_response({"message": "Unregistered"}, status=403)
        self.messages.setdefault(token, []).append(body)
        return web.json_response({}, status=201)

    def received(self, token: str) -> list[dict[str, Any]]:
        """Return what a phone got since the last call."""
        return self.messages.pop(token, [])

    def titles(self, token: str) -> list[str]:
        """Return the titles of what a phone got since the last call."""
        return [message["title"] for message in self.received(token)]


@dataclass(frozen=True)
class Phone:
    """A phone with the app."""

    token: str
    device_id: str
    webhook: str


class Phones:
    """The phones of a home, registered as the app does it."""

    def __init__(self, hass: HomeAssistant, client: Any, server: PushServer) -> None:
        """Take where they register, and who delivers to them."""
        self._hass = hass
        self._client = client
        self._server = server

    @classmethod
    async def of(
        cls,
        hass: HomeAssistant,
        hass_client: ClientSessionGenerator,
        server: PushServer,
    ) -> Phones:
        """Set up what the app talks to."""
        assert await async_setup_component(hass, "mobile_app", {})
        assert await async_setup_component(hass, notify.DOMAIN, {})
        await hass.async_block_till_done()
        logging.getLogger("aiohttp.access").setLevel(logging.CRITICAL)
        return cls(hass, await hass_client(), server)

    async def add(
        self, name: str, *, token: str = "", apple: bool = False, push: bool = True
    ) -> Phone:
        """Register a phone."""
        token = token or name
        app_data = {"push_token": token, "push_url": self._server.url}
        answer = await self._client.post(
            "/api/mobile_app/registrations",
            json={
                "app_data": app_data if push else {},
                "app_id": "io.robbie.HomeAssistant" if apple else "io.homeassistant",
                "app_name": "Home Assistant",
                "app_version": "2026.11",
                "device_id": token,
                "device_name": name,
                "manufacturer": "Apple" if apple else "Google",
                "model": "iPhone" if apple else "Pixel",
                "os_name": "iOS" if apple else "Android",
                "os_version": "19",
                "supports_encryption": False,
            },
        )
        assert answer.status == 201
        webhook: str = (await answer.json())["webhook_id"]
        await self._hass.async_block_till_done()
        (entry,) = [
            entry
            for entry in self._hass.config_entries.async_entries("mobile_app")
            if entry.data["webhook_id"] == webhook
        ]
        (device,) = dr.async_entries_for_config_entry(
            dr.async_get(self._hass), entry.entry_id
        )
        return Phone(token, device.id, webhook)

    async def press(self, phone: Phone, message: dict[str, Any]) -> None:
        """Press the only button of a message."""
        (action,) = message["data"]["actions"]
        answer = await self._client.post(
            f"/api/webhook/{phone.webhook}",
            json={
                "type": "fire_event",
                "data": {
                    "event_type": "mobile_app_notification_action",
                    "event_data": {"action": action["action"]},
                },
            },
        )
        assert answer.status == 200
        await self._hass.async_block_till_done()


async def settle(hass: HomeAssistant) -> None:
    """Wait until there is nothing to do but to wait."""
    await asyncio.sleep(0)
    while hass.loop._ready:  # type: ignore[attr-defined]  # noqa: ASYNC110
        await asyncio.sleep(0)


def blueprint_config(hass: HomeAssistant, **inputs: Any) -> dict[str, Any]:
    """Put the blueprint where Home Assistant looks for it; return an automation made from it."""
    folder = Path(hass.config.path("blueprints", "automation", DOMAIN))
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(BLUEPRINT, folder)
    return {
        "id": "one",
        "alias": "One",
        "use_blueprint": {"path": f"{DOMAIN}/{NAME}.yaml", "input": inputs},
    }


def blueprint() -> dict[str, Any]:
    """Return the blueprint as it is read."""
    return load_yaml_dict(str(BLUEPRINT))


class Home:
    """A home with an automation made from the blueprint."""

    def __init__(
        self,
        hass: HomeAssistant,
        freezer: FrozenDateTimeFactory,
        monitors: list[FakeMonitor],
        pager: Pager,
    ) -> None:
        """Take what there is in the home."""
        self.hass = hass
        self.freezer = freezer
        self._monitors = monitors
        self.pager = pager
        self.did: list[Event] = async_capture_events(hass, "did")

    @property
    def monitor(self) -> FakeMonitor:
        """Return the monitor in use: a reload makes another one."""
        return self._monitors[-1]

    @property
    def entry(self) -> MockConfigEntry:
        """Return the entry of the accounts."""
        (entry,) = self.hass.config_entries.async_entries(DOMAIN)
        assert isinstance(entry, MockConfigEntry)
        return entry

    def device(self, account: str) -> str:
        """Return the id of an account's device."""
        return device_of(self.hass, self.entry, ACCOUNTS[account].account_id).id

    @property
    def hub(self) -> str:
        """Return the id of the hub's device."""
        return device_of(self.hass, self.entry, self.entry.entry_id).id

    def config(self, *accounts: str, **inputs: Any) -> dict[str, Any]:
        """Return an automation made from the blueprint."""
        inputs.setdefault("accounts", [self.device(account) for account in accounts])
        return blueprint_config(self.hass, **inputs)

    async def automate(self, *accounts: str, **inputs: Any) -> None:
        """Make an automation from the blueprint."""
        config = self.config(*accounts, **inputs)
        assert await async_setup_component(
            self.hass, automation.DOMAIN, {automation.DOMAIN: [config]}
        )
        await self.hass.async_block_till_done()
        assert value(self.hass, "automation.one") == "on"

    async def save(self, *accounts: str, **inputs: Any) -> None:
        """Save the automation, which loads it anew."""
        config = self.config(*accounts, **inputs)
        with patch(
            "homeassistant.config.async_hass_config_yaml",
            return_value={automation.DOMAIN: [config]},
        ):
            await self.hass.services.async_call(
                automation.DOMAIN, "reload", blocking=True
            )
        await self.hass.async_block_till_done()

    async def run_by_hand(self) -> None:
        """Run the automation as its menu does."""
        await self.hass.services.async_call(
            automation.DOMAIN, "trigger", {"entity_id": "automation.one"}, blocking=True
        )
        await self.hass.async_block_till_done()

    async def show(self, account: str, link: Any) -> None:
        """Show another state of an account."""
        self.monitor.push(ACCOUNTS[account].account_id, link)
        await self.hass.async_block_till_done()

    async def lasts(self, *, minutes: float = 0, hours: float = 0) -> None:
        """Let time pass, by the half minute."""
        end = self.now + timedelta(minutes=minutes, hours=hours)
        while self.now < end:
            await self.until(min(end, self.now + timedelta(seconds=30)))

    async def until(self, moment: datetime) -> None:
        """Let it be a moment."""
        self.freezer.move_to(moment)
        async_fire_time_changed(self.hass, moment)
        await self.hass.async_block_till_done()

    @property
    def now(self) -> datetime:
        """Return what time it is."""
        return datetime.now(UTC)

    def messages(self) -> list[str]:
        """Return what the pager got since the last call."""
        messages = self.pager.messages[:]
        self.pager.messages.clear()
        return messages

    def phases(self) -> list[str]:
        """Return what the actions that a person added were told of since the last call."""
        phases = [event.data["phase"] for event in self.did]
        self.did.clear()
        return phases

    def shown(self) -> dict[str, str]:
        """Return the notifications that Home Assistant shows itself: titles by id."""
        notifications = _async_get_or_create_notifications(self.hass)
        return {
            key: str(notification["title"])
            for key, notification in notifications.items()
        }

    def reconnects(self) -> list[str]:
        """Return the accounts that were reconnected since the last call."""
        names = {account.account_id: name for name, account in ACCOUNTS.items()}
        reconnects = [
            names.get(account_id, account_id)
            for account_id, _ in self.monitor.reconnects
        ]
        self.monitor.reconnects.clear()
        return reconnects

    def reconnects_fail(
        self, outcome: Outcome = Outcome.TIMED_OUT, error: str | None = None
    ) -> None:
        """Let no reconnect bring a terminal back."""
        for account in ACCOUNTS.values():
            self.monitor.reconnect_results[account.account_id] = [
                ReconnectResult(outcome, 60.0, error)
            ] * 20

    def reconnects_work(self) -> None:
        """Let the next reconnect bring a terminal back."""
        self.monitor.reconnect_results.clear()
        ask = self.monitor.on_reconnect

        async def attempt(account_id: str) -> ReconnectResult:
            result = await ask(account_id)
            self.monitor.push(account_id, CONNECTED)
            return result

        self.monitor.on_reconnect = attempt
