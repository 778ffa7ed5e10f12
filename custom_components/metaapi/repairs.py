"""Fix flows of the repair issues."""

from abc import ABC, abstractmethod
from typing import Any, override

from homeassistant.components.repairs import (
    ConfirmRepairFlow,
    RepairsFlow,
    RepairsFlowResult,
)
from homeassistant.const import CONF_TOKEN
from homeassistant.core import HomeAssistant
from homeassistant.helpers import issue_registry as ir

from .access import async_renew
from .const import DOMAIN
from .forms import (
    REAUTH_SCHEMA,
    FormError,
    form,
    read_credentials,
    suggest_credentials,
)
from .issues import (
    ACCOUNT_DELETED,
    DATA_ENTRY_ID,
    DATA_SUBENTRY_ID,
    TOKEN_EXPIRING,
)
from .texts import async_expiry_text


class MetaApiRepairFlow(ConfirmRepairFlow, ABC):
    """Asks before it fixes something."""

    def __init__(self, entry_id: str) -> None:
        """Fix something about an entry."""
        self._entry_id = entry_id

    @override
    async def async_step_confirm(
        self, user_input: dict[str, Any] | None = None
    ) -> RepairsFlowResult:
        """Show what will happen, then do it."""
        if ir.async_get(self.hass).async_get_issue(DOMAIN, self.issue_id) is None:
            # Its cause is gone, or what it was about is
            return self.async_abort(reason="already_solved")
        if user_input is not None:
            return await self._async_fix(user_input)
        return await self._async_show()

    async def _async_show(self) -> RepairsFlowResult:
        """Show what will happen."""
        return await super().async_step_confirm()

    @abstractmethod
    async def _async_fix(self, user_input: dict[str, Any]) -> RepairsFlowResult:
        """Fix it."""


class AccountDeletedRepairFlow(MetaApiRepairFlow):
    """Removes an account that MetaApi does not know any more."""

    def __init__(self, entry_id: str, subentry_id: str) -> None:
        """Fix something about an account."""
        super().__init__(entry_id)
        self._subentry_id = subentry_id

    @override
    async def _async_fix(self, user_input: dict[str, Any]) -> RepairsFlowResult:
        """Remove the account, with its device and its entities."""
        entry = self.hass.config_entries.async_get_known_entry(self._entry_id)
        self.hass.config_entries.async_remove_subentry(entry, self._subentry_id)
        return self.async_create_entry(data={})


class TokenExpiringRepairFlow(MetaApiRepairFlow):
    """Takes a new token in its own dialog.

    The form to reconfigure the entry would do, too; but a person who leaves that one open keeps Home
    Assistant from asking for a token when this one is refused.
    """

    @override
    async def _async_show(self, error: FormError | None = None) -> RepairsFlowResult:
        """Ask for the token."""
        issue = ir.async_get(self.hass).async_get_issue(DOMAIN, self.issue_id)
        placeholders = (issue and issue.translation_placeholders) or {}
        return self.async_show_form(
            **form("confirm", REAUTH_SCHEMA, error, **placeholders)
        )

    @override
    async def _async_fix(self, user_input: dict[str, Any]) -> RepairsFlowResult:
        """Test the token and use it; the issue goes with the old one, unless the new one expires soon as well."""
        entry = self.hass.config_entries.async_get_known_entry(self._entry_id)
        try:
            # The server and the application stay what they are
            data = read_credentials({**suggest_credentials(entry.data), **user_input})
            await async_renew(self.hass, entry, data)
        except FormError as error:
            return await self._async_show(error)
        return self.async_abort(
            reason="token_replaced",
            description_placeholders={
                "expires": async_expiry_text(self.hass, data[CONF_TOKEN])
            },
        )


async def async_create_fix_flow(
    hass: HomeAssistant,
    issue_id: str,
    data: dict[str, str | int | float | None] | None,
) -> RepairsFlow:
    """Return the flow that fixes an issue: its id alone says which."""
    about = {key: str(value) for key, value in (data or {}).items()}
    if issue_id.startswith(ACCOUNT_DELETED):
        return AccountDeletedRepairFlow(about[DATA_ENTRY_ID], about[DATA_SUBENTRY_ID])
    if issue_id.startswith(TOKEN_EXPIRING):
        return TokenExpiringRepairFlow(about[DATA_ENTRY_ID])
    return ConfirmRepairFlow()
