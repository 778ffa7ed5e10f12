"""What the config flows ask MetaApi, and what its answers mean to a form."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
import traceback
from typing import Any

from homeassistant.config_entries import ConfigEntry
from homeassistant.const import CONF_TOKEN
from homeassistant.core import HomeAssistant, callback
from homeassistant.data_entry_flow import AbortFlow
from homeassistant.helpers.aiohttp_client import (
    async_create_clientsession,
    async_get_clientsession,
)

from .api import (
    Account,
    CannotConnectError,
    Endpoints,
    ForbiddenError,
    HandshakeRefusedError,
    InternalError,
    MetaApiError,
    NoResponseError,
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
    CONF_REGION,
    DEFAULT_APPLICATION,
    DOMAIN,
    LOGGER,
    SUBENTRY_ACCOUNT,
)
from .facts import async_forget_pauses
from .forms import FormError, is_account_id, is_login, read_account_id

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
_NOT_HERE = frozenset({"account_not_in_region", "region_needed"})
"""What a subscribe says of an account that may run elsewhere, or may be gone: nothing about the token."""


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
    def opaque(self) -> bool:
        """Return whether the token says nothing, so that its owner id is but a hash of it."""
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
        """Return the accounts that the token can see: the real call that tests it.

        A token whose rules lack the permission is tested by a subscribe of what is typed later.
        """
        if self.claims.can_list_accounts is False:
            return Listing(limited=True)
        with self._form_errors():
            try:
                return Listing(tuple(await self.provisioning.accounts()))
            except ForbiddenError:
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
            shown = redact(account_id, self.token)
            if is_login(account_id):
                raise FormError("looks_like_login", account=shown)
            raise FormError("invalid_account_id", account=shown)
        self._refuse_configured(account_id)
        if listing.limited:
            await self.validate_account(account_id, region)
            return Account(account_id=account_id, region=region)
        with self._form_errors(account_id):
            account = await self.provisioning.account(account_id)
        self._refuse_configured(account.account_id)
        return account if account.region else replace(account, region=region)

    async def validate_account(self, account_id: str, region: str = "") -> None:
        """Validate the token and an account's id by a subscribe in the account's region.

        What may pass is no error: a terminal that is away, no answer after the server took the socket, a
        user without deployed accounts (`ValidationError` without details).
        """
        session = async_create_clientsession(self.hass, auto_cleanup=False)
        try:
            with self._form_errors(account_id, region):
                try:
                    await try_subscribe(
                        session,
                        self.token,
                        await self._zone(region),
                        account_id,
                        application=self.data.get(
                            CONF_APPLICATION, DEFAULT_APPLICATION
                        ),
                    )
                except (
                    NoResponseError,
                    NotAuthenticatedError,
                    NotSynchronizedError,
                ):
                    pass
                except ValidationError as err:
                    if err.details:
                        raise
        finally:
            session.detach()

    async def refusal(
        self, listing: Listing, regions: Mapping[str, str]
    ) -> FormError | None:
        """Return why the token reaches none of these accounts, which have regions; None where it reaches one."""
        if not listing.limited:
            if not regions or any(map(listing.get, regions)):
                return None
            return FormError("wrong_account", CONF_TOKEN)
        refusal: FormError | None = None
        for account_id, region in regions.items():
            try:
                await self.validate_account(account_id, region)
            except FormError as error:
                if error.account is None:
                    raise
                if refusal is None or refusal.key in _NOT_HERE:
                    refusal = error
            else:
                return None
        return refusal

    def serves_elsewhere(self, region: str, other: str) -> bool:
        """Return whether two regions have different servers."""
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
    def _form_errors(
        self, account_id: str | None = None, region: str | None = None
    ) -> Iterator[None]:
        """Turn whatever is raised into an error that a form can show.

        With a region, which may be "" for the default, it is a server of that region that answers.
        """
        try:
            yield
        except Exception as err:  # noqa: BLE001
            if isinstance(err, NotFoundError) and region is not None:
                raise _not_here(account_id, region) from None
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


def _not_here(account_id: str | None, region: str) -> FormError:
    """Return the error of an account that a region, or the default one, does not know."""
    if region:
        return FormError("account_not_in_region", account=account_id, region=region)
    return FormError("region_needed", account=account_id)


@callback
def configured_accounts(hass: HomeAssistant) -> set[str | None]:
    """Return the ids of the accounts of all entries."""
    return {
        subentry.unique_id
        for entry in hass.config_entries.async_entries(DOMAIN)
        for subentry in entry.get_subentries_of_type(SUBENTRY_ACCOUNT)
    }


@callback
def entry_regions(entry: ConfigEntry) -> dict[str, str]:
    """Return the regions of the accounts of an entry, by account id; "" where one is not known."""
    return {
        subentry.data[CONF_ACCOUNT_ID]: subentry.data[CONF_REGION]
        for subentry in entry.get_subentries_of_type(SUBENTRY_ACCOUNT)
    }


async def async_renew(
    hass: HomeAssistant, entry: ConfigEntry, data: Mapping[str, str]
) -> None:
    """Test the new data of an entry, then use it; raises FormError, or AbortFlow where another entry has its owner.

    The entry is reloaded exactly once, whatever its state: the helpers of Home Assistant do one half
    each, by whether there is an update listener.
    """
    new, old = Access(hass, data), Access(hass, entry.data)
    listing = await new.listing()
    refusal = await new.refusal(listing, entry_regions(entry))
    unique_id = entry.unique_id or ""
    owner_compared = False
    if new.token != old.token:
        if new.opaque or old.opaque:
            # no owner to compare: whoever sees its accounts is the same
            if refusal is not None:
                raise refusal
            if old.opaque:
                unique_id = new.claims.owner_id
        elif new.claims.owner_id != unique_id:
            raise FormError("wrong_account", CONF_TOKEN)
        else:
            owner_compared = True
    if (
        refusal is not None
        and listing.limited
        and not (owner_compared and refusal.key in _NOT_HERE)
    ):
        raise refusal
    if unique_id != entry.unique_id and (
        hass.config_entries.async_entry_for_domain_unique_id(DOMAIN, unique_id)
    ):
        raise AbortFlow("already_configured")
    hass.config_entries.async_update_entry(entry, data=dict(data), unique_id=unique_id)
    # MetaApi, or another server, has just answered
    async_forget_pauses(hass, data[CONF_TOKEN])
    hass.config_entries.async_schedule_reload(entry.entry_id)


@callback
def offered_accounts(hass: HomeAssistant, listing: Listing) -> list[Account]:
    """Return the listed accounts that no entry has."""
    configured = configured_accounts(hass)
    return [acc for acc in listing.accounts if acc.account_id not in configured]
