"""The runtime data of an entry: entities, the action and diagnostics take what they need from it."""

from dataclasses import dataclass

from homeassistant.config_entries import ConfigEntry

from .accounts import Accounts
from .api import Monitor
from .facts import Facts


@dataclass(frozen=True, slots=True)
class MetaApiData:
    """What belongs to one token while its entry is loaded."""

    monitor: Monitor
    facts: Facts
    accounts: Accounts


type MetaApiConfigEntry = ConfigEntry[MetaApiData]
