"""What the config flows ask MetaApi, and what its answers mean to a form."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
import traceback
from typing import Any

from homeassistant.config_entries import ConfigEntry
from homeassistant.const import CONF_TOKEN
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.aiohttp_client import (
    async_create_clientsession,
    async_get_clientsession,
)

from .api import (
    STREAMING,
    Account,
    CannotConnectError,
    Endpoints,
    ForbiddenError,
    HandshakeRefusedError,
    InternalError,
    MetaApiError,
    NotAuthenticatedError,
    NotFoundError,
    NotSynchronizedError,
    Provisioning,
    RequestError,
    TokenClaims,
    TooManyRequestsError,
    UnauthorizedError,
    ValidationError,
    Zone,
    read_claims,
    redact,
    try_subscribe,
)
from .const import (
    CONF_ACCOUNT_ID,
    CONF_API_URL,
    CONF_APPLICATION,
    DEFAULT_APPLICATION,
    DOMAIN,
    LOGGER,
    SUBENTRY_ACCOUNT,
)
from .forms import FormError, is_account_id, read_account_id

_KEY_BY_ERROR: Mapping[type[MetaApiError], str] = {
    UnauthorizedError: "invalid_auth",
    ForbiddenError: "forbidden",
    NotFoundError: "account_not_found",
    ValidationError: "invalid_account_id",
    TooManyRequestsError: "too_many_requests",
    InternalError: "answered_with_error",
    RequestError: "answered_with_error",
}
_KEY_BY_STATUS = {401: "invalid_auth", 403: "forbidden", 429: "too_many_requests"}
_ABOUT_ACCOUNT = frozenset({"account_not_found", "forbidden", "invalid_account_id"})


@dataclass(frozen=True, slots=True)
class Listing:
    """The accounts that a token can see."""

    accounts: tuple[Account, ...] = ()
    limited: bool = False
    """The token may not list accounts: each id has to be typed."""

    def get(self, account_id: str) -> Account | None:
        """Return a listed account."""
        return next((a for a in self.accounts if a.account_id == account_id), None)


@dataclass(frozen=True, slots=True, repr=False)
class Access:
    """What the data of an entry, or of one to be, gives access to.

    Its calls raise nothing but FormError.
    """

    hass: HomeAssistant
    data: Mapping[str, Any]

    @property
    def token(self) -> str:
        """Return the token."""
        token: str = self.data[CONF_TOKEN]
        return token

    @property
    def claims(self) -> TokenClaims:
        """Return what the token says of itself."""
        return read_claims(self.token)

    @property
    def may_stream(self) -> bool:
        """Tell whether the token's rules leave hope that it may watch accounts."""
        applications = self.claims.applications
        return applications is None or STREAMING in applications

    @property
    def opaque(self) -> bool:
        """Tell whether the token says nothing, so that its owner id is but a hash of it."""
        return self.claims == TokenClaims(owner_id=self.claims.owner_id)

    @property
    def endpoints(self) -> Endpoints:
        """Return the addresses that serve the token."""
        return Endpoints(api_url=self.data.get(CONF_API_URL))

    @property
    def provisioning(self) -> Provisioning:
        """Return a client of the provisioning API."""
        return Provisioning(
            async_get_clientsession(self.hass), self.token, self.endpoints
        )

    async def listing(self) -> Listing:
        """Return the accounts that the token can see: the real call that tests it."""
        with self._form_errors():
            try:
                return Listing(tuple(await self.provisioning.accounts()))
            except ForbiddenError:
                return Listing(limited=True)
            except UnauthorizedError:
                if self.claims.can_list_accounts is not False:
                    raise
                return Listing(limited=True)
            except NotFoundError, ValidationError:
                raise CannotConnectError("The server has no list of accounts") from None

    async def find(self, listing: Listing, typed: str, region: str = "") -> Account:
        """Return the account that an id stands for, when no entry has it yet."""
        account_id = read_account_id(typed)
        listed = listing.get(typed) or listing.get(account_id)
        if listed is not None:
            self._refuse_configured(listed.account_id)
            return listed
        if not is_account_id(account_id):
            account_id = redact(account_id, self.token)
            raise FormError("invalid_account_id", account=account_id)
        self._refuse_configured(account_id)
        if listing.limited:
            await self.validate_account(account_id, region)
            return Account(account_id=account_id, region=region)
        with self._form_errors(account_id):
            account = await self.provisioning.account(account_id)
        self._refuse_configured(account.account_id)
        return account

    async def validate_account(self, account_id: str, region: str = "") -> None:
        """Validate the token and an account's id by a subscribe."""
        session = async_create_clientsession(self.hass, auto_cleanup=False)
        try:
            with (
                self._form_errors(account_id),
                suppress(NotAuthenticatedError, NotSynchronizedError),
            ):
                await try_subscribe(
                    session,
                    self.token,
                    await self._zone(region),
                    account_id,
                    application=self.data.get(CONF_APPLICATION, DEFAULT_APPLICATION),
                )
        finally:
            session.detach()

    async def reaches_any(self, listing: Listing, account_ids: Collection[str]) -> bool:
        """Tell whether the token can see one of these accounts, if there are any."""
        if not account_ids:
            return True
        if not listing.limited:
            return any(listing.get(account_id) for account_id in account_ids)
        for account_id in account_ids:
            try:
                await self.validate_account(account_id)
            except FormError as error:
                if error.account is None:
                    raise
            else:
                return True
        return False

    def serves_elsewhere(self, region: str, other: str) -> bool:
        """Tell whether two regions have different servers."""
        return self.endpoints.zones(region) != self.endpoints.zones(other)

    async def _zone(self, region: str) -> Zone:
        """Return a server of a region, or the one for all of them."""
        endpoints = self.endpoints
        if region and not endpoints.api_url:
            with suppress(RequestError):
                settings = await self.provisioning.server_settings()
                endpoints = replace(endpoints, settings=settings)
        return endpoints.zones(region)[0]

    def _refuse_configured(self, account_id: str) -> None:
        """Raise when an entry has the account already."""
        if account_id in configured_accounts(self.hass):
            raise FormError("account_already_configured", account=account_id)

    @contextmanager
    def _form_errors(self, account_id: str | None = None) -> Iterator[None]:
        """Turn whatever is raised into an error that a form can tell."""
        try:
            yield
        except Exception as err:  # noqa: BLE001
            key = self._key(err)
            account = account_id if key in _ABOUT_ACCOUNT else None
            raise FormError(key, account=account) from None

    def _key(self, err: Exception) -> str:
        """Return the key of the text about an error; one that nobody expects is logged."""
        if isinstance(err, HandshakeRefusedError):
            return _KEY_BY_STATUS.get(err.status, "cannot_connect")
        if isinstance(err, MetaApiError):
            return _KEY_BY_ERROR.get(type(err), "cannot_connect")
        # Not by `exception`: a foreign error may hold the token in its text
        text = "".join(traceback.format_exception(err))
        LOGGER.error(
            "Unexpected error in the config flow:\n%s", redact(text, self.token)
        )
        return "unknown"


@callback
def configured_accounts(hass: HomeAssistant) -> set[str | None]:
    """Return the ids of the accounts of all entries."""
    return {
        subentry.unique_id
        for entry in hass.config_entries.async_entries(DOMAIN)
        for subentry in entry.get_subentries_of_type(SUBENTRY_ACCOUNT)
    }


@callback
def entry_accounts(entry: ConfigEntry) -> list[str]:
    """Return the ids of the accounts of an entry."""
    return [
        subentry.data[CONF_ACCOUNT_ID]
        for subentry in entry.get_subentries_of_type(SUBENTRY_ACCOUNT)
    ]


@callback
def offered_accounts(hass: HomeAssistant, listing: Listing) -> list[Account]:
    """Return the listed accounts that no entry has."""
    configured = configured_accounts(hass)
    return [acc for acc in listing.accounts if acc.account_id not in configured]
