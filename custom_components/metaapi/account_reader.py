"""Reads accounts by REST, and leaves REST alone for as long as MetaApi asks."""

from datetime import timedelta

from homeassistant.config_entries import ConfigEntry
from homeassistant.const import CONF_TOKEN
from homeassistant.core import HomeAssistant, callback
from homeassistant.util import dt as dt_util
from homeassistant.util.async_ import gather_with_limited_concurrency

from .api import (
    Account,
    MetaApiError,
    NotFoundError,
    Provisioning,
    read_claims,
    rest_pause,
)
from .const import (
    CONF_ACCOUNT_ID,
    DATA_REST_PAUSES,
    LOGGER,
    REFUSED_PAUSE,
    REREAD_INTERVAL,
    REREAD_PAUSE,
    SUBENTRY_ACCOUNT,
)

SINGLE_READS = 5
"""So many accounts that a listing lacks are read at a time."""


class AccountReader:
    """Reads the accounts of an entry, no more often than MetaApi bears."""

    def __init__(
        self, hass: HomeAssistant, entry: ConfigEntry, provisioning: Provisioning
    ) -> None:
        """Prepare; where a token's own rules exclude REST, it is not tried."""
        self._hass = hass
        self._entry = entry
        self._provisioning = provisioning
        self._token: str = entry.data[CONF_TOKEN]
        self.can_list = read_claims(self._token).can_list_accounts is not False
        self.gone: set[str] = set()
        """The accounts of which MetaApi said that it does not know them, since the last listing."""
        self.last_error: str | None = None
        """Why the last listing failed, if it did."""
        self._interval = REREAD_INTERVAL
        self._list_not_before = 0.0
        self._read_not_before = 0.0

    @property
    def interval(self) -> timedelta | None:
        """Return how long the poll waits for the next listing; None where there is to be none."""
        return self._interval if self.can_list else None

    @property
    def pause(self) -> float:
        """Return for how many seconds no listing is to be asked for besides the poll."""
        return self._list_not_before - self._hass.loop.time()

    @property
    def resting(self) -> bool:
        """Tell whether MetaApi asked to be left alone."""
        return self._hass.loop.time() < self._read_not_before

    async def async_list(self) -> dict[str, Account]:
        """Read all accounts at once, and singly what the listing lacks; raises MetaApiError."""
        self._interval = REREAD_INTERVAL
        self._async_pause(REREAD_PAUSE.total_seconds())
        try:
            listed = {
                account.account_id: account
                for account in await self._provisioning.accounts()
            }
        except MetaApiError as err:
            self.last_error = f"{type(err).__name__}: {err}"
            self._async_mind_refusal(err)
            raise
        self.last_error = None
        self.gone.clear()
        wanted = [
            subentry.data[CONF_ACCOUNT_ID]
            for subentry in self._entry.get_subentries_of_type(SUBENTRY_ACCOUNT)
        ]
        missing = [account_id for account_id in wanted if account_id not in listed]
        read = await gather_with_limited_concurrency(
            SINGLE_READS, *map(self.async_read, missing)
        )
        found = listed | dict(zip(missing, read, strict=True))
        return {
            account_id: account
            for account_id in wanted
            if (account := found[account_id]) is not None
        }

    async def async_read(self, account_id: str) -> Account | None:
        """Read one account, unless MetaApi wants to be left alone."""
        if not self.can_list or self.resting:
            return None
        try:
            account = await self._provisioning.account(account_id)
        except NotFoundError:
            self.gone.add(account_id)
        except MetaApiError as err:
            LOGGER.debug("Could not read account %s: %s", account_id, err)
            self._async_mind_refusal(err)
        else:
            return account
        return None

    @callback
    def async_set_up_pause(self) -> float:
        """Return for how many seconds a set-up makes no request, since an earlier one was told so."""
        pauses = self._hass.data.setdefault(DATA_REST_PAUSES, {})
        seconds = pauses.get(self._token, 0.0) - self._hass.loop.time()
        if seconds <= 0:
            pauses.pop(self._token, None)
        return seconds

    @callback
    def async_keep_pause(self, err: MetaApiError) -> None:
        """Have the set-ups to come make the pause that MetaApi asks for."""
        if pause := _pause_after(err):
            pauses = self._hass.data[DATA_REST_PAUSES]
            pauses[self._token] = self._hass.loop.time() + pause

    @callback
    def _async_mind_refusal(self, err: MetaApiError) -> None:
        """Give MetaApi the rest that it asks for, and never ask more than 12 times an hour."""
        if pause := _pause_after(err):
            self._async_pause(pause)
            self._read_not_before = self._list_not_before
            # the poll, which comes up to a second early, waits as well
            self._interval = max(REREAD_INTERVAL, timedelta(seconds=pause + 1))

    @callback
    def _async_pause(self, seconds: float) -> None:
        """List nothing for a while, whatever happens."""
        self._list_not_before = self._hass.loop.time() + seconds


def _pause_after(err: MetaApiError) -> float:
    """Return for how many seconds REST is left alone after an error."""
    return rest_pause(err, dt_util.utcnow(), REFUSED_PAUSE.total_seconds())
