"""The action `metaapi.reconnect`, and what the buttons share with it."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

import voluptuous as vol

from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import CONF_TIMEOUT, ENTITY_MATCH_ALL
from homeassistant.core import (
    HomeAssistant,
    ServiceCall,
    ServiceResponse,
    SupportsResponse,
    callback,
)
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.helpers import (
    config_validation as cv,
    device_registry as dr,
    entity_registry as er,
)
from homeassistant.helpers.target import (
    TargetSelection,
    async_extract_referenced_entity_ids,
)
from homeassistant.helpers.translation import async_get_cached_translations

from .api import Outcome, ReconnectResult
from .const import (
    CONF_ACCOUNT_ID,
    DEFAULT_TIMEOUT,
    DOMAIN,
    MAX_TIMEOUT,
    MIN_TIMEOUT,
    SERVICE_RECONNECT,
    SUBENTRY_ACCOUNT,
)
from .data import MetaApiConfigEntry
from .device import async_device_name

# Unlike that of an entity action, it lets a call without a target pass: our own error says what to choose
RECONNECT_SCHEMA = vol.Schema(
    {
        vol.Remove("metadata"): dict,
        **cv.ENTITY_SERVICE_FIELDS,
        vol.Optional(CONF_TIMEOUT, default=DEFAULT_TIMEOUT): vol.All(
            vol.Coerce(float), vol.Range(min=MIN_TIMEOUT, max=MAX_TIMEOUT)
        ),
    }
)

FAILURES = {
    Outcome.REFUSED: "reconnect_refused",
    Outcome.TIMED_OUT: "reconnect_timed_out",
    Outcome.NOT_DEPLOYED: "reconnect_not_deployed",
    Outcome.NO_CONNECTION: "reconnect_no_connection",
    Outcome.CONNECTION_LOST: "reconnect_lost",
    Outcome.TOKEN_REFUSED: "reconnect_token_refused",
}


@dataclass(frozen=True, slots=True)
class Target:
    """An account that an action or a button means."""

    hass: HomeAssistant
    entry: MetaApiConfigEntry
    account_id: str

    @property
    def name(self) -> str:
        """Return the name of the account's device."""
        return async_device_name(self.hass, self.entry, self.account_id)


@callback
def async_setup_services(hass: HomeAssistant) -> None:
    """Register the action."""
    hass.services.async_register(
        DOMAIN,
        SERVICE_RECONNECT,
        _async_handle_reconnect,
        schema=RECONNECT_SCHEMA,
        supports_response=SupportsResponse.OPTIONAL,
    )


async def async_reconnect_or_raise(
    hass: HomeAssistant, targets: Iterable[Target], timeout: float = DEFAULT_TIMEOUT
) -> None:
    """Reconnect accounts; raises one error that names those that failed."""
    results = await _async_reconnect(targets, timeout)
    if failures := [
        (target, result)
        for target, result in results
        if result.outcome is not Outcome.AUTHENTICATED
    ]:
        raise _error(hass, failures)


async def _async_handle_reconnect(call: ServiceCall) -> ServiceResponse:
    """Reconnect what the call targets; with a response asked for, failures are part of it."""
    targets = _async_resolve(call)
    timeout: float = call.data[CONF_TIMEOUT]
    if not call.return_response:
        await async_reconnect_or_raise(call.hass, targets, timeout)
        return None
    return {
        "accounts": [
            {
                "account_id": target.account_id,
                "name": target.name,
                "outcome": result.outcome.value,
                "seconds": round(result.seconds, 1),
                "error": result.error,
            }
            for target, result in await _async_reconnect(targets, timeout)
        ]
    }


async def _async_reconnect(
    targets: Iterable[Target], timeout: float
) -> list[tuple[Target, ReconnectResult]]:
    """Reconnect accounts at the same time and return what came of each."""
    targets = list(targets)
    results = await asyncio.gather(
        *(
            target.entry.runtime_data.accounts.async_reconnect(
                target.account_id, timeout
            )
            for target in targets
        )
    )
    return list(zip(targets, results, strict=True))


@callback
def _async_resolve(call: ServiceCall) -> list[Target]:
    """Return the accounts that a call targets; what is not ours is left out."""
    hass = call.hass
    selection = TargetSelection(call.data)
    selected = async_extract_referenced_entity_ids(hass, selection)
    # Ids of entries, ours or not, and of subentries; none for a hub, which means all accounts
    wanted: set[tuple[str | None, str | None]] = set()
    if ENTITY_MATCH_ALL in selection.entity_ids:
        entries = hass.config_entries.async_entries(DOMAIN, include_disabled=False)
        wanted.update((entry.entry_id, None) for entry in entries)
    device_registry = dr.async_get(hass)
    for device_id in selected.referenced_devices:
        device = device_registry.async_get(device_id)
        if device is not None and not device.disabled:
            wanted.add((device.config_entry_id, device.config_subentry_id))
    entity_registry = er.async_get(hass)
    for entity_id in selected.referenced | selected.indirectly_referenced:
        entity = entity_registry.async_get(entity_id)
        if entity is not None:
            wanted.add((entity.config_entry_id, entity.config_subentry_id))

    targets: list[Target] = []
    entry: MetaApiConfigEntry
    for entry in hass.config_entries.async_entries(DOMAIN):
        account_ids = [
            subentry.data[CONF_ACCOUNT_ID]
            for subentry in entry.get_subentries_of_type(SUBENTRY_ACCOUNT)
            if not wanted.isdisjoint(
                {(entry.entry_id, None), (entry.entry_id, subentry.subentry_id)}
            )
        ]
        if account_ids and entry.state is not ConfigEntryState.LOADED:
            raise ServiceValidationError(
                translation_domain=DOMAIN,
                translation_key="entry_not_loaded",
                translation_placeholders={"entry": entry.title},
            )
        targets.extend(Target(hass, entry, account_id) for account_id in account_ids)
    if not targets:
        raise ServiceValidationError(
            translation_domain=DOMAIN, translation_key="no_account_in_target"
        )
    return targets


def _error(
    hass: HomeAssistant, failures: Iterable[tuple[Target, ReconnectResult]]
) -> HomeAssistantError:
    """Return one error for all failures: accounts that failed for one reason are named together."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for target, result in failures:
        reason = (FAILURES[result.outcome], result.error or "")
        reasons.setdefault(reason, []).append(target.name)
    errors = [
        HomeAssistantError(
            translation_domain=DOMAIN,
            translation_key=key,
            translation_placeholders={"accounts": ", ".join(names), "error": error},
        )
        for (key, error), names in reasons.items()
    ]
    if len(errors) == 1:
        return errors[0]
    return HomeAssistantError(
        translation_domain=DOMAIN,
        translation_key="reconnect_failed",
        translation_placeholders={
            "reasons": "; ".join(_localized(hass, error) for error in errors)
        },
    )


def _localized(hass: HomeAssistant, error: HomeAssistantError) -> str:
    """Return an error's text in the language of the home; the error alone knows English only."""
    texts = async_get_cached_translations(
        hass, hass.config.language, "exceptions", DOMAIN
    )
    text = texts.get(f"component.{DOMAIN}.exceptions.{error.translation_key}.message")
    if text is None:
        return str(error)
    return text.rstrip(".").format(**error.translation_placeholders or {})
