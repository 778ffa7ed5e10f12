"""What REST says of the accounts of an entry, read as often as MetaApi allows."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
import hashlib

from homeassistant.config_entries import ConfigEntry
from homeassistant.const import CONF_TOKEN
from homeassistant.core import CALLBACK_TYPE, HassJob, HomeAssistant, callback
from homeassistant.helpers.event import async_call_later
from homeassistant.util import dt as dt_util
from homeassistant.util.async_ import gather_with_limited_concurrency
from homeassistant.util.hass_dict import HassKey

from .api import (
    Account,
    Endpoints,
    MetaApiError,
    Monitor,
    NotFoundError,
    Provisioning,
    ServerSettings,
    UnauthorizedError,
    clean_text,
    read_claims,
    rest_pause,
)
from .const import (
    CONF_ACCOUNT_ID,
    CONF_API_URL,
    CONF_SERVER,
    DOMAIN,
    LOGGER,
    REFUSED_PAUSE,
    REREAD_DELAY,
    REREAD_INTERVAL,
    REREAD_PAUSE,
    SETUP_TIMEOUT,
)
from .device import account_subentries

IN_MOTION = frozenset({"DEPLOYING", "UNDEPLOYING", "DELETING"})
"""States of an account that soon become another one, without an event that says so."""

SINGLE_READS = 5
"""Accounts missing from a listing that are read at a time."""


@dataclass(slots=True)
class Pauses:
    """When REST may be asked again, in the time of the loop."""

    listing: float = 0.0
    """For all accounts at once."""
    asking: float = 0.0
    """For anything."""


DATA_PAUSES: HassKey[dict[str, Pauses]] = HassKey(f"{DOMAIN}_rest_pauses")
"""By the hash of a token: a pause that MetaApi asked for outlives a reload."""


@callback
def async_get_pauses(hass: HomeAssistant, token: str) -> Pauses:
    """Return when REST may be asked again with a token."""
    pauses = hass.data.setdefault(DATA_PAUSES, {})
    return pauses.setdefault(_hashed(token), Pauses())


@callback
def async_forget_pauses(hass: HomeAssistant, token: str) -> None:
    """Forget that REST is to be left alone: it has just answered."""
    hass.data.get(DATA_PAUSES, {}).pop(_hashed(token), None)


def stored_endpoints(entry: ConfigEntry) -> Endpoints:
    """Return where MetaApi served the token of an entry when that was read last."""
    return Endpoints(
        api_url=entry.data.get(CONF_API_URL),
        settings=ServerSettings.from_json(entry.data.get(CONF_SERVER)),
    )


class Facts:
    """Reads the accounts of an entry: at set-up, every 15 minutes, and soon after what they may explain.

    They never decide whether an entity is available: only the monitor knows what is in sight. Nothing waits
    for them either: what the sockets need is stored. A single timer is armed for the next listing, and
    armed again whenever that moves.
    """

    def __init__(
        self,
        hass: HomeAssistant,
        entry: ConfigEntry,
        monitor: Monitor,
        provisioning: Provisioning,
    ) -> None:
        """Read nothing yet, and nothing ever where the token's own rules exclude REST."""
        token: str = entry.data[CONF_TOKEN]
        self.accounts: dict[str, Account] = {}
        """By id: the accounts of the entry as they were read last."""
        self.read_since: dict[str, float] = {}
        """By id: when the read of an account began, in the time of the loop."""
        self.gone: set[str] = set()
        """The accounts that MetaApi said it does not know, since the last listing."""
        self.last_error: str | None = None
        """Why the last listing failed, if it did."""
        self._hass = hass
        self._entry = entry
        self._monitor = monitor
        self._provisioning = provisioning
        self._timer: CALLBACK_TYPE | None = None
        self._due = 0.0
        """When the next listing is wanted, in the time of the loop."""
        self._pauses = async_get_pauses(hass, token)
        self._settings_wanted = monitor.endpoints.api_url is None
        self._started = False
        self._reading = False
        self._on_read: Callable[[], Awaitable[None]]

    @property
    def can_list(self) -> bool:
        """Return whether the token's own rules leave hope that it may list accounts."""
        claims = read_claims(self._entry.data[CONF_TOKEN])
        return claims.can_list_accounts is not False

    @property
    def may_list(self) -> bool:
        """Return whether MetaApi allows a listing now."""
        return self.can_list and self._hass.loop.time() >= self._pauses.listing

    @property
    def resting(self) -> bool:
        """Return whether MetaApi asked to be left alone."""
        return self._hass.loop.time() < self._pauses.asking

    async def async_first_read(self) -> bool:
        """Read what there is to know before the sockets open; return False if MetaApi refused the token.

        Whatever fails is read later.
        """
        if self.resting:
            return True
        try:
            async with asyncio.timeout(SETUP_TIMEOUT):
                await self._async_read_all()
        except UnauthorizedError:
            return False
        except (MetaApiError, TimeoutError) as err:
            if isinstance(err, TimeoutError):
                self.last_error = f"No answer within {SETUP_TIMEOUT} seconds"
                self._due = self._hass.loop.time() + REREAD_PAUSE.total_seconds()
            LOGGER.info(
                "%s: the accounts are read later: %s",
                clean_text(self._entry.title),
                self.last_error,
            )
        return True

    @callback
    def async_start(self, on_read: Callable[[], Awaitable[None]]) -> None:
        """Read from now on; `on_read` is awaited after each listing, and no other begins before its end."""
        self._on_read = on_read
        self._started = True
        self._async_arm()

    @callback
    def async_stop(self) -> None:
        """Read nothing, at least for now."""
        self._started = False
        self._async_arm()

    @callback
    def async_resume(self) -> None:
        """Read soon, and then as before the stop."""
        self._started = True
        self.async_read_soon()
        self._async_arm()

    @callback
    def async_read_soon(self) -> None:
        """List the accounts soon, but not more often than MetaApi allows."""
        soon = self._hass.loop.time() + REREAD_DELAY.total_seconds()
        if soon < self._due:
            self._due = soon
            self._async_arm()

    async def async_read(self) -> None:
        """List the accounts and hand on what they say; a listing that fails changes nothing."""
        if not self.can_list:
            return
        self._reading = True
        self._async_arm()
        try:
            await self._async_read_all()
            await self._on_read()
        except UnauthorizedError:
            self._monitor.check_token()
        except MetaApiError as err:
            LOGGER.debug("Could not read the accounts: %s", err)
        finally:
            self._reading = False
            self._async_arm()

    async def async_read_account(self, account_id: str) -> Account | None:
        """Read one account now, because a person asks."""
        account = await self._async_read_single(account_id)
        self._async_arm()
        if account is not None and account_id in self._wanted():
            self.accounts[account_id] = account
            if account.state in IN_MOTION:
                self.async_read_soon()
        return account

    @callback
    def _async_arm(self) -> None:
        """Set the timer to the next listing."""
        if self._timer is not None:
            self._timer()
            self._timer = None
        if self._started and self.can_list and not self._reading:
            at = max(self._due, self._pauses.listing)
            self._timer = async_call_later(
                self._hass,
                max(at - self._hass.loop.time(), 0.0),
                HassJob(self._async_list_now, cancel_on_shutdown=True),
            )

    @callback
    def _async_list_now(self, _now: datetime) -> None:
        """List the accounts, since the time has come."""
        self._timer = None
        self._entry.async_create_background_task(
            self._hass, self.async_read(), f"{DOMAIN} facts"
        )

    # -- REST ----------------------------------------------------------------------------------

    async def _async_read_all(self) -> None:
        """Read where MetaApi serves this token, until that is known, and the accounts; raises MetaApiError."""
        if self._settings_wanted:
            await self._async_read_settings()
        if self.can_list:
            await self._async_list()

    async def _async_read_settings(self) -> None:
        """Read where MetaApi serves this token, and keep it for a start without REST."""
        try:
            settings = await self._provisioning.server_settings()
        except MetaApiError as err:
            self._settings_wanted = err.retryable
            if err.retryable:
                self._async_give_rest(err)
                if self.resting:
                    self.last_error = f"{type(err).__name__}: {err}"
                    raise
            return
        self._settings_wanted = False
        self._monitor.endpoints = replace(self._monitor.endpoints, settings=settings)
        if settings != stored_endpoints(self._entry).settings:
            data = {**self._entry.data, CONF_SERVER: asdict(settings)}
            self._hass.config_entries.async_update_entry(self._entry, data=data)

    async def _async_list(self) -> None:
        """Read all accounts at once, and singly what the listing lacks; raises MetaApiError."""
        now = self._hass.loop.time()
        self._due = now + REREAD_INTERVAL.total_seconds()
        self._pauses.listing = now + REREAD_PAUSE.total_seconds()
        try:
            listed = {
                account.account_id: account
                for account in await self._provisioning.accounts()
            }
        except MetaApiError as err:
            self.last_error = f"{type(err).__name__}: {err}"
            self._async_give_rest(err)
            if err.retryable and not self.accounts:
                # nothing is known yet
                self._due = self._pauses.listing
            raise
        self.last_error = None
        self.gone.clear()
        wanted = self._wanted()
        self.read_since = dict.fromkeys(wanted, now)
        missing = [account_id for account_id in wanted if account_id not in listed]
        read = await gather_with_limited_concurrency(
            SINGLE_READS, *map(self._async_read_single, missing)
        )
        found = listed | dict(zip(missing, read, strict=True))
        self.accounts = {
            account_id: account
            for account_id in wanted
            if (account := found[account_id]) is not None
        }
        if any(account.state in IN_MOTION for account in self.accounts.values()):
            self.async_read_soon()

    async def _async_read_single(self, account_id: str) -> Account | None:
        """Read one account, unless MetaApi wants to be left alone."""
        if not self.can_list or self.resting:
            return None
        self.read_since[account_id] = self._hass.loop.time()
        try:
            return await self._provisioning.account(account_id)
        except NotFoundError:
            self.gone.add(account_id)
        except MetaApiError as err:
            LOGGER.debug("Could not read account %s: %s", account_id, err)
            self._async_give_rest(err)
        return None

    @callback
    def _async_give_rest(self, err: MetaApiError) -> None:
        """Leave MetaApi alone for as long as it asks, and never ask more than 12 times an hour."""
        if pause := _pause_after(err):
            self._pauses.listing = self._pauses.asking = self._hass.loop.time() + pause

    def _wanted(self) -> list[str]:
        """Return the ids of the accounts of the entry."""
        return [
            subentry.data[CONF_ACCOUNT_ID]
            for subentry in account_subentries(self._entry)
        ]


def _pause_after(err: MetaApiError) -> float:
    """Return for how many seconds REST is left alone after an error."""
    return rest_pause(err, dt_util.utcnow(), REFUSED_PAUSE.total_seconds())


def _hashed(token: str) -> str:
    """Return what stands for a token where others can look."""
    return hashlib.sha256(token.encode()).hexdigest()
