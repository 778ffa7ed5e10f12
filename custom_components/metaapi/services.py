"""The action `metaapi.reconnect`, and what the buttons share with it."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

import voluptuous as vol

from homeassistant.auth.models import User
from homeassistant.auth.permissions.const import POLICY_CONTROL
from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import (
    ATTR_ENTITY_ID,
    CONF_EXCLUDE,
    CONF_TIMEOUT,
    ENTITY_MATCH_ALL,
    Platform,
)
from homeassistant.core import (
    Context,
    HomeAssistant,
    ServiceCall,
    ServiceResponse,
    SupportsResponse,
    callback,
)
from homeassistant.exceptions import (
    HomeAssistantError,
    ServiceValidationError,
    Unauthorized,
    UnknownUser,
)
from homeassistant.helpers import config_validation as cv, entity_registry as er
from homeassistant.util.json import JsonValueType

from .account_target import async_target_accounts
from .api import Outcome, ReconnectResult
from .const import (
    CONF_ACCOUNT_ID,
    DEFAULT_TIMEOUT,
    DOMAIN,
    MAX_TIMEOUT,
    MIN_TIMEOUT,
    SERVICE_RECONNECT,
)
from .data import MetaApiConfigEntry
from .device import account_subentries, account_subentry, async_account_name

REMOVED = "removed"
"""What is told of an account that was removed from Home Assistant while it was reconnected."""

_TARGET = {
    key: value for key, value in cv.ENTITY_SERVICE_FIELDS.items() if key != CONF_EXCLUDE
}

# Unlike that of an entity action, it lets a call without a target pass: our own error says what to choose
RECONNECT_SCHEMA = vol.Schema(
    {
        vol.Remove("metadata"): dict,
        **_TARGET,
        vol.Optional(CONF_EXCLUDE): vol.Schema(_TARGET),
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
    REMOVED: "reconnect_removed",
}
"""Keys of the texts, by outcome."""


@dataclass(frozen=True, slots=True)
class Target:
    """An account that an action or a button means."""

    entry: MetaApiConfigEntry
    account_id: str
    name: str
    """As its device shows it; kept, since the account may be removed meanwhile."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What came of the reconnect of an account."""

    target: Target
    outcome: str
    result: ReconnectResult

    @property
    def error(self) -> str | None:
        """Return what MetaApi said, as far as it matters."""
        return None if self.outcome == REMOVED else self.result.error

    @property
    def told_as(self) -> str:
        """Return the name of the account, and behind it what MetaApi said."""
        name = self.target.name
        return f"{name} ({self.error})" if self.error else name

    @property
    def response(self) -> dict[str, JsonValueType]:
        """Return what the response of the action says of the account."""
        return {
            "account_id": self.target.account_id,
            "name": self.target.name,
            "outcome": self.outcome,
            "seconds": round(self.result.seconds, 1),
            "error": self.error,
        }


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


@callback
def async_target(
    hass: HomeAssistant, entry: MetaApiConfigEntry, account_id: str
) -> Target:
    """Return an account as a target."""
    return Target(entry, account_id, async_account_name(hass, entry, account_id))


async def async_reconnect_or_raise(
    hass: HomeAssistant,
    targets: Iterable[Target],
    timeout: float = DEFAULT_TIMEOUT,
    *,
    context: Context | None,
) -> None:
    """Reconnect accounts for whoever the context names; raises one error that names those that failed.

    `timeout` is in seconds.
    """
    if failures := [
        ended
        for ended in await _async_reconnect(hass, targets, timeout, context)
        if ended.outcome != Outcome.AUTHENTICATED
    ]:
        raise _error(failures)


async def _async_handle_reconnect(call: ServiceCall) -> ServiceResponse:
    """Reconnect what the call targets; with a response asked for, failures are part of it."""
    targets = _async_loaded(await _async_permitted(call, _async_resolve(call)))
    timeout: float = call.data[CONF_TIMEOUT]
    if not call.return_response:
        await async_reconnect_or_raise(
            call.hass, targets, timeout, context=call.context
        )
        return None
    return {
        "accounts": [
            ended.response
            for ended in await _async_reconnect(
                call.hass, targets, timeout, call.context
            )
        ]
    }


async def _async_reconnect(
    hass: HomeAssistant,
    targets: Iterable[Target],
    timeout: float,
    context: Context | None,
) -> list[Ended]:
    """Reconnect accounts at the same time and return what came of each."""
    return list(
        await asyncio.gather(
            *(_async_reconnect_one(hass, one, timeout, context) for one in targets)
        )
    )


async def _async_reconnect_one(
    hass: HomeAssistant, target: Target, timeout: float, context: Context | None
) -> Ended:
    """Reconnect an account and return what came of it."""
    entry = target.entry
    result = await entry.runtime_data.accounts.async_reconnect(
        target.account_id, timeout, context
    )
    removed = (
        hass.config_entries.async_get_entry(entry.entry_id) is None
        or account_subentry(entry, target.account_id) is None
    )
    if removed and result.outcome is not Outcome.AUTHENTICATED:
        return Ended(target, REMOVED, result)
    return Ended(target, result.outcome.value, result)


@callback
def _async_resolve(call: ServiceCall) -> list[Target]:
    """Return the accounts that a call targets, in the order of entries; raises if there are none."""
    hass = call.hass
    wanted = async_target_accounts(hass, call.data)
    if not wanted:
        raise ServiceValidationError(
            translation_domain=DOMAIN, translation_key="no_account_in_target"
        )
    return [
        async_target(hass, entry, subentry.data[CONF_ACCOUNT_ID])
        for entry in hass.config_entries.async_entries(DOMAIN)
        for subentry in account_subentries(entry)
        if (entry, subentry.data[CONF_ACCOUNT_ID]) in wanted
    ]


async def async_restricted_caller(call: ServiceCall) -> User | None:
    """Return who calls an action, unless that is Home Assistant or an administrator, who may do everything.

    Raises UnknownUser for one who is gone.
    """
    if call.context.user_id is None:
        return None
    user = await call.hass.auth.async_get_user(call.context.user_id)
    if user is None:
        raise UnknownUser(context=call.context)
    return None if user.is_admin else user


async def _async_permitted(call: ServiceCall, targets: list[Target]) -> list[Target]:
    """Return the targets that the caller may control, as an action of their buttons would.

    Raises Unauthorized for one that the caller may not control; `all` means those that the caller may.
    """
    user = await async_restricted_caller(call)
    if user is None:
        return targets
    registry = er.async_get(call.hass)
    refused = [one for one in targets if not _may_control(user, registry, one)]
    permitted = [one for one in targets if one not in refused]
    if refused and (call.data.get(ATTR_ENTITY_ID) != ENTITY_MATCH_ALL or not permitted):
        raise Unauthorized(
            context=call.context,
            entity_id=_button(registry, refused[0]),
            permission=POLICY_CONTROL,
        )
    return permitted


def _may_control(user: User, registry: er.EntityRegistry, target: Target) -> bool:
    """Return whether a user may press the button of an account."""
    if (entity_id := _button(registry, target)) is None:
        return user.permissions.access_all_entities(POLICY_CONTROL)
    return user.permissions.check_entity(entity_id, POLICY_CONTROL)


def _button(registry: er.EntityRegistry, target: Target) -> str | None:
    """Return the entity id of an account's Reconnect button."""
    return registry.async_get_entity_id(
        Platform.BUTTON, DOMAIN, f"{target.account_id}_{SERVICE_RECONNECT}"
    )


@callback
def _async_loaded(targets: list[Target]) -> list[Target]:
    """Return the targets if their entries are loaded, else raise."""
    for target in targets:
        if target.entry.state is not ConfigEntryState.LOADED:
            raise ServiceValidationError(
                translation_domain=DOMAIN,
                translation_key="entry_not_loaded",
                translation_placeholders={"entry": target.entry.title},
            )
    return targets


def _error(failures: list[Ended]) -> HomeAssistantError:
    """Return one error for all failures.

    It holds names and words of MetaApi's, never another sentence of ours: that would be in one language
    while the error is shown in another.
    """
    if len({(ended.outcome, ended.error) for ended in failures}) == 1:
        key = FAILURES[failures[0].outcome]
        return HomeAssistantError(
            translation_domain=DOMAIN,
            translation_key=key,
            translation_placeholders={
                "accounts": ", ".join(ended.target.name for ended in failures),
                "error": failures[0].error or "",
            },
        )
    return HomeAssistantError(
        translation_domain=DOMAIN,
        translation_key="reconnect_failed",
        translation_placeholders={
            "accounts": ", ".join(ended.told_as for ended in failures)
        },
    )
