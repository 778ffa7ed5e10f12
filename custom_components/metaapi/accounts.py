"""The accounts of an entry under watch: which they are, and what becomes of the facts about them."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial
from itertools import batched

from homeassistant.config_entries import ConfigEntry, ConfigSubentry
from homeassistant.core import (
    CALLBACK_TYPE,
    Context,
    HassJob,
    HomeAssistant,
    callback,
)
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.event import async_call_later

from .api import (
    READ_AT_ONCE,
    Account,
    AccountState,
    Monitor,
    Outcome,
    ReconnectResult,
)
from .const import CONF_ACCOUNT_ID, CONF_REGION, DOMAIN, REREAD_DELAY
from .device import (
    account_subentries,
    async_create_device,
    async_follow_account,
    async_get_device,
)
from .facts import SINGLE_READS, Facts
from .issues import async_account_deleted, async_account_not_deleted
from .outages import DATA_OUTAGES
from .watcher import Watcher, async_close_token_forms


class Accounts:
    """Keeps the accounts of the monitor those of the entry, and passes the facts on to it."""

    def __init__(
        self, hass: HomeAssistant, entry: ConfigEntry, monitor: Monitor, facts: Facts
    ) -> None:
        """Watch nothing yet."""
        self._hass = hass
        self._entry = entry
        self._monitor = monitor
        self._facts = facts
        self._watcher = Watcher(
            hass,
            entry,
            monitor,
            read_facts=facts.async_read_soon,
            stop_reading=facts.async_stop,
            resume_reading=facts.async_resume,
        )
        self._watched: dict[str, str] = {}
        """The accounts under watch, by subentry."""
        self._adders: list[Callable[[ConfigSubentry], None]] = []
        self._asked_about: set[str] = set()
        """Accounts whose terminals want to know what REST says."""
        self._cancel_answer: CALLBACK_TYPE
        self._updating = asyncio.Lock()
        self._closed = False

    @property
    def states(self) -> list[AccountState]:
        """Return what is known of each account under watch."""
        return [
            self._monitor.state(account_id) for account_id in self._watched.values()
        ]

    @property
    def subentries(self) -> list[ConfigSubentry]:
        """Return the subentries whose accounts are under watch, except those removed meanwhile."""
        return [
            subentry
            for subentry in account_subentries(self._entry)
            if subentry.subentry_id in self._watched
        ]

    @callback
    def async_start(self) -> None:
        """Watch every account of the entry, and read the facts from now on."""
        self._entry.async_on_unload(self._async_close)
        self._watcher.async_start()
        self._monitor.on_facts_wanted = self._async_facts_wanted
        for subentry in account_subentries(self._entry):
            self._async_watch(subentry)
        self._facts.async_start(self._async_listed)

    @callback
    def async_on_account(self, add: Callable[[ConfigSubentry], None]) -> None:
        """Call back for each account under watch, and for each that comes later: it gets its entities."""
        self._adders.append(add)
        for subentry in self.subentries:
            add(subentry)

    @callback
    def async_device(self, account_id: str) -> dr.DeviceEntry | None:
        """Return the device of an account, which is there for as long as the account is under watch."""
        return async_get_device(self._hass, self._entry, account_id)

    async def async_update(self) -> None:
        """Let accounts go that were removed, and watch those that are new; the others do not notice."""
        async with self._updating:
            there = {one.subentry_id for one in account_subentries(self._entry)}
            gone = [one for one in self._watched if one not in there]
            account_ids = [self._watched.pop(one) for one in gone]
            await asyncio.gather(*map(self._monitor.remove_account, account_ids))
            # not sooner: until its goodbye begins, a socket may tell of it
            for subentry_id in gone:
                self._watcher.async_forget(subentry_id)
            for subentry in account_subentries(self._entry):
                if subentry.subentry_id not in self._watched and not self._closed:
                    self._async_add(subentry)

    async def async_take_facts(self) -> None:
        """Apply what the last listing says of each account, a few at a time."""
        for some in batched(
            account_subentries(self._entry), READ_AT_ONCE, strict=False
        ):
            for subentry in some:
                if subentry.subentry_id in self._entry.subentries:
                    account = self._facts.accounts.get(subentry.data[CONF_ACCOUNT_ID])
                    self._async_take(subentry, account)
            await asyncio.sleep(0)

    async def _async_listed(self) -> None:
        """Apply a listing. MetaApi took the token for it, so that no form has to ask for another."""
        async_close_token_forms(self._hass, self._entry)
        await self.async_take_facts()

    async def async_reconnect(
        self, account_id: str, timeout: float, context: Context | None = None
    ) -> ReconnectResult:
        """Reconnect an account, and record the attempt and who makes it.

        `timeout` and the result's time are in seconds.
        """
        with self._hass.data[DATA_OUTAGES].attempt(account_id, context) as ended:
            result = await self._async_reconnect(account_id, timeout)
            ended(result)
        return result

    async def _async_reconnect(
        self, account_id: str, timeout: float
    ) -> ReconnectResult:
        """Reconnect an account; one that was not deployed is read again before saying so."""
        clock = self._hass.loop.time
        started = clock()
        result = await self._monitor.reconnect(account_id, timeout)
        if result.outcome is Outcome.NOT_DEPLOYED:
            try:
                async with asyncio.timeout(timeout):
                    deployed = await self._async_read_again(account_id)
            except TimeoutError:
                deployed = False
            if deployed:
                left = timeout - (clock() - started)
                result = await self._monitor.reconnect(account_id, left)
        return replace(result, seconds=clock() - started)

    @callback
    def _async_watch(self, subentry: ConfigSubentry) -> None:
        """Watch an account."""
        account_id = subentry.data[CONF_ACCOUNT_ID]
        self._watched[subentry.subentry_id] = account_id
        account = self._facts.accounts.get(account_id)
        async_create_device(self._hass, self._entry, subentry, account)
        outages = self._hass.data[DATA_OUTAGES]
        self._monitor.add_account(
            account_id,
            subentry.data[CONF_REGION],
            deployed=account.deployed if account else None,
            replicas=account.replicas if account else (),
            was_on=outages.record(account_id).was_on,
        )
        if account_id in self._facts.gone:
            self._async_set_facts(subentry, None)
        else:
            # found, or nothing proves any more that it is gone
            async_account_not_deleted(self._hass, subentry)
        state = self._monitor.state(account_id)
        self._watcher.async_add(subentry, state)
        self._entry.async_on_unload(
            self._monitor.listen(account_id, partial(self._async_changed, subentry))
        )
        outages.async_take(account_id, state)

    @callback
    def _async_changed(self, subentry: ConfigSubentry) -> None:
        """Pass on what an account shows: first to the record, so that entities show what is recorded as well."""
        account_id = subentry.data[CONF_ACCOUNT_ID]
        state = self._monitor.state(account_id)
        try:
            self._hass.data[DATA_OUTAGES].async_take(account_id, state)
        finally:
            self._watcher.async_account_changed(subentry, state)

    @callback
    def _async_add(self, subentry: ConfigSubentry) -> None:
        """Watch an account that came while the entry is loaded, and give it entities."""
        self._async_watch(subentry)
        for add in self._adders:
            add(subentry)
        self._entry.async_create_background_task(
            self._hass,
            self._async_read_again(subentry.data[CONF_ACCOUNT_ID]),
            f"{DOMAIN} facts of a new account",
        )

    async def _async_read_again(self, account_id: str) -> bool:
        """Read an account and apply what REST says; return whether it is deployed by now."""
        if self._subentry(account_id) is None:
            return False
        account = await self._facts.async_read_account(account_id)
        # It may have been removed meanwhile
        if account is None or (subentry := self._subentry(account_id)) is None:
            return False
        self._async_take(subentry, account)
        return account.deployed

    @callback
    def _async_facts_wanted(self, account_id: str) -> None:
        """Read what REST says of an account soon: a verdict about its terminal waits for it, but not for long."""
        if self._closed:
            return
        if not self._asked_about:
            self._cancel_answer = async_call_later(
                self._hass,
                REREAD_DELAY,
                HassJob(self._async_answer_now, cancel_on_shutdown=True),
            )
        self._asked_about.add(account_id)

    @callback
    def _async_answer_now(self, _now: datetime) -> None:
        """Answer all who asked meanwhile."""
        self._entry.async_create_background_task(
            self._hass, self._async_answer(), f"{DOMAIN} facts that are wanted"
        )

    async def _async_answer(self) -> None:
        """Read the accounts that were asked about: all by a listing if MetaApi allows one, else a few singly."""
        asked, self._asked_about = self._asked_about, set()
        if self._facts.may_list:
            await self._facts.async_read()
        elif len(asked) <= SINGLE_READS:
            await asyncio.gather(*map(self._async_read_again, asked))
        else:
            self._facts.async_read_soon()

    @callback
    def _async_take(self, subentry: ConfigSubentry, account: Account | None) -> None:
        """Apply what REST says of an account; None if it could not be read."""
        if account is not None:
            async_follow_account(self._hass, self._entry, subentry, account)
        if subentry.subentry_id in self._watched:
            self._async_set_facts(subentry, account)

    @callback
    def _async_set_facts(
        self, subentry: ConfigSubentry, account: Account | None
    ) -> None:
        """Pass on to the monitor what REST says; nothing about an account that could not be read."""
        account_id = subentry.data[CONF_ACCOUNT_ID]
        if account is not None:
            async_account_not_deleted(self._hass, subentry)
            if account.region:
                self._monitor.place_account(
                    account_id, account.region, account.replicas
                )
            self._monitor.set_facts(
                account_id,
                deployed=account.deployed,
                connection=account.connection_status or None,
                read_since=self._facts.read_since.get(account_id),
                high_reliability=account.high_reliability,
            )
        elif account_id in self._facts.gone:
            async_account_deleted(self._hass, self._entry, subentry)
            self._monitor.set_facts(account_id, exists=False)

    @callback
    def _async_close(self) -> None:
        """Take no more accounts: the entry is unloaded."""
        self._closed = True
        for account_id in self._watched.values():
            self._hass.data[DATA_OUTAGES].async_lose(account_id)
        if self._asked_about:
            self._cancel_answer()
        self._facts.async_stop()

    def _subentry(self, account_id: str) -> ConfigSubentry | None:
        """Return the subentry of an account under watch."""
        return next(
            (one for one in self.subentries if one.data[CONF_ACCOUNT_ID] == account_id),
            None,
        )
