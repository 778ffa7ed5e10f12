"""What REST says of the accounts of an entry, read as often as MetaApi allows."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from homeassistant.config_entries import ConfigEntry
from homeassistant.const import CONF_TOKEN
from homeassistant.core import CALLBACK_TYPE, HassJob, HomeAssistant, callback
from homeassistant.exceptions import ConfigEntryAuthFailed, ConfigEntryNotReady
from homeassistant.helpers.event import async_call_later
from homeassistant.util import dt as dt_util
from homeassistant.util.async_ import gather_with_limited_concurrency

from .api import (
    Account,
    Endpoints,
    ForbiddenError,
    MetaApiError,
    NotFoundError,
    Provisioning,
    RequestError,
    UnauthorizedError,
    read_claims,
    rest_pause,
)
from .const import (
    CONF_ACCOUNT_ID,
    DATA_REST_PAUSES,
    DOMAIN,
    LOGGER,
    REFUSED_PAUSE,
    REREAD_DELAY,
    REREAD_INTERVAL,
    REREAD_PAUSE,
    SUBENTRY_ACCOUNT,
)

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


class Facts:
    """Reads the accounts of an entry: at set-up, every 15 minutes, and soon after what they may explain.

    They never decide whether an entity is available: only the monitor knows what is in sight. A single timer
    is armed for the next listing, and armed again whenever that moves.
    """

    def __init__(
        self, hass: HomeAssistant, entry: ConfigEntry, provisioning: Provisioning
    ) -> None:
        """Read nothing yet, and nothing ever where the token's own rules exclude REST."""
        self.accounts: dict[str, Account] = {}
        """By id: the accounts of the entry as they were read last."""
        self.gone: set[str] = set()
        """The accounts that MetaApi said it does not know, since the last listing."""
        self.can_list = (
            read_claims(entry.data[CONF_TOKEN]).can_list_accounts is not False
        )
        self.last_error: str | None = None
        """Why the last listing failed, if it did."""
        self._hass = hass
        self._entry = entry
        self._provisioning = provisioning
        self._timer: CALLBACK_TYPE | None = None
        self._due = 0.0
        """When the next listing is wanted, in the time of the loop."""
        self._pauses = Pauses()
        self._started = False
        self._reading = False
        self._on_read: Callable[[], Awaitable[None]]
        self._on_unauthorized: Callable[[], None]

    @property
    def resting(self) -> bool:
        """Return whether MetaApi asked to be left alone."""
        return self._hass.loop.time() < self._pauses.asking

    # -- at set-up -----------------------------------------------------------------------------

    async def async_read_endpoints(self, endpoints: Endpoints) -> Endpoints:
        """Return where MetaApi serves this token; raises what `async_first_read` does."""
        self._async_respect_pause()
        if endpoints.api_url:
            return endpoints
        try:
            settings = await self._provisioning.server_settings()
        except MetaApiError as err:
            if err.retryable:
                raise self._async_not_ready(err) from err
            return endpoints
        return replace(endpoints, settings=settings)

    async def async_first_read(self) -> None:
        """List the accounts; raises ConfigEntryAuthFailed or ConfigEntryNotReady."""
        if not self.can_list:
            return
        try:
            await self._async_list()
        except UnauthorizedError as err:
            raise ConfigEntryAuthFailed(
                translation_domain=DOMAIN, translation_key="invalid_token"
            ) from err
        except ForbiddenError:
            # perhaps for a moment only: the next listing asks again
            return
        except MetaApiError as err:
            raise self._async_not_ready(err) from err

    @callback
    def _async_respect_pause(self) -> None:
        """Raise ConfigEntryNotReady while MetaApi is to be left alone since an earlier set-up."""
        pauses = self._hass.data.setdefault(DATA_REST_PAUSES, {})
        token = self._entry.data[CONF_TOKEN]
        seconds = pauses.get(token, 0.0) - self._hass.loop.time()
        if seconds <= 0:
            pauses.pop(token, None)
            return
        again_at = dt_util.now() + timedelta(seconds=seconds)
        raise ConfigEntryNotReady(
            translation_domain=DOMAIN,
            translation_key="rest_asked",
            translation_placeholders={"time": f"{again_at:%H:%M:%S}"},
        )

    @callback
    def _async_not_ready(self, err: MetaApiError) -> ConfigEntryNotReady:
        """Return the error for a set-up that is worth another try, and remember the pause to make."""
        if pause := _pause_after(err):
            pauses = self._hass.data[DATA_REST_PAUSES]
            pauses[self._entry.data[CONF_TOKEN]] = self._hass.loop.time() + pause
        if isinstance(err, RequestError):
            return ConfigEntryNotReady(
                translation_domain=DOMAIN,
                translation_key="answered_with_error",
                translation_placeholders={"error": str(err)},
            )
        return ConfigEntryNotReady(
            translation_domain=DOMAIN,
            translation_key="cannot_connect",
            translation_placeholders={"error": str(err)},
        )

    # -- while the entry is loaded -------------------------------------------------------------

    @callback
    def async_start(
        self,
        on_read: Callable[[], Awaitable[None]],
        on_unauthorized: Callable[[], None],
    ) -> None:
        """Read from now on; `on_read` is awaited after each listing, and no other begins before its end."""
        self._on_read = on_read
        self._on_unauthorized = on_unauthorized
        self._started = True
        self._async_arm()

    @callback
    def async_stop(self) -> None:
        """Read nothing any more."""
        self._started = False
        self._async_arm()

    @callback
    def async_stop_listing(self) -> None:
        """Leave REST alone for good: MetaApi refuses the token."""
        self.can_list = False
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
            await self._async_list()
        except UnauthorizedError:
            self._on_unauthorized()
        except MetaApiError as err:
            LOGGER.debug("Could not read the accounts: %s", err)
        else:
            await self._on_read()
        finally:
            self._reading = False
            self._async_arm()

    async def async_read_account(self, account_id: str) -> Account | None:
        """Read one account now, because a person asks."""
        account = await self._async_read_single(account_id)
        self._async_arm()
        if account is not None and account_id in self._wanted():
            self.accounts[account_id] = account
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
                HassJob(self._async_due, cancel_on_shutdown=True),
            )

    @callback
    def _async_due(self, _now: datetime) -> None:
        """List the accounts now."""
        self._timer = None
        self._entry.async_create_background_task(
            self._hass, self.async_read(), f"{DOMAIN} facts"
        )

    # -- REST ----------------------------------------------------------------------------------

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
            raise
        self.last_error = None
        self.gone.clear()
        wanted = self._wanted()
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
            for subentry in self._entry.get_subentries_of_type(SUBENTRY_ACCOUNT)
        ]


def _pause_after(err: MetaApiError) -> float:
    """Return for how many seconds REST is left alone after an error."""
    return rest_pause(err, dt_util.utcnow(), REFUSED_PAUSE.total_seconds())
