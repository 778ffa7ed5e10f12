"""Fix flows of the repair issues."""

from abc import ABC, abstractmethod
from typing import override

from homeassistant.components.repairs import (
    ConfirmRepairFlow,
    FlowType,
    RepairsFlow,
    RepairsFlowResult,
)
from homeassistant.config_entries import SOURCE_RECONFIGURE, ConfigFlowContext
from homeassistant.core import HomeAssistant
from homeassistant.helpers import issue_registry as ir

from .const import DOMAIN
from .issues import (
    ACCOUNT_DELETED,
    DATA_ENTRY_ID,
    DATA_SUBENTRY_ID,
    TOKEN_EXPIRING,
)


class MetaApiRepairFlow(ConfirmRepairFlow, ABC):
    """Asks before it fixes something."""

    def __init__(self, entry_id: str) -> None:
        """Fix something about an entry."""
        self._entry_id = entry_id

    @override
    async def async_step_confirm(
        self, user_input: dict[str, str] | None = None
    ) -> RepairsFlowResult:
        """Show what will happen, then do it."""
        if ir.async_get(self.hass).async_get_issue(DOMAIN, self.issue_id) is None:
            # Its cause is gone, or what it was about is
            return self.async_abort(reason="already_solved")
        if user_input is not None:
            return await self._async_fix()
        return await super().async_step_confirm()

    @abstractmethod
    async def _async_fix(self) -> RepairsFlowResult:
        """Fix it."""


class AccountDeletedRepairFlow(MetaApiRepairFlow):
    """Removes an account that MetaApi does not know any more."""

    def __init__(self, entry_id: str, subentry_id: str) -> None:
        """Fix something about an account."""
        super().__init__(entry_id)
        self._subentry_id = subentry_id

    @override
    async def _async_fix(self) -> RepairsFlowResult:
        """Remove the account, with its device and its entities."""
        entry = self.hass.config_entries.async_get_known_entry(self._entry_id)
        self.hass.config_entries.async_remove_subentry(entry, self._subentry_id)
        return self.async_create_entry(data={})


class TokenExpiringRepairFlow(MetaApiRepairFlow):
    """Leads to the form that takes a new token."""

    @override
    async def _async_fix(self) -> RepairsFlowResult:
        """Go on with that form; the issue stays until a token is in that lives longer."""
        flows = self.hass.config_entries.flow
        context = ConfigFlowContext(source=SOURCE_RECONFIGURE, entry_id=self._entry_id)
        opened = flows.async_progress_by_handler(DOMAIN, match_context={**context})
        result = (
            opened[0] if opened else await flows.async_init(DOMAIN, context=context)
        )
        return self.async_abort(
            reason="reconfigure",
            next_flow=(FlowType.CONFIG_FLOW, result["flow_id"]),
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
