"""Keeps what REST says of the accounts of an entry, and passes it on to the monitor."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import batched
from typing import override

from homeassistant.config_entries import ConfigEntry, ConfigSubentry
from homeassistant.core import CALLBACK_TYPE, HassJob, HomeAssistant, callback
from homeassistant.exceptions import ConfigEntryAuthFailed
from homeassistant.helpers.event import async_call_later
from homeassistant.helpers.update_coordinator import DataUpdateCoordinator, UpdateFailed
from homeassistant.util import dt as dt_util

from .account_reader import AccountReader
from .api import (
    READ_AT_ONCE,
    Account,
    AccountState,
    ForbiddenError,
    MetaApiError,
    Monitor,
    Outcome,
    Provisioning,
    ReconnectResult,
    RequestError,
    UnauthorizedError,
)
from .const import (
    CONF_ACCOUNT_ID,
    CONF_REGION,
    DOMAIN,
    LOGGER,
    REREAD_DELAY,
    SUBENTRY_ACCOUNT,
)
from .device import async_follow_account
from .issues import async_account_deleted, async_account_not_deleted
from .link_watcher import LinkWatcher
from .outages import DATA_OUTAGES

IN_MOTION = frozenset({"DEPLOYING", "UNDEPLOYING", "DELETING"})
"""States of an account that soon become another one, without an event that says so."""

type MetaApiConfigEntry = ConfigEntry[MetaApiCoordinator]


class MetaApiCoordinator(DataUpdateCoordinator[dict[str, Account]]):
    """Keeps what REST says of the accounts of one token, and passes it on to the monitor.

    Its data never decides whether an entity is available: only the monitor knows what is in sight.
    """

    config_entry: MetaApiConfigEntry

    def __init__(
        self,
        hass: HomeAssistant,
        entry: MetaApiConfigEntry,
        monitor: Monitor,
        provisioning: Provisioning,
    ) -> None:
        """Prepare; a token that cannot list accounts goes without facts."""
        self.reader = AccountReader(hass, entry, provisioning)
        super().__init__(
            hass,
            LOGGER,
            config_entry=entry,
            name=DOMAIN,
            update_interval=self.reader.interval,
        )
        self.monitor = monitor
        self._provisioning = provisioning
        self._watcher = LinkWatcher(self)
        self._watched: dict[str, str] = {}
        """The accounts under watch, by subentry."""
        self._watching = False
        self._cancel_reread: CALLBACK_TYPE | None = None

    # -- facts ---------------------------------------------------------------------------------

    @override
    async def _async_setup(self) -> None:
        """Read where MetaApi serves this token, unless an address was given."""
        if (seconds := self.reader.async_set_up_pause()) > 0:
            again_at = dt_util.now() + timedelta(seconds=seconds)
            raise UpdateFailed(
                translation_domain=DOMAIN,
                translation_key="rest_asked",
                translation_placeholders={"time": f"{again_at:%H:%M:%S}"},
            )
        endpoints = self.monitor.endpoints
        if endpoints.api_url:
            return
        try:
            settings = await self._provisioning.server_settings()
        except MetaApiError as err:
            if err.retryable:
                raise self._set_up_failed(err) from err
            return
        self.monitor.endpoints = replace(endpoints, settings=settings)

    @override
    async def _async_update_data(self) -> dict[str, Account]:
        """List the accounts; only the first listing may fail, a later one then changes nothing."""
        if not self.reader.can_list:
            return self.data or {}
        # What was to be read soon is read now
        self._async_cancel_reread()
        try:
            accounts = await self.reader.async_list()
        except MetaApiError as err:
            if self._watching:
                LOGGER.debug("Could not read the accounts: %s", err)
                if isinstance(err, UnauthorizedError):
                    self.monitor.check_token()
                return self.data
            if isinstance(err, UnauthorizedError):
                raise ConfigEntryAuthFailed(
                    translation_domain=DOMAIN, translation_key="invalid_token"
                ) from err
            if isinstance(err, ForbiddenError):
                # perhaps for a moment only: the next listing asks again
                return {}
            raise self._set_up_failed(err) from err
        finally:
            self.update_interval = self.reader.interval
        for some in batched(self._subentries(), READ_AT_ONCE, strict=False):
            for subentry in some:
                if subentry.subentry_id in self.config_entry.subentries:
                    account = accounts.get(subentry.data[CONF_ACCOUNT_ID])
                    self._async_take(subentry, account)
            await asyncio.sleep(0)
        return accounts

    @callback
    def _set_up_failed(self, err: MetaApiError) -> UpdateFailed:
        """Return the error for a set-up that is worth another try, and remember a rest."""
        self.reader.async_keep_pause(err)
        if isinstance(err, RequestError):
            return UpdateFailed(
                translation_domain=DOMAIN,
                translation_key="answered_with_error",
                translation_placeholders={"error": str(err)},
            )
        return UpdateFailed(
            translation_domain=DOMAIN,
            translation_key="cannot_connect",
            translation_placeholders={"error": str(err)},
        )

    @callback
    def _async_take(self, subentry: ConfigSubentry, account: Account | None) -> None:
        """Pass on what is known of an account now."""
        if account is not None:
            async_follow_account(self.hass, self.config_entry, subentry, account)
            if account.state in IN_MOTION:
                self.async_request_reread()
        if self._watching:
            self._async_set_facts(subentry, account)

    @callback
    def _async_set_facts(
        self, subentry: ConfigSubentry, account: Account | None
    ) -> None:
        """Tell the monitor what REST says; of an account that could not be read it says nothing."""
        account_id = subentry.data[CONF_ACCOUNT_ID]
        if account is not None:
            async_account_not_deleted(self.hass, subentry)
            if account.region:
                self.monitor.place_account(account_id, account.region, account.replicas)
            self.monitor.set_facts(account_id, deployed=account.deployed)
        elif account_id in self.reader.gone:
            async_account_deleted(self.hass, self.config_entry, subentry)
            self.monitor.set_facts(account_id, exists=False)

    # -- another look --------------------------------------------------------------------------

    @callback
    def async_request_reread(self) -> None:
        """List the accounts soon, but no more than once in a while."""
        if (
            not self.reader.can_list
            or self._cancel_reread is not None
            or self._shutdown_requested
        ):
            return
        delay = max(REREAD_DELAY.total_seconds(), self.reader.pause)
        self._cancel_reread = async_call_later(
            self.hass, delay, HassJob(self._async_reread, cancel_on_shutdown=True)
        )

    @callback
    def async_stop_listing(self) -> None:
        """Leave REST alone: MetaApi refuses the token."""
        self.reader.can_list = False
        self.update_interval = None

    @callback
    def _async_cancel_reread(self) -> None:
        """Forget that a listing was wanted soon."""
        if self._cancel_reread is not None:
            self._cancel_reread()
            self._cancel_reread = None

    @callback
    def _async_reread(self, _now: datetime) -> None:
        """List the accounts now, unless MetaApi asked for a rest meanwhile."""
        self._cancel_reread = None
        if self.reader.resting:
            self.async_request_reread()
            return
        self.config_entry.async_create_background_task(
            self.hass, self.async_refresh(), f"{DOMAIN} re-read"
        )

    async def _async_reread_one(self, subentry: ConfigSubentry) -> bool:
        """Read one account, because a person asks; return whether it is deployed by now."""
        account_id = subentry.data[CONF_ACCOUNT_ID]
        rested = self.reader.resting
        account = await self.reader.async_read(account_id)
        if self.reader.resting and not rested:
            # schedules the poll anew, which has to wait as well
            self.update_interval = self.reader.interval
            self.async_set_updated_data(self.data)
        if account is None or subentry.subentry_id not in self._watched:
            return False
        self.data[account_id] = account
        self._async_set_facts(subentry, account)
        return account.deployed

    async def async_reconnect(self, account_id: str, timeout: float) -> ReconnectResult:
        """Reconnect an account, and record the attempt."""
        with self.hass.data[DATA_OUTAGES].attempt(account_id) as ended:
            result = await self._async_reconnect(account_id, timeout)
            ended(result)
        return result

    async def _async_reconnect(
        self, account_id: str, timeout: float
    ) -> ReconnectResult:
        """Reconnect an account; one that was not deployed is looked up again before saying so."""
        clock = self.hass.loop.time
        started = clock()
        result = await self.monitor.reconnect(account_id, timeout)
        subentry = self._subentry(account_id)
        if result.outcome is Outcome.NOT_DEPLOYED and subentry is not None:
            try:
                async with asyncio.timeout(timeout):
                    deployed = await self._async_reread_one(subentry)
            except TimeoutError:
                deployed = False
            if deployed:
                left = timeout - (clock() - started)
                result = await self.monitor.reconnect(account_id, left)
        return replace(result, seconds=clock() - started)

    @override
    async def async_shutdown(self) -> None:
        """Cancel what is scheduled."""
        await super().async_shutdown()
        self._async_cancel_reread()

    # -- accounts under watch ------------------------------------------------------------------

    @property
    def links(self) -> list[AccountState]:
        """Return what is known of each account under watch."""
        return [self.monitor.state(account_id) for account_id in self._watched.values()]

    @callback
    def async_watch(self) -> None:
        """Let the monitor watch every account, and watch the monitor."""
        self._watching = True
        self._watcher.async_start()
        outages = self.hass.data[DATA_OUTAGES]
        for subentry in self._subentries():
            account_id = subentry.data[CONF_ACCOUNT_ID]
            self._watched[subentry.subentry_id] = account_id
            account = self.data.get(account_id)
            self.monitor.add_account(
                account_id,
                subentry.data[CONF_REGION],
                deployed=account.deployed if account else None,
                replicas=account.replicas if account else (),
            )
            if account_id in self.reader.gone:
                self._async_set_facts(subentry, None)
            else:
                # found, or nothing proves any more that it is gone
                async_account_not_deleted(self.hass, subentry)
            self._watcher.async_add(subentry)
            outages.async_follow(self.config_entry, self.monitor, account_id)
        # a coordinator that nobody listens to does not poll
        self.config_entry.async_on_unload(self.async_add_listener(lambda: None))

    @callback
    def watched_subentries(self) -> list[ConfigSubentry]:
        """Return the subentries whose accounts are under watch, but for those removed meanwhile."""
        return [one for one in self._subentries() if one.subentry_id in self._watched]

    async def async_accounts_changed(self) -> None:
        """Reload for accounts that are new, and let those go that were removed."""
        there = {subentry.subentry_id for subentry in self._subentries()}
        if there - self._watched.keys():
            self.hass.config_entries.async_schedule_reload(self.config_entry.entry_id)
            return
        gone = [self._watched.pop(one) for one in self._watched.keys() - there]
        await asyncio.gather(*map(self.monitor.remove_account, gone))
        # not sooner: until its goodbye begins, a socket may tell of it
        for account_id in gone:
            self._watcher.async_forget(account_id)

    def _subentries(self) -> list[ConfigSubentry]:
        """Return the subentries that hold accounts."""
        return list(self.config_entry.get_subentries_of_type(SUBENTRY_ACCOUNT))

    def _subentry(self, account_id: str) -> ConfigSubentry | None:
        """Return the subentry of an account, unless it was removed."""
        subentries = self._subentries()
        return next(
            (one for one in subentries if one.data[CONF_ACCOUNT_ID] == account_id), None
        )
