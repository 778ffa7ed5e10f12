"""Joins the client and Home Assistant: facts by REST, names, the log, a refused token."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from itertools import batched
from typing import override

from homeassistant.config_entries import ConfigEntry, ConfigSubentry
from homeassistant.const import CONF_TOKEN
from homeassistant.core import CALLBACK_TYPE, HassJob, HomeAssistant, callback
from homeassistant.exceptions import ConfigEntryAuthFailed
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.event import async_call_later, async_track_time_interval
from homeassistant.helpers.update_coordinator import DataUpdateCoordinator, UpdateFailed
from homeassistant.util import dt as dt_util
from homeassistant.util.async_ import gather_with_limited_concurrency

from .api.errors import (
    ForbiddenError,
    MetaApiError,
    NotFoundError,
    RequestError,
    UnauthorizedError,
)
from .api.link import LinkState
from .api.model import Account, Status
from .api.monitor import Monitor
from .api.policy import rest_pause
from .api.provisioning import Provisioning
from .api.reconnect import Outcome, ReconnectResult
from .const import (
    CONF_ACCOUNT_ID,
    CONF_REGION,
    DATA_REST_PAUSES,
    DOMAIN,
    LOGGER,
    REFUSED_PAUSE,
    REREAD_DELAY,
    REREAD_INTERVAL,
    REREAD_PAUSE,
    SUBENTRY_ACCOUNT,
)
from .issues import QuotaIssue, async_account_deleted, async_account_not_deleted

IN_MOTION = frozenset({"DEPLOYING", "UNDEPLOYING", "DELETING"})
"""States of an account that soon become another one, without an event that says so."""

TIMEOUTS = 5
"""So many `TimeoutError` in a row may mean that the account is elsewhere by now (SDK behaviour)."""

SINGLE_READS = 5
"""So many accounts that a listing lacks are read at a time."""

AT_ONCE = 50
"""Accounts whose facts are taken at a time: all of a thousand would keep Home Assistant waiting."""

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
        *,
        can_list: bool,
    ) -> None:
        """Prepare; a token that cannot list accounts goes without facts."""
        super().__init__(
            hass,
            LOGGER,
            config_entry=entry,
            name=DOMAIN,
            update_interval=REREAD_INTERVAL if can_list else None,
        )
        self.monitor = monitor
        self.provisioning = provisioning
        self.can_list = can_list
        self.last_error: str | None = None
        """Why the last listing failed, if it did."""
        self.watched: set[str] = set()
        """The subentries whose accounts are under watch."""
        self._list_not_before = 0.0
        self._rest_until = 0.0
        self._quota_issue = QuotaIssue(hass, entry)
        self._gone: set[str] = set()
        self._seen: dict[str, LinkState] = {}
        self._watching = False
        self._cancel_reread: CALLBACK_TYPE | None = None
        self._connected: bool | None = None
        self._token_refused = False

    # -- facts ---------------------------------------------------------------------------------

    @override
    async def _async_setup(self) -> None:
        """Read where MetaApi serves this token, unless an address was given."""
        self._async_keep_rest()
        endpoints = self.monitor.endpoints
        if endpoints.api_url:
            return
        try:
            settings = await self.provisioning.server_settings()
        except MetaApiError as err:
            if err.retryable:
                raise self._set_up_failed(err) from err
            return
        self.monitor.endpoints = replace(endpoints, settings=settings)

    @override
    async def _async_update_data(self) -> dict[str, Account]:
        """List the accounts; only the first listing may fail, a later one then changes nothing."""
        if not self.can_list:
            return self.data or {}
        self.update_interval = REREAD_INTERVAL
        # What was to be read soon is read now
        self._async_cancel_reread()
        self._async_pause_listing(REREAD_PAUSE.total_seconds())
        try:
            accounts = await self._async_list()
        except MetaApiError as err:
            self.last_error = f"{type(err).__name__}: {err}"
            if self._watching:
                LOGGER.debug("Could not read the accounts: %s", err)
                self._async_mind_refusal(err)
                if isinstance(err, UnauthorizedError):
                    self.monitor.check_token()
                return self.data
            if isinstance(err, UnauthorizedError):
                raise ConfigEntryAuthFailed(
                    translation_domain=DOMAIN, translation_key="invalid_token"
                ) from err
            if isinstance(err, ForbiddenError):
                # perhaps for a moment only: the next listing asks again
                self._async_mind_refusal(err)
                return {}
            raise self._set_up_failed(err) from err
        self.last_error = None
        for some in batched(self._subentries(), AT_ONCE, strict=False):
            for subentry in some:
                if subentry.subentry_id in self.config_entry.subentries:
                    account = accounts.get(subentry.data[CONF_ACCOUNT_ID])
                    self._async_take(subentry, account)
            await asyncio.sleep(0)
        return accounts

    @callback
    def _async_pause_listing(self, seconds: float) -> None:
        """List nothing for a while, whatever happens."""
        self._list_not_before = self.hass.loop.time() + seconds

    @callback
    def _async_mind_refusal(self, err: MetaApiError) -> None:
        """Give MetaApi the rest that it asks for, and never ask more than 12 times an hour."""
        if pause := _pause_after(err):
            self._async_pause_listing(pause)
            self._rest_until = self._list_not_before
            # the poll, which comes up to a second early, waits as well
            self.update_interval = max(REREAD_INTERVAL, timedelta(seconds=pause + 1))

    async def _async_list(self) -> dict[str, Account]:
        """Read all accounts at once; one that the listing lacks is read singly."""
        listed = {
            account.account_id: account
            for account in await self.provisioning.accounts()
        }
        self._gone.clear()
        wanted = [subentry.data[CONF_ACCOUNT_ID] for subentry in self._subentries()]
        missing = [account_id for account_id in wanted if account_id not in listed]
        read = await gather_with_limited_concurrency(
            SINGLE_READS, *map(self._async_read, missing)
        )
        found = listed | dict(zip(missing, read, strict=True))
        return {
            account_id: account
            for account_id in wanted
            if (account := found[account_id]) is not None
        }

    async def _async_read(self, account_id: str) -> Account | None:
        """Read one account, unless MetaApi wants to be left alone."""
        if self.hass.loop.time() < self._rest_until:
            return None
        try:
            account = await self.provisioning.account(account_id)
        except NotFoundError:
            self._gone.add(account_id)
        except MetaApiError as err:
            LOGGER.debug("Could not read account %s: %s", account_id, err)
            self._async_mind_refusal(err)
        else:
            return account
        return None

    @callback
    def _async_keep_rest(self) -> None:
        """Ask nothing while a rest lasts that an earlier set-up was told to keep."""
        pauses = self.hass.data.setdefault(DATA_REST_PAUSES, {})
        seconds = pauses.get(self._token, 0.0) - self.hass.loop.time()
        if seconds > 0:
            again_at = dt_util.now() + timedelta(seconds=seconds)
            raise UpdateFailed(
                translation_domain=DOMAIN,
                translation_key="rest_asked",
                translation_placeholders={"time": f"{again_at:%H:%M:%S}"},
            )
        pauses.pop(self._token, None)

    @callback
    def _set_up_failed(self, err: MetaApiError) -> UpdateFailed:
        """Return the error for a set-up that is worth another try, and remember a rest."""
        if pause := _pause_after(err):
            pauses = self.hass.data[DATA_REST_PAUSES]
            pauses[self._token] = self.hass.loop.time() + pause
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

    @property
    def _token(self) -> str:
        """Return the token."""
        token: str = self.config_entry.data[CONF_TOKEN]
        return token

    @callback
    def _async_stop_listing(self) -> None:
        """Leave REST alone: MetaApi refuses the token."""
        self.can_list = False
        self.update_interval = None

    @callback
    def _async_take(self, subentry: ConfigSubentry, account: Account | None) -> None:
        """Pass on what is known of an account now."""
        if account is not None:
            self._async_follow(subentry, account)
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
        elif account_id in self._gone:
            async_account_deleted(self.hass, self.config_entry, subentry)
            self.monitor.set_facts(account_id, exists=False)

    @callback
    def _async_follow(self, subentry: ConfigSubentry, account: Account) -> None:
        """Follow an account that got another name or region at MetaApi."""
        title = subentry.title
        device = self.device(account.account_id)
        if device is not None:
            name = account.title
            if title == device.name:
                title = name
            dr.async_get(self.hass).async_update_device(
                device.id, name=name, model=account_model(account)
            )
        self.hass.config_entries.async_update_subentry(
            self.config_entry,
            subentry,
            title=title,
            data={
                **subentry.data,
                CONF_REGION: account.region or subentry.data[CONF_REGION],
            },
        )

    @callback
    def async_request_reread(self) -> None:
        """List the accounts soon, but no more than once in a while."""
        if (
            not self.can_list
            or self._cancel_reread is not None
            or self._shutdown_requested
        ):
            return
        delay = max(
            REREAD_DELAY.total_seconds(),
            self._list_not_before - self.hass.loop.time(),
        )
        self._cancel_reread = async_call_later(
            self.hass, delay, HassJob(self._async_reread, cancel_on_shutdown=True)
        )

    @callback
    def _async_cancel_reread(self) -> None:
        """Forget that a listing was wanted soon."""
        if self._cancel_reread is not None:
            self._cancel_reread()
            self._cancel_reread = None

    @callback
    def _async_reread(self, _now: datetime) -> None:
        """List the accounts now."""
        self._cancel_reread = None
        self.config_entry.async_create_background_task(
            self.hass, self.async_refresh(), f"{DOMAIN} re-read"
        )

    async def _async_reread_one(self, subentry: ConfigSubentry) -> bool:
        """Read one account, because a person asks; return whether it is deployed by now."""
        account_id = subentry.data[CONF_ACCOUNT_ID]
        account = await self._async_read(account_id) if self.can_list else None
        if account is None or subentry.subentry_id not in self.watched:
            return False
        self.data[account_id] = account
        self._async_set_facts(subentry, account)
        return account.deployed

    # -- the link ------------------------------------------------------------------------------

    @property
    def links(self) -> list[LinkState]:
        """Return what is known of each account under watch."""
        return list(self._seen.values())

    @callback
    def async_watch(self) -> None:
        """Let the monitor watch every account, and watch the monitor."""
        self._watching = True
        self.config_entry.async_on_unload(
            self.monitor.listen_hub(self._async_hub_changed)
        )
        for subentry in self._subentries():
            self.watched.add(subentry.subentry_id)
            account_id = subentry.data[CONF_ACCOUNT_ID]
            account = self.data.get(account_id)
            self.monitor.add_account(
                account_id,
                subentry.data[CONF_REGION],
                deployed=account.deployed if account else None,
                replicas=account.replicas if account else (),
            )
            if account_id in self._gone:
                self._async_set_facts(subentry, None)
            else:
                # found, or nothing proves any more that it is gone
                async_account_not_deleted(self.hass, subentry)
            self._seen[account_id] = self.monitor.state(account_id)
            self.config_entry.async_on_unload(
                self.monitor.listen(
                    account_id, partial(self._async_link_changed, subentry)
                )
            )
        # a coordinator that nobody listens to does not poll
        self.config_entry.async_on_unload(self.async_add_listener(lambda: None))

    @callback
    def watched_subentries(self) -> list[ConfigSubentry]:
        """Return the subentries whose accounts are under watch, but for those removed meanwhile."""
        return [one for one in self._subentries() if one.subentry_id in self.watched]

    async def async_accounts_changed(self) -> None:
        """Reload for accounts that are new, and let those go that were removed."""
        there = {
            subentry.subentry_id: subentry.data[CONF_ACCOUNT_ID]
            for subentry in self._subentries()
        }
        if there.keys() - self.watched:
            self.hass.config_entries.async_schedule_reload(self.config_entry.entry_id)
            return
        self.watched &= there.keys()
        gone = self._seen.keys() - set(there.values())
        for account_id in gone:
            del self._seen[account_id]
            self._quota_issue.async_forget(account_id)
        await asyncio.gather(*map(self.monitor.remove_account, gone))

    async def async_reconnect(self, account_id: str, timeout: float) -> ReconnectResult:
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

    @callback
    def device(self, account_id: str) -> dr.DeviceEntry | None:
        """Return the device of an account."""
        return dr.async_get(self.hass).async_get_device_by_identifier(
            (DOMAIN, account_id), self.config_entry.entry_id
        )

    @callback
    def device_name(self, account_id: str) -> str:
        """Return the name of an account as its device shows it."""
        device = self.device(account_id)
        return (device and (device.name_by_user or device.name)) or account_id

    @override
    async def async_shutdown(self) -> None:
        """Cancel what is scheduled."""
        await super().async_shutdown()
        self._async_cancel_reread()

    @callback
    def _async_link_changed(self, subentry: ConfigSubentry) -> None:
        """Read the facts again where they may explain a change."""
        account_id = subentry.data[CONF_ACCOUNT_ID]
        before, now = self._seen[account_id], self.monitor.state(account_id)
        self._seen[account_id] = now
        self._quota_issue.async_update(
            account_id, subentry.title, now.status, self.monitor.limit(account_id)
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
            self.async_request_reread()

    @callback
    def _async_hub_changed(self) -> None:
        """Log a link that was lost or is back; ask for a new token when MetaApi refuses this one."""
        title = self.config_entry.title
        if self.monitor.token_refused:
            if not self._token_refused:
                self._token_refused = True
                LOGGER.info("%s: MetaApi refuses the token", title)
                self._async_stop_listing()
                self._async_ask_for_token()
                self.config_entry.async_on_unload(
                    async_track_time_interval(
                        self.hass,
                        self._async_ask_for_token,
                        REREAD_INTERVAL,
                        cancel_on_shutdown=True,
                    )
                )
            return
        before, self._connected = self._connected, self.monitor.connected
        if self._connected is False and before is not False:
            LOGGER.info("%s: the connection to MetaApi is lost", title)
        elif self._connected and before is False:
            LOGGER.info("%s: the connection to MetaApi is back", title)
            self.async_request_reread()

    @callback
    def _async_ask_for_token(self, _now: datetime | None = None) -> None:
        """Ask for a new token, as long as no form asks already: a person may have closed the last one."""
        self.config_entry.async_start_reauth(self.hass)

    def _subentries(self) -> list[ConfigSubentry]:
        """Return the subentries that hold accounts."""
        return list(self.config_entry.get_subentries_of_type(SUBENTRY_ACCOUNT))

    def _subentry(self, account_id: str) -> ConfigSubentry | None:
        """Return the subentry of an account, unless it was removed."""
        subentries = self._subentries()
        return next(
            (one for one in subentries if one.data[CONF_ACCOUNT_ID] == account_id), None
        )


def account_model(account: Account) -> str | None:
    """Return what kind of account it is, as far as it is known."""
    return " · ".join(filter(None, (account.platform, account.type))) or None


def _pause_after(err: MetaApiError) -> float:
    """Return for how many seconds REST is left alone after an error."""
    return rest_pause(err, dt_util.utcnow(), REFUSED_PAUSE.total_seconds())
