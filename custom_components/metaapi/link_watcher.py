"""What follows in Home Assistant when a link changes: another listing, a repair, a log line, a new token."""

from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from homeassistant.config_entries import ConfigSubentry
from homeassistant.core import callback
from homeassistant.helpers.event import async_track_time_interval

from .api import AccountState, Status
from .const import CONF_ACCOUNT_ID, LOGGER, REREAD_INTERVAL
from .issues import QuotaIssue

if TYPE_CHECKING:
    from .coordinator import MetaApiCoordinator

TIMEOUTS = 5
"""So many `TimeoutError` in a row may mean that the account is elsewhere by now (SDK behavior)."""


class LinkWatcher:
    """Listens to the links of an entry: those of its accounts, and its own to MetaApi."""

    def __init__(self, coordinator: MetaApiCoordinator) -> None:
        """Prepare."""
        self._coordinator = coordinator
        self._entry = coordinator.config_entry
        self._monitor = coordinator.monitor
        self._quota_issue = QuotaIssue(coordinator.hass, self._entry)
        self._links: dict[str, AccountState] = {}
        self._connected: bool | None = None
        self._token_refused = False

    @callback
    def async_start(self) -> None:
        """Listen to the link to MetaApi."""
        self._entry.async_on_unload(self._monitor.listen_link(self._async_hub_changed))

    @callback
    def async_add(self, subentry: ConfigSubentry) -> None:
        """Listen to an account that the monitor watches."""
        account_id = subentry.data[CONF_ACCOUNT_ID]
        self._links[account_id] = self._monitor.state(account_id)
        self._entry.async_on_unload(
            self._monitor.listen(
                account_id, partial(self._async_link_changed, subentry)
            )
        )

    @callback
    def async_forget(self, account_id: str) -> None:
        """Forget an account that was removed."""
        del self._links[account_id]
        self._quota_issue.async_forget(account_id)

    @callback
    def _async_link_changed(self, subentry: ConfigSubentry) -> None:
        """Keep the repair up; read the facts again where they may explain a change."""
        account_id = subentry.data[CONF_ACCOUNT_ID]
        before, now = self._links[account_id], self._monitor.state(account_id)
        self._links[account_id] = now
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
            self._coordinator.async_request_reread()

    @callback
    def _async_hub_changed(self) -> None:
        """Log a link that was lost or is back; ask for a new token when MetaApi refuses this one."""
        title = self._entry.title
        if self._monitor.token_refused:
            if not self._token_refused:
                self._token_refused = True
                LOGGER.info("%s: MetaApi refuses the token", title)
                self._coordinator.async_stop_listing()
                self._async_ask_for_token()
                self._entry.async_on_unload(
                    async_track_time_interval(
                        self._coordinator.hass,
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
            self._coordinator.async_request_reread()

    @callback
    def _async_ask_for_token(self, _now: datetime | None = None) -> None:
        """Ask for a new token, as long as no form asks already: a person may have closed the last one."""
        self._entry.async_start_reauth(self._coordinator.hass)
