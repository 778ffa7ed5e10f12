"""Flow of one account: add it to an entry, show what MetaApi says of it, change its region."""

from typing import Any

import voluptuous as vol

from homeassistant.config_entries import (
    ConfigEntryState,
    ConfigSubentryFlow,
    SubentryFlowResult,
)

from .access import Access, Listing, offered_accounts
from .api import Account, clean_text
from .const import CONF_ACCOUNT_ID, CONF_REGION
from .forms import (
    REGION_SCHEMA,
    TYPED_ACCOUNT_SCHEMA,
    FormError,
    account_data,
    account_schema,
    form,
    read_region,
)
from .texts import NOT_KNOWN, account_state, escape_markdown
from .watcher import async_ask_for_token


class AccountSubentryFlow(ConfigSubentryFlow):
    """Add an account to an entry, show what is known of it, or change its region."""

    def __init__(self) -> None:
        """Prepare what is read once."""
        self._listing: Listing | None = None

    async def async_step_user(
        self, user_input: dict[str, Any] | None = None
    ) -> SubentryFlowResult:
        """Ask for one account that no entry has."""
        entry = self._get_entry()
        if entry.state is not ConfigEntryState.LOADED:
            return self.async_abort(reason="entry_not_loaded")
        access = Access(self.hass, entry.data)
        if self._listing is None:
            try:
                self._listing = await access.listing()
            except FormError as err:
                if err.key == "invalid_auth":
                    async_ask_for_token(self.hass, entry)
                return self.async_abort(reason=err.key)
        error: FormError | None = None
        if user_input is not None:
            try:
                account = await access.find(
                    self._listing,
                    user_input[CONF_ACCOUNT_ID],
                    read_region(user_input),
                )
            except FormError as err:
                if err.key == "account_already_configured":
                    return self.async_abort(reason="already_configured")
                error = err
            else:
                return self.async_create_entry(
                    title=account.title,
                    data=account_data(account),
                    unique_id=account.account_id,
                )
        elif self._listing.limited:
            error = FormError("may_not_list")
        offered = offered_accounts(self.hass, self._listing)
        if self._listing.accounts and not offered:
            return self.async_abort(reason="no_accounts_left")
        schema = self.add_suggested_values_to_schema(
            account_schema(offered) if offered else TYPED_ACCOUNT_SCHEMA, user_input
        )
        return self.async_show_form(
            **form("user", schema, error, account_field=CONF_ACCOUNT_ID)
        )

    async def async_step_reconfigure(
        self, user_input: dict[str, Any] | None = None
    ) -> SubentryFlowResult:
        """Show what MetaApi says of an account; take its region where MetaApi does not tell it."""
        entry = self._get_entry()
        subentry = self._get_reconfigure_subentry()
        access = Access(self.hass, entry.data)
        account_id: str = subentry.data[CONF_ACCOUNT_ID]
        if entry.state is ConfigEntryState.LOADED:
            listed = entry.runtime_data.facts.accounts.get(account_id)
            if listed is not None and listed.region:
                return self._show_facts(subentry.title, listed)
        known: str = subentry.data[CONF_REGION]
        error: FormError | None = None
        if user_input is not None:
            try:
                region = read_region(user_input)
                if access.serves_elsewhere(region, known):
                    await access.validate_account(account_id, region)
            except FormError as err:
                error = err
            else:
                result = self.async_update_and_abort(
                    entry, subentry, data_updates={CONF_REGION: region}
                )
                if region != known:
                    self.hass.config_entries.async_schedule_reload(entry.entry_id)
                return result
        schema = self.add_suggested_values_to_schema(
            REGION_SCHEMA, user_input or {CONF_REGION: known}
        )
        return self.async_show_form(
            **form("reconfigure", schema, error, name=subentry.title)
        )

    async def async_step_facts(
        self, _user_input: dict[str, Any] | None = None
    ) -> SubentryFlowResult:
        """Close the form that shows what is known of an account."""
        return self.async_abort(reason="nothing_changed")

    def _show_facts(self, name: str, account: Account) -> SubentryFlowResult:
        """Show what MetaApi says of an account: a change here would not outlive the next listing."""
        facts = {
            "login": account.login,
            "platform": account.platform,
            "server": account.server,
            "region": account.region,
            "state": account_state(account),
            "type": account.type,
        }
        return self.async_show_form(
            step_id="facts",
            data_schema=vol.Schema({}),
            description_placeholders={
                "name": name,
                **{
                    key: escape_markdown(clean_text(value)) or NOT_KNOWN
                    for key, value in facts.items()
                },
            },
        )
