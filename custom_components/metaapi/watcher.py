"""What a change leads to in Home Assistant: another listing, a repair issue, a log line, a new token."""

from collections.abc import Callable
from datetime import datetime
from functools import partial

from homeassistant.config_entries import ConfigEntry, ConfigSubentry
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.event import async_track_time_interval

from .api import AccountState, Monitor, Status
from .const import CONF_ACCOUNT_ID, LOGGER, REREAD_INTERVAL
from .issues import QuotaIssue

TIMEOUTS = 5
"""After this many `TimeoutError` in a row an account may be elsewhere (SDK behavior)."""


class Watcher:
    """Listens to the accounts of an entry, and to its link to MetaApi."""

    def __init__(
        self,
        hass: HomeAssistant,
        entry: ConfigEntry,
        monitor: Monitor,
        *,
        read_facts: Callable[[], None],
        stop_reading: Callable[[], None],
    ) -> None:
        """Listen to nothing yet."""
        self._hass = hass
        self._entry = entry
        self._monitor = monitor
        self._read_facts = read_facts
        self._stop_reading = stop_reading
        self._quota_issue = QuotaIssue(hass, entry)
        self._states: dict[str, AccountState] = {}
        self._connected: bool | None = None
        self._token_refused = False

    @callback
    def async_start(self) -> None:
        """Listen to the link to MetaApi."""
        self._entry.async_on_unload(self._monitor.listen_link(self._async_link_changed))

    @callback
    def async_add(self, subentry: ConfigSubentry) -> None:
        """Listen to an account that the monitor watches."""
        account_id = subentry.data[CONF_ACCOUNT_ID]
        self._states[account_id] = self._monitor.state(account_id)
        self._entry.async_on_unload(
            self._monitor.listen(
                account_id, partial(self._async_account_changed, subentry)
            )
        )

    @callback
    def async_forget(self, account_id: str) -> None:
        """Forget an account that was removed."""
        del self._states[account_id]
        self._quota_issue.async_forget(account_id)

    @callback
    def _async_account_changed(self, subentry: ConfigSubentry) -> None:
        """Update the repair issue; read the facts again where they may explain a change."""
        account_id = subentry.data[CONF_ACCOUNT_ID]
        before, now = self._states[account_id], self._monitor.state(account_id)
        self._states[account_id] = now
        self._quota_issue.async_update(
            account_id, subentry.title, now.status, self._monitor.limit(account_id)
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
        """Log a link that was lost or is back; ask for a new token when MetaApi refuses this one."""
        title = self._entry.title
        if self._monitor.token_refused:
            if not self._token_refused:
                self._token_refused = True
                LOGGER.info("%s: MetaApi refuses the token", title)
                self._stop_reading()
                self._async_ask_for_token()
                self._entry.async_on_unload(
                    async_track_time_interval(
                        self._hass,
                        self._async_ask_for_token,
                        REREAD_INTERVAL,
                        cancel_on_shutdown=True,
                    )
                )
            return
        before, self._connected = self._connected, self._monitor.connected
        if self._connected is False and before is not False:
            LOGGER.info("%s: the connection to MetaApi is lost", title)
        elif self._connected and before is False:
            LOGGER.info("%s: the connection to MetaApi is back", title)
            self._read_facts()

    @callback
    def _async_ask_for_token(self, _now: datetime | None = None) -> None:
        """Ask for a new token unless a form is open: a person may have closed the last one."""
        self._entry.async_start_reauth(self._hass)
