"""How an account shows in Home Assistant: its device and title, kept up with what MetaApi says."""

from urllib.parse import quote

from homeassistant.config_entries import ConfigEntry, ConfigSubentry
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import device_registry as dr

from .api import Account
from .const import (
    ACCOUNT_URL,
    CONF_ACCOUNT_ID,
    CONF_REGION,
    DOMAIN,
    MANUFACTURER,
    SUBENTRY_ACCOUNT,
    WEB_APP_URL,
)


@callback
def async_update_hub(hass: HomeAssistant, entry: ConfigEntry) -> None:
    """Create the device of the entry itself, or give it the name that the entry has now."""
    dr.async_get(hass).async_get_or_create(
        config_entry_id=entry.entry_id,
        identifiers={(DOMAIN, entry.entry_id)},
        entry_type=dr.DeviceEntryType.SERVICE,
        name=entry.title,
        manufacturer=MANUFACTURER,
        configuration_url=WEB_APP_URL,
    )


@callback
def async_create_device(
    hass: HomeAssistant,
    entry: ConfigEntry,
    subentry: ConfigSubentry,
    account: Account | None,
) -> None:
    """Create the device of an account, or update it; None if nothing is known of the account."""
    account_id = subentry.data[CONF_ACCOUNT_ID]
    info = dr.DeviceInfo(
        identifiers={(DOMAIN, account_id)},
        entry_type=dr.DeviceEntryType.SERVICE,
        manufacturer=MANUFACTURER,
        configuration_url=f"{ACCOUNT_URL}/{quote(account_id, safe='')}",
        via_device_id=dr.async_get_device_id_by_identifier(
            hass, (DOMAIN, entry.entry_id), config_entry_id=entry.entry_id
        ),
    )
    if account is not None:
        info["name"] = account.title
        info["model"] = account_model(account)
        info["serial_number"] = account.login or None
    elif async_get_device(hass, entry, account_id) is None:
        # A device that exists keeps what was known: the user may have given the title
        info["name"] = subentry.title
    dr.async_get(hass).async_get_or_create(
        config_entry_id=entry.entry_id, config_subentry_id=subentry.subentry_id, **info
    )


@callback
def async_get_device(
    hass: HomeAssistant, entry: ConfigEntry, account_id: str
) -> dr.DeviceEntry | None:
    """Return the device of an account."""
    return dr.async_get(hass).async_get_device_by_identifier(
        (DOMAIN, account_id), entry.entry_id
    )


@callback
def async_account_name(hass: HomeAssistant, entry: ConfigEntry, account_id: str) -> str:
    """Return the name of an account as its device shows it."""
    if device := async_get_device(hass, entry, account_id):
        return device.name_by_user or device.name or account_id
    subentry = account_subentry(entry, account_id)
    return subentry.title if subentry else account_id


def account_subentries(entry: ConfigEntry) -> list[ConfigSubentry]:
    """Return the subentries of an entry that hold its accounts."""
    return list(entry.get_subentries_of_type(SUBENTRY_ACCOUNT))


def account_subentry(entry: ConfigEntry, account_id: str) -> ConfigSubentry | None:
    """Return the subentry that holds an account, unless it was removed."""
    return next(
        (
            subentry
            for subentry in account_subentries(entry)
            if subentry.data[CONF_ACCOUNT_ID] == account_id
        ),
        None,
    )


def account_model(account: Account) -> str | None:
    """Return the platform and the server of an account, as far as they are known."""
    return " · ".join(filter(None, (account.platform, account.server))) or None


@callback
def async_follow_account(
    hass: HomeAssistant, entry: ConfigEntry, subentry: ConfigSubentry, account: Account
) -> None:
    """Follow an account that got another name or region at MetaApi."""
    title = subentry.title
    device = async_get_device(hass, entry, account.account_id)
    if device is not None:
        name = account.title
        if title == device.name:
            title = name
        dr.async_get(hass).async_update_device(
            device.id,
            name=name,
            model=account_model(account),
            serial_number=account.login or None,
        )
    hass.config_entries.async_update_subentry(
        entry,
        subentry,
        title=title,
        data={
            **subentry.data,
            CONF_REGION: account.region or subentry.data[CONF_REGION],
        },
    )
