"""Home Assistant wants a flow of an integration that has entries."""

from homeassistant.config_entries import ConfigFlow

from . import DOMAIN


class EmptyConfigFlow(ConfigFlow, domain=DOMAIN):
    """A flow without steps."""
