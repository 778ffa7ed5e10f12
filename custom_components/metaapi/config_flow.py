"""Config flow for MetaApi."""

from collections.abc import Mapping
from typing import Any, override

from homeassistant.config_entries import (
    SOURCE_REAUTH,
    ConfigEntry,
    ConfigFlow,
    ConfigFlowResult,
    ConfigSubentryData,
    ConfigSubentryFlow,
)
from homeassistant.const import CONF_TOKEN
from homeassistant.core import callback

from .access import Access, Listing, entry_accounts, offered_accounts
from .api import Account
from .const import CONF_ACCOUNTS, DATA_REST_PAUSES, DOMAIN, SUBENTRY_ACCOUNT
from .forms import (
    REAUTH_SCHEMA,
    FormError,
    account_data,
    accounts_schema,
    credentials_schema,
    form,
    read_credentials,
    suggest_credentials,
)
from .subentry_flow import AccountSubentryFlow
from .texts import enumerate_names, expiry_text

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
        return self._show_user(error, user_input)

    async def async_step_accounts(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Ask which accounts to watch."""
        error: FormError | None = None
        selected: list[str] | None = None
        if user_input is not None:
            selected = user_input[CONF_ACCOUNTS]
            try:
                accounts = await self._async_find(selected)
            except FormError as err:
                if err.key == "invalid_auth":
                    # Only the first step can mend it
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
        offered = offered_accounts(self.hass, self._listing)
        return self.async_show_form(
            **form(
                "accounts",
                accounts_schema(offered, selected),
                error,
                account_field=CONF_ACCOUNTS,
                expires=expiry_text(self._access.token),
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
                return await self._async_renew(
                    entry, read_credentials({**kept, **user_input})
                )
            except FormError as err:
                error = err
        titles = [
            subentry.title
            for subentry in entry.get_subentries_of_type(SUBENTRY_ACCOUNT)
        ]
        return self.async_show_form(
            **form(
                "reauth_confirm",
                self.add_suggested_values_to_schema(REAUTH_SCHEMA, user_input),
                error,
                accounts=enumerate_names(titles),
                expires=expiry_text(entry.data[CONF_TOKEN]),
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
                return await self._async_renew(
                    entry,
                    read_credentials(user_input, current_token=entry.data[CONF_TOKEN]),
                )
            except FormError as err:
                error = err
        suggested = user_input or suggest_credentials(entry.data)
        schema = credentials_schema(suggested, keep_token=True)
        return self.async_show_form(
            **form(
                "reconfigure",
                self.add_suggested_values_to_schema(schema, suggested),
                error,
                expires=expiry_text(entry.data[CONF_TOKEN]),
                name=entry.title,
            )
        )

    async def _async_find(self, typed: list[str]) -> list[Account]:
        """Return the chosen accounts, each once; raises FormError."""
        accounts: dict[str, Account] = {}
        for text in dict.fromkeys(filter(str.strip, typed)):
            account = await self._access.find(self._listing, text)
            accounts[account.account_id] = account
        if not accounts:
            raise FormError("no_accounts", CONF_ACCOUNTS)
        if not self._access.may_stream:
            await self._access.validate_account(next(iter(accounts)))
        return list(accounts.values())

    async def _async_renew(
        self, entry: ConfigEntry, data: dict[str, str]
    ) -> ConfigFlowResult:
        """Test the new data of an entry, then use it; raises FormError."""
        new, old = Access(self.hass, data), Access(self.hass, entry.data)
        account_ids = entry_accounts(entry)
        listing = await new.listing()
        reaches = await new.reaches_any(listing, account_ids)
        unique_id = entry.unique_id or ""
        if new.token != old.token:
            if new.opaque or old.opaque:
                # No owner to compare: whoever sees its accounts is the same
                if not reaches:
                    raise FormError("wrong_account", CONF_TOKEN)
                if old.opaque:
                    unique_id = new.claims.owner_id
            elif new.claims.owner_id != unique_id:
                raise FormError("wrong_account", CONF_TOKEN)
        if listing.limited and not reaches:
            raise FormError("forbidden", account=account_ids[0])
        if unique_id != entry.unique_id and (
            self.hass.config_entries.async_entry_for_domain_unique_id(DOMAIN, unique_id)
        ):
            return self.async_abort(reason="already_configured")
        return self._async_apply(entry, data, unique_id)

    @callback
    def _title(self) -> str:
        """Return the title of a new entry, which tells it from those of other users."""
        taken = {entry.title for entry in self._async_current_entries()}
        numbered = (f"{TITLE} {number}" for number in range(2, len(taken) + 2))
        return next(title for title in (TITLE, *numbered) if title not in taken)

    @callback
    def _async_apply(
        self, entry: ConfigEntry, data: dict[str, str], unique_id: str
    ) -> ConfigFlowResult:
        """Keep the new data of an entry and reload it, exactly once, whatever its state.

        The helpers of Home Assistant do one half each, by whether there is an update listener.
        """
        self.hass.config_entries.async_update_entry(
            entry, data=data, unique_id=unique_id
        )
        # MetaApi, or another server, has just answered
        self.hass.data.get(DATA_REST_PAUSES, {}).pop(data[CONF_TOKEN], None)
        self.hass.config_entries.async_schedule_reload(entry.entry_id)
        return self.async_abort(
            reason="reauth_successful"
            if self.source == SOURCE_REAUTH
            else "reconfigure_successful",
            description_placeholders={"expires": expiry_text(data[CONF_TOKEN])},
        )

    def _show_user(
        self, error: FormError | None, suggested: Mapping[str, Any] | None
    ) -> ConfigFlowResult:
        """Show the form of the first step."""
        schema = self.add_suggested_values_to_schema(
            credentials_schema(suggested or {}), suggested
        )
        return self.async_show_form(**form("user", schema, error))
