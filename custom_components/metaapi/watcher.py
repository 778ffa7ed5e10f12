"""What a change leads to in Home Assistant: another listing, a repair issue, a log line, a new token."""

from collections.abc import Callable
from datetime import datetime

from homeassistant.config_entries import (
    SOURCE_REAUTH,
    SOURCE_RECONFIGURE,
    ConfigEntry,
    ConfigSubentry,
)
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.helpers.event import async_track_time_interval

from .api import AccountState, Monitor, Status, clean_text
from .const import CONF_ACCOUNT_ID, LOGGER, REREAD_INTERVAL
from .issues import QuotaIssue

TIMEOUTS = 5
"""After this many `TimeoutError` in a row an account may be elsewhere (SDK behavior)."""


class Watcher:
    """Is told what the accounts of an entry show, and listens to its link to MetaApi."""

    def __init__(
        self,
        hass: HomeAssistant,
        entry: ConfigEntry,
        monitor: Monitor,
        *,
        read_facts: Callable[[], None],
        stop_reading: Callable[[], None],
        resume_reading: Callable[[], None],
    ) -> None:
        """Listen to nothing yet."""
        self._hass = hass
        self._entry = entry
        self._monitor = monitor
        self._read_facts = read_facts
        self._stop_reading = stop_reading
        self._resume_reading = resume_reading
        self._quota_issue = QuotaIssue(hass, entry)
        self._states: dict[str, AccountState] = {}
        """By subentry."""
        self._connected: bool | None = None
        self._asking: CALLBACK_TYPE | None = None
        """While MetaApi refuses the token: what ends the requests for a new one."""

    @callback
    def async_start(self) -> None:
        """Listen to the link to MetaApi."""
        self._entry.async_on_unload(self._async_stop_asking)
        self._entry.async_on_unload(self._monitor.listen_link(self._async_link_changed))

    @callback
    def async_add(self, subentry: ConfigSubentry, state: AccountState) -> None:
        """Take what an account shows when it comes under watch."""
        self._states[subentry.subentry_id] = state

    @callback
    def async_forget(self, subentry_id: str) -> None:
        """Forget an account that was removed."""
        self._states.pop(subentry_id, None)
        self._quota_issue.async_forget(subentry_id)

    @callback
    def async_account_changed(
        self, subentry: ConfigSubentry, now: AccountState
    ) -> None:
        """Update the repair issue; read the facts again where they may explain a change."""
        before = self._states[subentry.subentry_id]
        self._states[subentry.subentry_id] = now
        self._quota_issue.async_update(
            subentry.subentry_id,
            subentry.title,
            now.status,
            self._monitor.limit(subentry.data[CONF_ACCOUNT_ID]),
        )
        if now.status is Status.NOT_DEPLOYED:
            return
        if (
            (now.terminal is False and before.terminal is not False)
            or (
                now.status is Status.NOT_FOUND and before.status is not Status.NOT_FOUND
            )
            or (now.available and not before.available)
            or now.timeouts // TIMEOUTS > before.timeouts // TIMEOUTS
        ):
            self._read_facts()

    @callback
    def _async_link_changed(self) -> None:
        """Log a link that was lost or is back, and follow whether MetaApi takes the token."""
        title = clean_text(self._entry.title)
        if self._monitor.token_refused:
            if self._asking is None:
                LOGGER.info("%s: MetaApi refuses the token", title)
                self._stop_reading()
                self._async_start_asking()
            return
        if self._asking is not None:
            LOGGER.info("%s: MetaApi accepts the token again", title)
            self._async_stop_asking()
            async_close_token_forms(self._hass, self._entry)
            self._resume_reading()
        before, self._connected = self._connected, self._monitor.connected
        if self._connected is False and before is not False:
            LOGGER.info("%s: the connection to MetaApi is lost", title)
        elif self._connected and before is False:
            LOGGER.info("%s: the connection to MetaApi is back", title)
            self._read_facts()

    @callback
    def _async_start_asking(self) -> None:
        """Ask for a new token now, and again if a person closes the form."""

        @callback
        def async_ask(_now: datetime) -> None:
            """Ask again."""
            async_ask_for_token(self._hass, self._entry)

        async_ask_for_token(self._hass, self._entry)
        self._asking = async_track_time_interval(
            self._hass, async_ask, REREAD_INTERVAL, cancel_on_shutdown=True
        )

    @callback
    def _async_stop_asking(self) -> None:
        """Ask for a new token no more."""
        if self._asking is not None:
            self._asking()
            self._asking = None


@callback
def async_ask_for_token(hass: HomeAssistant, entry: ConfigEntry) -> None:
    """Ask for a new token, unless that is being done.

    Home Assistant asks for nothing while the form to reconfigure the entry is open, which a person may have
    left without a word; so that one is closed.
    """
    if any(entry.async_get_active_flows(hass, {SOURCE_REAUTH})):
        return
    for flow in list(entry.async_get_active_flows(hass, {SOURCE_RECONFIGURE})):
        hass.config_entries.flow.async_abort(flow["flow_id"])
    entry.async_start_reauth(hass)


@callback
def async_close_token_forms(hass: HomeAssistant, entry: ConfigEntry) -> None:
    """Close a form that asks for a new token: the old one is good again."""
    for flow in list(entry.async_get_active_flows(hass, {SOURCE_REAUTH})):
        hass.config_entries.flow.async_abort(flow["flow_id"])
