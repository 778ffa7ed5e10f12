"""The target of a trigger or a condition, followed while it is in use."""

from datetime import datetime
from typing import Any

from homeassistant.config_entries import (
    SIGNAL_CONFIG_ENTRY_CHANGED,
    ConfigEntry,
    ConfigEntryChange,
)
from homeassistant.const import ATTR_DEVICE_ID, ATTR_ENTITY_ID, ENTITY_MATCH_ALL
from homeassistant.core import CALLBACK_TYPE, Event, HassJob, HomeAssistant, callback
from homeassistant.helpers import (
    area_registry as ar,
    device_registry as dr,
    entity_registry as er,
    floor_registry as fr,
    issue_registry as ir,
    label_registry as lr,
)
from homeassistant.helpers.dispatcher import async_dispatcher_connect
from homeassistant.helpers.event import async_call_later
from homeassistant.helpers.start import async_at_started
from homeassistant.util.hass_dict import HassKey

from .account_target import async_target_accounts
from .const import DOMAIN, LOGGER

CHECK_DELAY = 5
"""Seconds after a change of a registry: many come at once."""
DATA_MEANINGLESS: HassKey[dict[str, set[TrackedTarget]]] = HassKey(
    f"{DOMAIN}_meaningless"
)
"""The targets that name what means no account, by what they name."""

REGISTRY_EVENTS = (
    ar.EVENT_AREA_REGISTRY_UPDATED,
    dr.EVENT_DEVICE_REGISTRY_UPDATED,
    er.EVENT_ENTITY_REGISTRY_UPDATED,
    fr.EVENT_FLOOR_REGISTRY_UPDATED,
    lr.EVENT_LABEL_REGISTRY_UPDATED,
)


class TrackedTarget:
    """The accounts that a target means, looked up anew when a registry changes."""

    def __init__(self, hass: HomeAssistant, target: dict[str, Any]) -> None:
        """Take a target as it is configured."""
        self._hass = hass
        self._target = dict(target)
        self._accounts: dict[str, ConfigEntry] | None = None
        # The members of a group are in its state, and no registry tells of them
        self._cacheable = not any(
            entity_id.startswith("group.")
            for entity_id in self._target.get(ATTR_ENTITY_ID, ())
        )
        self._meaningless: set[str] = set()
        self._unsubscribe: list[CALLBACK_TYPE] = []
        self._cancel_check: CALLBACK_TYPE | None = None
        self._check_job = HassJob(self._async_check, cancel_on_shutdown=True)

    @property
    def accounts(self) -> dict[str, ConfigEntry]:
        """Return the entries of the accounts that the target means now, by account."""
        if self._accounts is None or not self._cacheable:
            self._accounts = {
                account_id: entry
                for entry, account_id in async_target_accounts(self._hass, self._target)
            }
        return self._accounts

    @callback
    def async_attach(self) -> CALLBACK_TYPE:
        """Follow registries, and tell what means nothing; returns what ends that."""
        listen = self._hass.bus.async_listen
        self._unsubscribe = [
            *(listen(event, self._async_registry_changed) for event in REGISTRY_EVENTS),
            async_dispatcher_connect(
                self._hass, SIGNAL_CONFIG_ENTRY_CHANGED, self._async_entry_changed
            ),
            async_at_started(self._hass, self._async_check_soon),
        ]
        return self._async_detach

    @callback
    def _async_detach(self) -> None:
        """Follow no more; what is told of this target goes with it."""
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        if self._cancel_check is not None:
            self._cancel_check()
        self._async_tell(set())

    @callback
    def _async_registry_changed(self, event: Event[Any]) -> None:
        """Look the accounts up again; follow an entity that got another id."""
        entity_ids = self._target.get(ATTR_ENTITY_ID, ())
        if (old := event.data.get("old_entity_id")) and old in entity_ids:
            new = event.data["entity_id"]
            self._target[ATTR_ENTITY_ID] = [
                new if entity_id == old else entity_id for entity_id in entity_ids
            ]
        self._async_changed()

    @callback
    def _async_entry_changed(
        self, _change: ConfigEntryChange, entry: ConfigEntry
    ) -> None:
        """Look the accounts up again."""
        if entry.domain == DOMAIN:
            self._async_changed()

    @callback
    def _async_changed(self) -> None:
        """Look the accounts up again, when somebody asks; see soon what means nothing."""
        self._accounts = None
        if self._hass.is_running:
            self._async_check_soon(self._hass)

    @callback
    def _async_check_soon(self, _hass: HomeAssistant) -> None:
        """Look soon, and once for many changes, what means nothing."""
        if self._cancel_check is None:
            self._cancel_check = async_call_later(
                self._hass, CHECK_DELAY, self._check_job
            )

    @callback
    def _async_check(self, _now: datetime) -> None:
        """Find what of the target means no account."""
        self._cancel_check = None
        self._async_tell(
            {
                f"{kind}: {one}"
                for kind, ids in self._target.items()
                if isinstance(ids, list)
                for one in ids
                if not self._async_means_something(kind, one)
            }
        )

    @callback
    def _async_means_something(self, kind: str, one: str) -> bool:
        """Return whether one thing that the target names exists; a place has to have an account as well."""
        if kind == ATTR_ENTITY_ID:
            return (
                one == ENTITY_MATCH_ALL
                or one in er.async_get(self._hass).entities
                or self._hass.states.get(one) is not None
            )
        if kind == ATTR_DEVICE_ID:
            return dr.async_get(self._hass).async_get(one) is not None
        return bool(async_target_accounts(self._hass, {kind: [one]}))

    @callback
    def _async_tell(self, meaningless: set[str]) -> None:
        """Raise an issue for each thing that means nothing, and take back the others."""
        told = self._hass.data.setdefault(DATA_MEANINGLESS, {})
        for one in self._meaningless - meaningless:
            told[one].discard(self)
            if not told[one]:
                del told[one]
                ir.async_delete_issue(self._hass, DOMAIN, f"unknown_target_{one}")
        for one in meaningless - self._meaningless:
            if one not in told:
                LOGGER.warning(
                    "A trigger names what means no account of MetaApi: %s", one
                )
                ir.async_create_issue(
                    self._hass,
                    DOMAIN,
                    f"unknown_target_{one}",
                    is_fixable=False,
                    severity=ir.IssueSeverity.WARNING,
                    translation_key="unknown_target",
                    translation_placeholders={"target": one},
                )
            told.setdefault(one, set()).add(self)
        self._meaningless = meaningless


@callback
def async_entity_id(
    hass: HomeAssistant, platform: str, account_id: str, key: str
) -> str | None:
    """Return the id of an account's entity, whatever a person made of it."""
    return er.async_get(hass).async_get_entity_id(
        platform, DOMAIN, f"{account_id}_{key}"
    )
