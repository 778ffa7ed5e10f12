"""What was last known of each account, and its outages: outlives reloads, restarts and reconnects."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import batched
from typing import Any, NamedTuple, Protocol, Self

from homeassistant.components import persistent_notification
from homeassistant.config_entries import (
    SIGNAL_CONFIG_ENTRY_CHANGED,
    ConfigEntry,
    ConfigEntryChange,
    ConfigEntryState,
)
from homeassistant.const import EVENT_HOMEASSISTANT_STOP
from homeassistant.core import CALLBACK_TYPE, Context, Event, HomeAssistant, callback
from homeassistant.helpers.dispatcher import (
    async_dispatcher_connect,
    async_dispatcher_send,
)
from homeassistant.helpers.event import async_track_time_interval
from homeassistant.helpers.singleton import singleton
from homeassistant.helpers.start import async_at_started
from homeassistant.helpers.storage import Store
from homeassistant.util import dt as dt_util
from homeassistant.util.hass_dict import HassKey
from homeassistant.util.signal_type import SignalType

from .api import AccountState, ReconnectResult, Status
from .const import CONF_ACCOUNT_ID, DOMAIN, LOGGER, SUBENTRY_ACCOUNT

AT_ONCE = 50
"""Accounts whose downtime is counted without a break for other work."""
SAVE_DELAY = 10
STORAGE_KEY = f"{DOMAIN}.last_known"
STORAGE_VERSION = 1
TICK = timedelta(minutes=1)

FAILED_STATES = frozenset(
    {
        ConfigEntryState.FAILED_UNLOAD,
        ConfigEntryState.MIGRATION_ERROR,
        ConfigEntryState.SETUP_ERROR,
        ConfigEntryState.SETUP_RETRY,
    }
)
"""States of an entry in which nobody watches its accounts, though somebody should."""


class Facet(StrEnum):
    """What of an account can be lost and come back."""

    TERMINAL = "terminal"
    BROKER = "broker"
    SIGHT = "sight"


BY_WEIGHT = (Facet.SIGHT, Facet.TERMINAL, Facet.BROKER)
"""What is out of sight says nothing of its terminal, and a terminal that is off nothing of its broker."""


class Change(NamedTuple):
    """A new current value of an account's facet."""

    account_id: str
    facet: Facet
    before: bool | None
    """The last value before."""
    now: bool | None
    """The current value; None while it cannot be seen."""
    first: bool = False
    """Whether it is the first value since Home Assistant started."""


SIGNAL_CHANGED: SignalType[Change] = SignalType(f"{DOMAIN}_changed")
SIGNAL_ATTEMPTED: SignalType[str] = SignalType(f"{DOMAIN}_attempted")
"""An attempt to reconnect an account began or ended."""
SIGNAL_REMOVED: SignalType[str] = SignalType(f"{DOMAIN}_removed")
SIGNAL_STARTED: SignalType[()] = SignalType(f"{DOMAIN}_started")

type News = Facet | AccountState | ReconnectResult
"""What is new of an account: a facet of which something else is recorded, what it shows, or how an attempt ended."""


class Listener(Protocol):
    """Who is told what is new of an account."""

    def async_take(self, news: News) -> None:
        """Called with what is new."""


@dataclass(slots=True)
class FacetRecord:
    """What is known of one facet, and its running or last outage."""

    last: bool | None = None
    """The last value."""
    since: datetime | None = None
    """When the running outage began, or the last one."""
    ended: datetime | None = None
    """When the last outage ended; None while one runs."""
    current: bool | None = None
    """The current value; None while it cannot be seen."""
    holds_since: datetime | None = None
    """Since when the current value holds without a gap."""
    met: bool = False
    """Whether triggers were told of a value since Home Assistant started."""
    tags: frozenset[str] = frozenset()
    """The tags of the messages that told of the running outage."""

    @property
    def changed_at(self) -> datetime | None:
        """Return when the last value began, as far as that is known."""
        return self.ended if self.last else self.since

    def held(self) -> timedelta:
        """Return how long the current value has held without a gap."""
        if self.holds_since is None:
            return timedelta()
        return max(dt_util.utcnow() - self.holds_since, timedelta())

    def lasted(self) -> timedelta:
        """Return how long the running outage has lasted, or the last one did."""
        if self.since is None:
            return timedelta()
        return max((self.ended or dt_util.utcnow()) - self.since, timedelta())

    def as_json(self) -> dict[str, Any]:
        """Return what to store."""
        return {
            "last": self.last,
            "since": self.since and self.since.isoformat(),
            "ended": self.ended and self.ended.isoformat(),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Read what was stored; raises an exception for anything else."""
        last = data["last"]
        if last is not None and not isinstance(last, bool):
            raise ValueError(last)
        return cls(
            last=last,
            since=_moment(data["since"]),
            ended=_moment(data["ended"]),
        )


@dataclass(slots=True)
class AccountRecord:
    """What is known of one account."""

    facets: dict[Facet, FacetRecord] = field(
        default_factory=lambda: {facet: FacetRecord() for facet in Facet}
    )
    status: Status | None = None
    was_on: bool = False
    """Whether the terminal was ever on."""
    off_since: datetime | None = None
    """When a reconnect took the terminal down: an outage from then on if it fails."""
    downtime: float = 0.0
    """Seconds, as far as they are counted."""
    counted_to: datetime | None = None
    """Up to when downtime is counted; None while it does not run."""
    attempts: int = 0
    """Attempts to reconnect since the running outage began, or during the last one."""
    attempted_at: datetime | None = None
    result: ReconnectResult | None = None
    """How the last attempt ended, if that was in this run of Home Assistant."""
    under_way: int = 0
    """Callers that wait for an attempt."""
    attempted_by: Context | None = None
    """The person or automation whose attempt is under way: the first, if several callers wait for it."""
    listeners: list[Listener] = field(default_factory=list)

    @property
    def terminal(self) -> FacetRecord:
        """Return what is known of the terminal."""
        return self.facets[Facet.TERMINAL]

    @property
    def lost_since(self) -> datetime | None:
        """Return since when the account is out of sight, its terminal off, or its broker away."""
        facets = self.facets
        for facet in BY_WEIGHT:
            if (state := facets[facet]).current is False:
                return state.since
        return None

    def count(self) -> None:
        """Count downtime up to now; a clock that was set back takes nothing away."""
        if self.counted_to is not None:
            now = dt_util.utcnow()
            self.downtime += max((now - self.counted_to).total_seconds(), 0)
            self.counted_to = now

    @callback
    def async_tell(self, news: News) -> None:
        """Notify listeners of what is new; a fault of one must cost neither the others nor the record."""
        for listener in tuple(self.listeners):
            try:
                listener.async_take(news)
            except Exception:  # noqa: BLE001  # logged
                LOGGER.exception("Error in a listener")

    def as_json(self) -> dict[str, Any]:
        """Return what to store."""
        self.count()
        return {
            **{facet.value: self.facets[facet].as_json() for facet in Facet},
            "was_on": self.was_on,
            "downtime": self.downtime,
            "counted_to": self.counted_to and self.counted_to.isoformat(),
            "attempts": self.attempts,
            "attempted_at": self.attempted_at and self.attempted_at.isoformat(),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Read what was stored; raises an exception for anything else.

        Downtime that ran when Home Assistant crashed runs up to now, since its states up to the crash are
        recorded: less would be a fall, which statistics take for a new meter.
        """
        record = cls(
            facets={facet: FacetRecord.from_json(data[facet]) for facet in Facet},
            was_on=bool(data["was_on"]),
            downtime=max(float(data["downtime"]), 0.0),
            counted_to=_moment(data["counted_to"]),
            attempts=int(data["attempts"]),
            attempted_at=_moment(data["attempted_at"]),
        )
        record.count()
        record.counted_to = None
        return record


def _moment(value: object) -> datetime | None:
    """Return a stored moment; raises ValueError for what is none."""
    if value is None:
        return None
    moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    if moment is None or moment.tzinfo is None:
        raise ValueError(value)
    return dt_util.as_utc(moment)


class Outages:
    """Records what accounts show, whoever asks for it."""

    def __init__(
        self,
        hass: HomeAssistant,
        store: Store[dict[str, Any]],
        records: dict[str, AccountRecord],
    ) -> None:
        """Take what was known before Home Assistant stopped."""
        self._hass = hass
        self._store = store
        self._records = records
        self._early: dict[tuple[str, Facet], bool | None] = {}
        """Last values from before Home Assistant started, of what has changed until automations run."""
        self._stop_tick: CALLBACK_TYPE | None = None
        self.started = False
        self._stopped = False

    @callback
    def async_start(self) -> None:
        """Follow entries as they come and go."""
        async_dispatcher_connect(
            self._hass, SIGNAL_CONFIG_ENTRY_CHANGED, self._async_entry_changed
        )
        self._hass.bus.async_listen_once(EVENT_HOMEASSISTANT_STOP, self._async_stop)
        async_at_started(self._hass, self._async_started)

    # -- what others ask -----------------------------------------------------------------------

    def record(self, account_id: str) -> AccountRecord:
        """Return what is known of an account."""
        return self._records.get(account_id) or AccountRecord()

    def facet(self, account_id: str, facet: Facet) -> FacetRecord:
        """Return what is known of an account's facet."""
        return self.record(account_id).facets[facet]

    def told_last(self, account_id: str, facet: Facet) -> bool | None:
        """Return the last value as far as triggers were told of it."""
        key = (account_id, facet)
        return self._early.get(key, self.facet(account_id, facet).last)

    def kept(self, account_id: str) -> AccountRecord:
        """Return what is known of an account, to be kept from now on."""
        record = self._records.get(account_id)
        if record is None:
            record = self._records[account_id] = AccountRecord()
        return record

    # -- what accounts show --------------------------------------------------------------------

    @callback
    def async_take(self, account_id: str, state: AccountState) -> None:
        """Record what an account shows, then tell those who show it."""
        try:
            if not self._stopped:
                self._async_record(account_id, state)
        finally:
            self.record(account_id).async_tell(state)

    @callback
    def _async_record(self, account_id: str, state: AccountState) -> None:
        """Record what an account shows."""
        record = self.kept(account_id)
        record.status = state.status
        now = dt_util.utcnow()
        terminal = state.terminal if state.available else None
        if (
            terminal is False
            and record.terminal.last
            and state.status is Status.RECONNECTING
        ):
            # an outage only if the reconnect fails
            record.off_since = record.off_since or now
            terminal = None
        off_since = record.off_since or now
        if terminal is not None:
            record.off_since = None
        undecided = state.status is Status.UNKNOWN
        self._async_set(
            account_id, Facet.SIGHT, None if undecided else state.available, now
        )
        self._async_set(
            account_id, Facet.TERMINAL, terminal, now if terminal else off_since
        )
        self._async_set(
            account_id, Facet.BROKER, state.broker if terminal else None, now
        )

    @callback
    def async_lose(self, account_id: str) -> None:
        """Record that nobody watches an account any more."""
        if account_id in self._records:
            for facet in Facet:
                self._async_set(account_id, facet, None, dt_util.utcnow())

    @callback
    def _async_set(
        self, account_id: str, facet: Facet, value: bool | None, at: datetime
    ) -> None:
        """Record the current value of a facet."""
        record = self._records.get(account_id)
        # Who was told of another facet may have removed the account
        if record is None or value is (state := record.facets[facet]).current:
            return
        before = state.last
        record.count()
        state.current = value
        state.holds_since = None if value is None else dt_util.utcnow()
        if value is not None and value is not before:
            state.last = value
            if value and facet is Facet.TERMINAL:
                record.was_on = True
            if value:
                state.ended = at if before is False else None
            else:
                state.since, state.ended = at, None
                state.tags = frozenset()
                if facet is Facet.TERMINAL:
                    record.attempts, record.attempted_at = 0, None
            self._async_save()
        if facet is Facet.TERMINAL:
            self._async_count(record)
        if self.started:
            self._async_tell(account_id, facet, before)
        else:
            self._early.setdefault((account_id, facet), before)
        record.async_tell(facet)

    @callback
    def _async_started(self, _hass: HomeAssistant) -> None:
        """Report what came of all that happened before automations run."""
        self.started = True
        for (account_id, facet), before in tuple(self._early.items()):
            # one by one: each is told as it would have been then
            del self._early[account_id, facet]
            self._async_tell(account_id, facet, before)
        self._async_save()
        async_dispatcher_send(self._hass, SIGNAL_STARTED)

    @callback
    def _async_tell(self, account_id: str, facet: Facet, before: bool | None) -> None:
        """Notify triggers of a new current value."""
        state = self.facet(account_id, facet)
        first = state.current is not None and not state.met
        state.met = state.met or first
        change = Change(account_id, facet, before, state.current, first)
        async_dispatcher_send(self._hass, SIGNAL_CHANGED, change)

    # -- downtime ------------------------------------------------------------------------------

    @callback
    def _async_count(self, record: AccountRecord) -> None:
        """Count downtime while the terminal is seen to be down, and only then."""
        runs = record.terminal.current is False and record.terminal.last is False
        if runs is not (record.counted_to is not None):
            record.counted_to = dt_util.utcnow() if runs else None
            self._async_save()
        if runs and self._stop_tick is None:
            self._stop_tick = async_track_time_interval(
                self._hass, self._async_tick, TICK, cancel_on_shutdown=True
            )

    async def _async_tick(self, _now: datetime) -> None:
        """Count downtime; a thousand accounts may be down."""
        down = [one for one, record in self._records.items() if record.counted_to]
        if not down and self._stop_tick is not None:
            self._stop_tick()
            self._stop_tick = None
        for some in batched(down, AT_ONCE, strict=False):
            for account_id in some:
                record = self.record(account_id)
                record.count()
                record.async_tell(Facet.TERMINAL)
            await asyncio.sleep(0)

    # -- attempts ------------------------------------------------------------------------------

    @contextmanager
    def attempt(
        self, account_id: str, context: Context | None = None
    ) -> Iterator[Callable[[ReconnectResult], None]]:
        """Record an attempt to reconnect an account, and who makes it; takes its result.

        Callers that wait for the same attempt make one, whose result is that of the last.
        """
        record = self.kept(account_id)
        results: list[ReconnectResult] = []
        if record.under_way == 0:
            record.attempted_at = dt_util.utcnow()
            record.result = None
            record.attempted_by = context
            self._async_count_attempt(record)
        record.under_way += 1
        async_dispatcher_send(self._hass, SIGNAL_ATTEMPTED, account_id)
        try:
            yield results.append
        finally:
            record.under_way -= 1
            if results and record.under_way == 0:
                record.result = results[0]
                if record.attempts == 0:
                    # it was up when the attempt began
                    record.attempted_at = dt_util.utcnow()
                    self._async_count_attempt(record)
                record.async_tell(results[0])
            if record.under_way == 0:
                record.attempted_by = None
            async_dispatcher_send(self._hass, SIGNAL_ATTEMPTED, account_id)

    @callback
    def _async_count_attempt(self, record: AccountRecord) -> None:
        """Count an attempt of a running outage."""
        if record.terminal.last is False:
            record.attempts += 1
            self._async_save()

    # -- what comes and goes -------------------------------------------------------------------

    @callback
    def _async_entry_changed(
        self, change: ConfigEntryChange, entry: ConfigEntry
    ) -> None:
        """Record that a set-up failed; forget accounts that were removed."""
        if entry.domain != DOMAIN:
            return
        if change is not ConfigEntryChange.REMOVED and entry.state in FAILED_STATES:
            for account_id in _account_ids(entry):
                self.kept(account_id).status = None
                self._async_set(account_id, Facet.SIGHT, False, dt_util.utcnow())
        for account_id in self._records.keys() - _all_account_ids(self._hass):
            self._async_forget(account_id)

    @callback
    def _async_forget(self, account_id: str) -> None:
        """Forget an account, and take back what told of its outage."""
        record = self._records.pop(account_id)
        for state in record.facets.values():
            for tag in state.tags:
                persistent_notification.async_dismiss(self._hass, tag)
        for facet in Facet:
            self._early.pop((account_id, facet), None)
        if self._records:
            self._async_save()
        async_dispatcher_send(self._hass, SIGNAL_REMOVED, account_id)

    @callback
    def _async_stop(self, _event: Event) -> None:
        """Stop counting: what happens until the next start is out of sight."""
        for account_id in tuple(self._records):
            self.async_lose(account_id)
        self._stopped = True

    async def async_remove_store(self) -> None:
        """Delete the file; nothing of the last entry is written any more."""
        self._records.clear()
        await self._store.async_remove()

    @callback
    def _async_save(self) -> None:
        """Write to the file soon."""
        self._store.async_delay_save(
            self._data,
            SAVE_DELAY,
        )

    def _data(self) -> dict[str, Any]:
        """Return what to store; what no automation was told of yet is news at the next start."""
        data = {one: record.as_json() for one, record in self._records.items()}
        for (account_id, facet), before in self._early.items():
            data[account_id][facet.value]["last"] = before
        return data


DATA_OUTAGES: HassKey[Outages] = HassKey(f"{DOMAIN}_outages")


@singleton(DATA_OUTAGES, async_=True)
async def async_get_outages(hass: HomeAssistant) -> Outages:
    """Return the one record of all accounts, read from its file the first time."""
    store = Store[dict[str, Any]](hass, STORAGE_VERSION, STORAGE_KEY)
    try:
        stored = await store.async_load()
        records = {
            str(account_id): AccountRecord.from_json(data)
            for account_id, data in ({} if stored is None else stored).items()
        }
    except Exception as err:  # noqa: BLE001  # whatever is in the file, automations must load
        LOGGER.warning(
            "Could not read what was last known of the accounts, so nothing is: %s: %s",
            type(err).__name__,
            err,
        )
        records = {}
    there = _all_account_ids(hass)
    outages = Outages(
        hass, store, {one: data for one, data in records.items() if one in there}
    )
    outages.async_start()
    return outages


async def async_remove_last_known(hass: HomeAssistant) -> None:
    """Delete the file once no entry is left, which may have been disabled all along."""
    if not hass.config_entries.async_entries(DOMAIN):
        outages = await async_get_outages(hass)
        await outages.async_remove_store()


def _account_ids(entry: ConfigEntry) -> list[str]:
    """Return the accounts of an entry."""
    return [
        subentry.data[CONF_ACCOUNT_ID]
        for subentry in entry.get_subentries_of_type(SUBENTRY_ACCOUNT)
    ]


def _all_account_ids(hass: HomeAssistant) -> set[str]:
    """Return the accounts of all entries."""
    return {
        account_id
        for entry in hass.config_entries.async_entries(DOMAIN)
        for account_id in _account_ids(entry)
    }
