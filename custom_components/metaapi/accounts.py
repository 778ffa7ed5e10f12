"""The accounts of an entry under watch: which they are, and what becomes of the facts about them."""

import asyncio
from dataclasses import replace
from itertools import batched

from homeassistant.config_entries import ConfigEntry, ConfigSubentry
from homeassistant.core import HomeAssistant, callback

from .api import (
    READ_AT_ONCE,
    Account,
    AccountState,
    Monitor,
    Outcome,
    ReconnectResult,
)
from .const import CONF_ACCOUNT_ID, CONF_REGION, SUBENTRY_ACCOUNT
from .device import async_follow_account
from .facts import Facts
from .issues import async_account_deleted, async_account_not_deleted
from .watcher import Watcher


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
            stop_reading=facts.async_stop_listing,
        )
        self._watched: dict[str, str] = {}
        """The accounts under watch, by subentry."""

    @property
    def states(self) -> list[AccountState]:
        """Return what is known of each account under watch."""
        return [
            self._monitor.state(account_id) for account_id in self._watched.values()
        ]

    @property
    def subentries(self) -> list[ConfigSubentry]:
        """Return the subentries whose accounts are under watch, except those removed meanwhile."""
        return [one for one in self._subentries() if one.subentry_id in self._watched]

    @callback
    def async_start(self) -> None:
        """Watch every account of the entry, and read the facts from now on."""
        self._watcher.async_start()
        for subentry in self._subentries():
            account_id = subentry.data[CONF_ACCOUNT_ID]
            self._watched[subentry.subentry_id] = account_id
            account = self._facts.accounts.get(account_id)
            self._monitor.add_account(
                account_id,
                subentry.data[CONF_REGION],
                deployed=account.deployed if account else None,
                replicas=account.replicas if account else (),
            )
            if account_id in self._facts.gone:
                self._async_set_facts(subentry, None)
            else:
                # found, or nothing proves any more that it is gone
                async_account_not_deleted(self._hass, subentry)
            self._watcher.async_add(subentry)
        self._facts.async_start(self.async_take_facts, self._monitor.check_token)
        self._entry.async_on_unload(self._facts.async_stop)

    async def async_update(self) -> None:
        """Reload for accounts that are new, and let those go that were removed."""
        there = {subentry.subentry_id for subentry in self._subentries()}
        if there - self._watched.keys():
            self._hass.config_entries.async_schedule_reload(self._entry.entry_id)
            return
        gone = [self._watched.pop(one) for one in self._watched.keys() - there]
        await asyncio.gather(*map(self._monitor.remove_account, gone))
        # not sooner: until its goodbye begins, a socket may tell of it
        for account_id in gone:
            self._watcher.async_forget(account_id)

    async def async_take_facts(self) -> None:
        """Apply what the last listing says of each account, a few at a time."""
        for some in batched(self._subentries(), READ_AT_ONCE, strict=False):
            for subentry in some:
                if subentry.subentry_id in self._entry.subentries:
                    account = self._facts.accounts.get(subentry.data[CONF_ACCOUNT_ID])
                    self._async_take(subentry, account)
            await asyncio.sleep(0)

    async def async_reconnect(self, account_id: str, timeout: float) -> ReconnectResult:
        """Reconnect an account; one that was not deployed is read again before saying so.

        `timeout` and the result's time are in seconds.
        """
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

    async def _async_read_again(self, account_id: str) -> bool:
        """Read an account; return whether it is deployed by now."""
        if self._subentry(account_id) is None:
            return False
        account = await self._facts.async_read_account(account_id)
        # It may have been removed meanwhile
        if account is None or (subentry := self._subentry(account_id)) is None:
            return False
        self._async_set_facts(subentry, account)
        return account.deployed

    @callback
    def _async_take(self, subentry: ConfigSubentry, account: Account | None) -> None:
        """Apply what a listing says of an account; None if it could not be read."""
        if account is not None:
            async_follow_account(self._hass, self._entry, subentry, account)
        if subentry.subentry_id in self._watched:
            self._async_set_facts(subentry, account)

    @callback
    def _async_set_facts(
        self, subentry: ConfigSubentry, account: Account | None
    ) -> None:
        """Tell the monitor what REST says; nothing about an account that could not be read."""
        account_id = subentry.data[CONF_ACCOUNT_ID]
        if account is not None:
            async_account_not_deleted(self._hass, subentry)
            if account.region:
                self._monitor.place_account(
                    account_id, account.region, account.replicas
                )
            self._monitor.set_facts(account_id, deployed=account.deployed)
        elif account_id in self._facts.gone:
            async_account_deleted(self._hass, self._entry, subentry)
            self._monitor.set_facts(account_id, exists=False)

    def _subentries(self) -> list[ConfigSubentry]:
        """Return the subentries that hold accounts."""
        return list(self._entry.get_subentries_of_type(SUBENTRY_ACCOUNT))

    def _subentry(self, account_id: str) -> ConfigSubentry | None:
        """Return the subentry of an account under watch."""
        return next(
            (one for one in self.subentries if one.data[CONF_ACCOUNT_ID] == account_id),
            None,
        )
