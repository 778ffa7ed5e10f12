"""MetaApi: watch MetaTrader terminals in MetaApi's cloud, and reconnect them."""

from homeassistant.const import CONF_TOKEN, EVENT_HOMEASSISTANT_STOP, Platform
from homeassistant.core import Event, HomeAssistant
from homeassistant.helpers import config_validation as cv, device_registry as dr
from homeassistant.helpers.aiohttp_client import (
    async_create_clientsession,
    async_get_clientsession,
)
from homeassistant.helpers.typing import ConfigType

from .accounts import Accounts
from .api import Monitor, Provisioning, Timing
from .const import CONF_APPLICATION, DEFAULT_APPLICATION, DOMAIN
from .dashboard import async_setup_dashboard
from .data import MetaApiConfigEntry, MetaApiData
from .delivery import async_setup_delivery
from .device import async_update_hub
from .facts import Facts, stored_endpoints
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
    await async_setup_dashboard(hass)
    async_setup_delivery(hass)
    return True


async def async_setup_entry(hass: HomeAssistant, entry: MetaApiConfigEntry) -> bool:
    """Set up the accounts of one token.

    REST is asked first, but nothing depends on its answer: an alarm starts with what is stored.
    """
    token = entry.data[CONF_TOKEN]
    endpoints = stored_endpoints(entry)
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
    ExpiryIssue(hass, entry, monitor.check_token)
    provisioning = Provisioning(async_get_clientsession(hass), token, endpoints)
    facts = Facts(hass, entry, monitor, provisioning)
    authorized = await facts.async_first_read()
    accounts = Accounts(hass, entry, monitor, facts)
    await accounts.async_take_facts()
    entry.runtime_data = MetaApiData(monitor, facts, accounts)
    async_update_hub(hass, entry)
    accounts.async_start()
    if not authorized:
        monitor.check_token()
    await hass.config_entries.async_forward_entry_setups(entry, PLATFORMS)
    entry.async_on_unload(entry.add_update_listener(_async_updated))
    # The accounts may have changed since they are under watch
    await accounts.async_update()
    return True


async def async_unload_entry(hass: HomeAssistant, entry: MetaApiConfigEntry) -> bool:
    """Unload an entry; its sockets close by what set-up registered."""
    return await hass.config_entries.async_unload_platforms(entry, PLATFORMS)


async def async_remove_entry(hass: HomeAssistant, entry: MetaApiConfigEntry) -> None:
    """Leave nothing behind when the last entry goes."""
    await async_remove_last_known(hass)


async def async_remove_config_entry_device(
    hass: HomeAssistant, entry: MetaApiConfigEntry, device: dr.AnyDeviceEntry
) -> bool:
    """Remove an account with its device, or a device that was left behind; the hub stays with its entry."""
    if (DOMAIN, entry.entry_id) in device.identifiers:
        return False
    if (subentry_id := device.config_subentry_id or "") in entry.subentries:
        hass.config_entries.async_remove_subentry(entry, subentry_id)
    return True


async def _async_updated(hass: HomeAssistant, entry: MetaApiConfigEntry) -> None:
    """Follow accounts that were added or removed, and the name of the entry."""
    async_update_hub(hass, entry)
    await entry.runtime_data.accounts.async_update()
