"""Config flow for MetaApi."""

from collections.abc import Mapping
from typing import Any, override

from homeassistant.config_entries import (
    ConfigEntry,
    ConfigFlow,
    ConfigFlowResult,
    ConfigSubentryData,
    ConfigSubentryFlow,
)
from homeassistant.const import CONF_TOKEN
from homeassistant.core import callback
from homeassistant.helpers.translation import async_load_integrations

from .access import Access, Listing, async_renew, offered_accounts
from .api import Account
from .const import CONF_ACCOUNTS, DOMAIN, SUBENTRY_ACCOUNT
from .forms import (
    REAUTH_SCHEMA,
    FormError,
    account_data,
    accounts_schema,
    credentials_schema,
    form,
    read_credentials,
    read_region,
    suggest_credentials,
    without_token,
)
from .subentry_flow import AccountSubentryFlow
from .texts import async_expiry_text, enumerate_names, escape_markdown

TITLE = "MetaApi"


class MetaApiConfigFlow(ConfigFlow, domain=DOMAIN):
    """Ask for a token, then for accounts; later for a new token."""

    VERSION = 1
    MINOR_VERSION = 1

    def __init__(self) -> None:
        """Prepare what the first step hands to the second."""
        self._access: Access
        self._listing: Listing

    @classmethod
    @callback
    @override
    def async_get_supported_subentry_types(
        cls, config_entry: ConfigEntry
    ) -> dict[str, type[ConfigSubentryFlow]]:
        """Return the kinds of subentries: accounts."""
        return {SUBENTRY_ACCOUNT: AccountSubentryFlow}

    @override
    async def async_step_user(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Ask for a token and test it."""
        error: FormError | None = None
        if user_input is not None:
            try:
                access = Access(self.hass, read_credentials(user_input))
                listing = await access.listing()
            except FormError as err:
                error = err
            else:
                await self.async_set_unique_id(
                    access.claims.owner_id, raise_on_progress=False
                )
                self._abort_if_unique_id_configured()
                self._access = access
                self._listing = listing
                return await self.async_step_accounts()
        return self._show_user(error, without_token(user_input))

    async def async_step_accounts(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Ask which accounts to watch."""
        error: FormError | None = None
        selected: list[str] | None = None
        if user_input is not None:
            selected = user_input[CONF_ACCOUNTS]
            try:
                accounts = await self._async_find(selected, read_region(user_input))
            except FormError as err:
                if err.key == "invalid_auth":
                    # only the first step can fix it
                    return self._show_user(err, suggest_credentials(self._access.data))
                error = err
            else:
                return self.async_create_entry(
                    title=self._title(),
                    data=self._access.data,
                    subentries=[
                        ConfigSubentryData(
                            data=account_data(account),
                            subentry_type=SUBENTRY_ACCOUNT,
                            title=account.title,
                            unique_id=account.account_id,
                        )
                        for account in accounts
                    ],
                )
        elif self._listing.limited:
            error = FormError("may_not_list")
        offered = offered_accounts(self.hass, self._listing)
        schema = self.add_suggested_values_to_schema(
            accounts_schema(offered, selected), user_input
        )
        return self.async_show_form(
            **form(
                "accounts",
                schema,
                error,
                account_field=CONF_ACCOUNTS,
                expires=await self._async_expiry(self._access.token),
                found=str(len(self._listing.accounts)),
            )
        )

    async def async_step_reauth(
        self, entry_data: Mapping[str, Any]
    ) -> ConfigFlowResult:
        """Start to ask for a new token because MetaApi refuses the old one."""
        return await self.async_step_reauth_confirm()

    async def async_step_reauth_confirm(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Ask for a new token of the same owner."""
        entry = self._get_reauth_entry()
        error: FormError | None = None
        if user_input is not None:
            try:
                # The server and the application stay what they are
                kept = suggest_credentials(entry.data)
                data = read_credentials({**kept, **user_input})
                await async_renew(self.hass, entry, data)
            except FormError as err:
                error = err
            else:
                return await self._async_abort_renewed(entry, "reauth_successful")
        titles = [
            subentry.title
            for subentry in entry.get_subentries_of_type(SUBENTRY_ACCOUNT)
        ]
        return self.async_show_form(
            **form(
                "reauth_confirm",
                REAUTH_SCHEMA,
                error,
                accounts=escape_markdown(enumerate_names(titles)),
                expires=await self._async_expiry(entry.data[CONF_TOKEN]),
                name=entry.title,
            )
        )

    async def async_step_reconfigure(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Change the token, the server or the application."""
        entry = self._get_reconfigure_entry()
        error: FormError | None = None
        if user_input is not None:
            try:
                data = read_credentials(
                    user_input, current_token=entry.data[CONF_TOKEN]
                )
                await async_renew(self.hass, entry, data)
            except FormError as err:
                error = err
            else:
                return await self._async_abort_renewed(entry, "reconfigure_successful")
        suggested = (
            suggest_credentials(entry.data)
            if user_input is None
            else without_token(user_input)
        )
        schema = credentials_schema(suggested, keep_token=True)
        return self.async_show_form(
            **form(
                "reconfigure",
                self.add_suggested_values_to_schema(schema, suggested),
                error,
                expires=await self._async_expiry(entry.data[CONF_TOKEN]),
                name=entry.title,
            )
        )

    async def _async_find(self, typed: list[str], region: str) -> list[Account]:
        """Return the chosen accounts, each once; raises FormError.

        The region is that of typed ids that MetaApi does not list.
        """
        accounts: dict[str, Account] = {}
        for text in dict.fromkeys(filter(str.strip, typed)):
            account = await self._access.find(self._listing, text, region)
            accounts[account.account_id] = account
        if not accounts:
            raise FormError("no_accounts", CONF_ACCOUNTS)
        return list(accounts.values())

    @callback
    def _title(self) -> str:
        """Return the title of a new entry, which tells it from those of other users."""
        taken = {entry.title for entry in self._async_current_entries()}
        numbered = (f"{TITLE} {number}" for number in range(2, len(taken) + 2))
        return next(title for title in (TITLE, *numbered) if title not in taken)

    async def _async_expiry(self, token: str) -> str:
        """Return when a token expires; in words, which nobody has loaded before the first entry."""
        await async_load_integrations(self.hass, {DOMAIN})
        return async_expiry_text(self.hass, token)

    async def _async_abort_renewed(
        self, entry: ConfigEntry, reason: str
    ) -> ConfigFlowResult:
        """End a flow whose data is in use by now."""
        return self.async_abort(
            reason=reason,
            description_placeholders={
                "expires": await self._async_expiry(entry.data[CONF_TOKEN])
            },
        )

    def _show_user(
        self, error: FormError | None, suggested: Mapping[str, Any] | None
    ) -> ConfigFlowResult:
        """Show the form of the first step."""
        schema = self.add_suggested_values_to_schema(
            credentials_schema(suggested or {}), suggested
        )
        return self.async_show_form(**form("user", schema, error))
