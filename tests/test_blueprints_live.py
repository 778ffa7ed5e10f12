"""Test triggers and blueprints end to end over loopback, with seconds instead of minutes."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    async_capture_events,
)

from homeassistant.components import automation
from homeassistant.const import STATE_OFF, STATE_ON, STATE_UNAVAILABLE
from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component
from simulator import Simulator

from .blueprint_support import ALSO_DO, blueprint_config
from .conftest import device_of
from .test_end_to_end import (
    BROKER,
    STATUS,
    TERMINAL,
    entry,
    fast,
    press,
    reconnect,
    sim,
    until,
    until_state,
)
from .test_trigger import automation_config

__all__ = ["entry", "fast", "sim"]


class Automation:
    """An automation, and the events that it fires."""

    def __init__(self, hass: HomeAssistant) -> None:
        """Start to listen."""
        self.hass = hass
        self.did = async_capture_events(hass, "did")
        self.fired = async_capture_events(hass, "fired")

    async def set_up(self, *configs: object) -> None:
        """Set up the automation."""
        assert await async_setup_component(
            self.hass, automation.DOMAIN, {automation.DOMAIN: list(configs)}
        )

    async def from_blueprint(self, device: str, **inputs: Any) -> None:
        """Set up an automation from the blueprint, for an account's device."""
        await self.set_up(
            blueprint_config(
                self.hass,
                accounts=[device],
                actions=[ALSO_DO],
                quiet_weekend=False,
                **inputs,
            )
        )

    def events(self) -> list[str]:
        """Return the events since the last wait."""
        return [event.data["phase"] for event in self.did]

    async def fires(self, event: str) -> None:
        """Wait until the automation fires an event, and no other one."""
        await until(lambda: self.did)
        assert self.events() == [event]
        self.did.clear()


@pytest.fixture
async def auto(
    hass: HomeAssistant, entry: MockConfigEntry, tmp_path: Path
) -> AsyncIterator[Automation]:
    """Return an automation to set up, with both accounts connected; turn it off at the end."""
    hass.config.config_dir = str(tmp_path)
    await until_state(hass, TERMINAL, STATE_ON)
    yield Automation(hass)
    await hass.services.async_call(
        automation.DOMAIN, "turn_off", {"entity_id": "all"}, blocking=True
    )


async def test_triggers(hass: HomeAssistant, sim: Simulator, auto: Automation) -> None:
    """A drop and a failed reconnect are reported, our own loss is not."""
    await auto.set_up(
        automation_config("disconnected", {"entity_id": TERMINAL}, {}, "off"),
        automation_config("connected", {"entity_id": TERMINAL}, {}, "on"),
    )

    def fired() -> list[str]:
        return [event.data["by"] for event in auto.fired]

    await press(hass)
    assert sim.account.reconnects == 1
    await sim.stop_listening()
    await until_state(hass, TERMINAL, STATE_UNAVAILABLE)
    await sim.resume_listening()
    await until_state(hass, TERMINAL, STATE_ON)
    assert fired() == []

    sim.set_terminal(sim.account.id, False)
    await until(lambda: fired() == ["off"])
    await press(hass)
    await until(lambda: fired() == ["off", "on"])

    sim.set_reconnect_mode(sim.account.id, "never")
    result = await reconnect(hass, timeout=1)
    assert result["outcome"] == "timed_out"
    await until(lambda: fired()[:3] == ["off", "on", "off"])


async def test_watch_my_terminals(
    hass: HomeAssistant, sim: Simulator, entry: MockConfigEntry, auto: Automation
) -> None:
    """A drop is reported and the button repairs it; a lost broker and server are reported as such."""
    device = device_of(hass, entry, sim.account.id)
    with patch("custom_components.metaapi.trigger_queue.GATHER", timedelta()):
        await auto.from_blueprint(
            device.id,
            disconnected_for={"seconds": 0.3},
            out_of_sight_for={"seconds": 0.3},
            broker_lost_for={"seconds": 0.3},
        )
        sim.set_reconnect_mode(sim.account.id, "refuse", error="ForbiddenError")
        sim.set_terminal(sim.account.id, False)
        await auto.fires("lost")
        button = {"action": f"METAAPI_RECONNECT_{device.id}"}
        hass.bus.async_fire("mobile_app_notification_action", button)
        await auto.fires("reconnect_failed")
        sim.set_reconnect_mode(sim.account.id, "accept")
        hass.bus.async_fire("mobile_app_notification_action", button)
        await auto.fires("back")

        await until_state(hass, BROKER, STATE_ON)
        sim.set_broker(sim.account.id, False)
        await auto.fires("lost")
        sim.set_broker(sim.account.id, True)
        await auto.fires("back")

        await sim.stop_listening()
        await until_state(hass, STATUS, "no_connection")
        await auto.fires("lost")
        await sim.resume_listening()
        await until_state(hass, TERMINAL, STATE_ON)
        await auto.fires("back")


async def test_reconnects_by_itself(
    hass: HomeAssistant, sim: Simulator, entry: MockConfigEntry, auto: Automation
) -> None:
    """The first due attempt reconnects a dropped terminal."""
    device = device_of(hass, entry, sim.account.id)
    await auto.set_up(
        {
            "alias": "One",
            "mode": "parallel",
            "triggers": {
                "trigger": "metaapi.disconnected",
                "target": {"device_id": device.id},
                "options": {"reconnect": True, "reconnect_after": {"seconds": 0.5}},
            },
            "actions": [
                {
                    "if": "{{ trigger.phase == 'reconnect_due' }}",
                    "then": [
                        {
                            "action": "metaapi.reconnect",
                            "target": {"device_id": "{{ trigger.device_id }}"},
                        }
                    ],
                }
            ],
        }
    )
    sim.set_terminal(sim.account.id, False)
    await until_state(hass, TERMINAL, STATE_OFF)
    await until_state(hass, TERMINAL, STATE_ON)
    assert sim.account.reconnects == 1
