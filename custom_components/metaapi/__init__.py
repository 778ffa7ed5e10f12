"""MetaApi: watches links to MetaTrader terminals in MetaApi's cloud and repairs them."""

import asyncio

from homeassistant.const import CONF_TOKEN, EVENT_HOMEASSISTANT_STOP, Platform
from homeassistant.core import Event, HomeAssistant
from homeassistant.exceptions import ConfigEntryNotReady
from homeassistant.helpers import config_validation as cv, device_registry as dr
from homeassistant.helpers.aiohttp_client import (
    async_create_clientsession,
    async_get_clientsession,
)
from homeassistant.helpers.typing import ConfigType

from .api import Endpoints, Monitor, Provisioning, Timing
from .const import (
    CONF_API_URL,
    CONF_APPLICATION,
    DEFAULT_APPLICATION,
    DOMAIN,
    MANUFACTURER,
    SETUP_TIMEOUT,
    WEB_APP_URL,
)
from .coordinator import MetaApiConfigEntry, MetaApiCoordinator
from .delivery import async_setup_delivery
from .issues import ExpiryIssue, async_setup_issues
from .outages import async_get_outages, async_remove_last_known
from .services import async_setup_services

CONFIG_SCHEMA = cv.config_entry_only_config_schema(DOMAIN)
PLATFORMS = [
    Platform.BINARY_SENSOR,
    Platform.BUTTON,
    Platform.EVENT,
    Platform.SENSOR,
]
TIMING = Timing()


async def async_setup(hass: HomeAssistant, config: ConfigType) -> bool:
    """Set up what all entries share."""
    await async_get_outages(hass)
    async_setup_issues(hass)
    async_setup_services(hass)
    async_setup_delivery(hass)
    return True


async def async_setup_entry(hass: HomeAssistant, entry: MetaApiConfigEntry) -> bool:
    """Set up the accounts of one token."""
    token = entry.data[CONF_TOKEN]
    endpoints = Endpoints(api_url=entry.data.get(CONF_API_URL))
    monitor = Monitor(
        async_create_clientsession(hass),
        token,
        endpoints=endpoints,
        application=entry.data.get(CONF_APPLICATION, DEFAULT_APPLICATION),
        timing=TIMING,
    )
    # Runs after a failed set-up as well
    entry.async_on_unload(monitor.close)

    async def async_stop(_event: Event) -> None:
        """Close the sockets: Home Assistant does not unload entries when it stops."""
        await monitor.close()

    entry.async_on_unload(
        hass.bus.async_listen_once(EVENT_HOMEASSISTANT_STOP, async_stop)
    )
    ExpiryIssue(hass, entry)
    provisioning = Provisioning(async_get_clientsession(hass), token, endpoints)
    coordinator = MetaApiCoordinator(hass, entry, monitor, provisioning)
    try:
        async with asyncio.timeout(SETUP_TIMEOUT):
            await coordinator.async_config_entry_first_refresh()
    except TimeoutError as err:
        raise ConfigEntryNotReady(
            translation_domain=DOMAIN, translation_key="no_answer"
        ) from err
    entry.runtime_data = coordinator
    dr.async_get(hass).async_get_or_create(
        config_entry_id=entry.entry_id,
        identifiers={(DOMAIN, entry.entry_id)},
        entry_type=dr.DeviceEntryType.SERVICE,
        name=entry.title,
        manufacturer=MANUFACTURER,
        configuration_url=WEB_APP_URL,
    )
    coordinator.async_watch()
    await hass.config_entries.async_forward_entry_setups(entry, PLATFORMS)
    entry.async_on_unload(entry.add_update_listener(_async_updated))
    # The accounts may have changed since they are under watch
    await coordinator.async_accounts_changed()
    return True


async def async_unload_entry(hass: HomeAssistant, entry: MetaApiConfigEntry) -> bool:
    """Unload an entry; its sockets close by what set-up registered."""
    return await hass.config_entries.async_unload_platforms(entry, PLATFORMS)


async def async_remove_entry(hass: HomeAssistant, entry: MetaApiConfigEntry) -> None:
    """Leave nothing behind when the last entry goes."""
    await async_remove_last_known(hass)


async def _async_updated(hass: HomeAssistant, entry: MetaApiConfigEntry) -> None:
    """Mind accounts that were added or removed; no other change concerns the set-up."""
    await entry.runtime_data.async_accounts_changed()
