"""The demo's accounts, with the names that the simulator gives them."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class DemoAccount:
    """An account, and its states in Home Assistant once the demo is up."""

    name: str
    terminal: str
    broker: str
    status: str

    @property
    def slug(self) -> str:
        """Return the prefix of its entity ids."""
        return self.name.lower().replace(" ", "_")

    @property
    def terminal_id(self) -> str:
        """Return the entity id of its terminal sensor."""
        return f"binary_sensor.{self.slug}_terminal"

    @property
    def broker_id(self) -> str:
        """Return the entity id of its broker sensor."""
        return f"binary_sensor.{self.slug}_broker"

    @property
    def status_id(self) -> str:
        """Return the entity id of its status sensor."""
        return f"sensor.{self.slug}_status"

    @property
    def button_id(self) -> str:
        """Return the entity id of its button."""
        return f"button.{self.slug}_reconnect"

    @property
    def entity_ids(self) -> tuple[str, ...]:
        """Return the entity ids that the demo uses."""
        return (self.terminal_id, self.broker_id, self.status_id, self.button_id)

    def is_shown(self, states: Mapping[str, str]) -> bool:
        """Return whether the sensors have the expected states."""
        shown = tuple(states.get(each) for each in self.entity_ids[:3])
        return shown == (self.terminal, self.broker, self.status)

    def is_on(self, states: Mapping[str, str]) -> bool:
        """Return whether the terminal sensor is on."""
        return states.get(self.terminal_id) == "on"

    def has_broker(self, states: Mapping[str, str]) -> bool:
        """Return whether the broker sensor is on."""
        return states.get(self.broker_id) == "on"


UP = DemoAccount("Swing", "on", "on", "connected")
DOWN = DemoAccount("Scalper", "off", "unknown", "disconnected")
BROKER_DOWN = DemoAccount("Gold", "on", "off", "broker_disconnected")
UNDEPLOYED = DemoAccount("Night Owl", "off", "unknown", "not_deployed")
ACCOUNTS = (UP, DOWN, BROKER_DOWN, UNDEPLOYED)

AUTOMATION = "automation.reconnect_a_terminal_that_drops"
