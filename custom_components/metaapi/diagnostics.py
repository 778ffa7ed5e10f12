"""Diagnostics of an entry and of an account, which a person can publish."""

from dataclasses import asdict
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import CONF_TOKEN
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import device_registry as dr

from .api import STREAMING, TokenClaims, read_claims
from .const import (
    CONF_ACCOUNT_ID,
    CONF_API_URL,
    CONF_APPLICATION,
    CONF_REGION,
    MANUFACTURER,
)
from .data import MetaApiConfigEntry
from .device import account_subentries, async_get_device
from .redaction import REDACTED, Redactor

_PART_MIN = 16
"""A part of a token that is shorter may be a word."""

LIBRARIES = ("aiohttp", "python-engineio", "python-socketio")


async def async_get_config_entry_diagnostics(
    hass: HomeAssistant, entry: MetaApiConfigEntry
) -> dict[str, Any]:
    """Return the diagnostics of an entry."""
    return await _async_diagnostics(hass, entry)


async def async_get_device_diagnostics(
    hass: HomeAssistant, entry: MetaApiConfigEntry, device: dr.DeviceEntry
) -> dict[str, Any]:
    """Return the diagnostics of an account, or of the entry for its hub; labels are the same in both."""
    subentry = entry.subentries.get(device.config_subentry_id or "")
    return await _async_diagnostics(
        hass, entry, subentry.data[CONF_ACCOUNT_ID] if subentry is not None else None
    )


async def _async_diagnostics(
    hass: HomeAssistant, entry: MetaApiConfigEntry, account_id: str | None = None
) -> dict[str, Any]:
    """Return the diagnostics of an entry, or of one of its accounts."""
    claims = read_claims(entry.data[CONF_TOKEN])
    diagnostics: dict[str, Any] = {
        "versions": await hass.async_add_executor_job(_versions),
        "entry": {
            "version": f"{entry.version}.{entry.minor_version}",
            "state": entry.state.value,
            "reason": entry.reason,
            "disabled_by": entry.disabled_by,
            "own_server": CONF_API_URL in entry.data,
            "own_application": CONF_APPLICATION in entry.data,
        },
        "token": _describe_token(claims),
        "accounts": [
            {
                "account_id": subentry.data[CONF_ACCOUNT_ID],
                "title": subentry.title,
                "region": subentry.data[CONF_REGION],
                **_facts(entry, subentry.data[CONF_ACCOUNT_ID]),
            }
            for subentry in account_subentries(entry)
            if account_id in (None, subentry.data[CONF_ACCOUNT_ID])
        ],
    }
    if entry.state is ConfigEntryState.LOADED:
        facts = entry.runtime_data.facts
        links = entry.runtime_data.monitor.diagnostics()
        diagnostics["rest"] = {
            "lists_accounts": facts.can_list,
            "last_error": facts.last_error,
        }
        diagnostics["links"] = links if account_id is None else _only(links, account_id)
    redacted: dict[str, Any] = _async_redactor(hass, entry, claims).redact(diagnostics)
    return redacted


def _versions() -> dict[str, str]:
    """Return the versions of the libraries that the link is made of."""
    return {library: version(library) for library in LIBRARIES}


def _describe_token(claims: TokenClaims) -> dict[str, Any]:
    """Return what a token says of itself, except whose it is."""
    applications = claims.applications
    return {
        "issued_at": claims.issued_at and claims.issued_at.isoformat(),
        "expires_at": claims.expires_at and claims.expires_at.isoformat(),
        "may_list_accounts": claims.can_list_accounts,
        "may_stream": None if applications is None else STREAMING in applications,
    }


def _facts(entry: MetaApiConfigEntry, account_id: str) -> dict[str, Any]:
    """Return what REST says of an account."""
    if entry.state is not ConfigEntryState.LOADED:
        return {}
    account = entry.runtime_data.facts.accounts.get(account_id)
    return {"facts": asdict(account) if account is not None else None}


def _only(links: dict[str, Any], account_id: str) -> dict[str, Any]:
    """Return what concerns one account: of the events its own, and those of all."""
    accounts = [
        account for account in links["accounts"] if account["account_id"] == account_id
    ]
    ids = {account_id, None}
    for account in accounts:
        ids.update(replica["account_id"] for replica in account["replicas"])
    return {
        **links,
        "accounts": accounts,
        "events": [
            event for event in links["events"] if event.get("account_id") in ids
        ],
    }


@callback
def _async_redactor(
    hass: HomeAssistant, entry: MetaApiConfigEntry, claims: TokenClaims
) -> Redactor:
    """Return what takes out all that we know of the user."""
    redactor = Redactor()
    token: str = entry.data[CONF_TOKEN]
    redactor.add(token, REDACTED)
    for part in token.split("."):
        if len(part) >= _PART_MIN:
            redactor.add(part, REDACTED)
    redactor.add(claims.owner_id, "owner")
    redactor.add(entry.unique_id, "owner")
    if api_url := entry.data.get(CONF_API_URL):
        redactor.add(api_url, "own server")
        redactor.add(urlsplit(api_url).netloc, "own server")
        redactor.add(urlsplit(api_url).hostname, "own server")
    for number, subentry in enumerate(account_subentries(entry), 1):
        account_id: str = subentry.data[CONF_ACCOUNT_ID]
        redactor.add(account_id, f"account {number}")
        facts = _facts(entry, account_id).get("facts") or {}
        for index, replica in enumerate(facts.get("replicas", ()), 1):
            redactor.add(replica["account_id"], f"replica {index} of account {number}")
        redactor.add(facts.get("login"), f"login {number}")
        redactor.add(facts.get("server"), f"server {number}")
        device = async_get_device(hass, entry, account_id)
        _add_names(
            redactor,
            f"name {number}",
            subentry.title,
            facts.get("name"),
            device.name if device is not None else None,
            device.name_by_user if device is not None else None,
        )
    _add_names(redactor, "name of the entry", entry.title)
    _add_names(redactor, "own application", entry.data.get(CONF_APPLICATION))
    return redactor


def _add_names(redactor: Redactor, label: str, *names: str | None) -> None:
    """Redact names, except the one that half of the texts hold."""
    for name in names:
        if name != MANUFACTURER:
            redactor.add(name, label)
