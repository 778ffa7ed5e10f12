"""What the forms, the repair issues and the buttons say in the same words."""

from collections.abc import Iterable, Sequence
import re

from homeassistant.core import HomeAssistant, callback

from .api import PROVISIONING, STREAMING, Account, read_claims
from .const import ACCOUNT_URL, TOKEN_URL
from .messages import async_get_composer

NAMED_MAX = 10
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+.!|~&:-])")
NOT_KNOWN = "—"
PLACEHOLDERS = {
    "accounts_url": ACCOUNT_URL,
    # of MetaApi's documentation
    "example": "865d3a4d-3803-486d-bdf3-a85679d9fad2",
    "provisioning": PROVISIONING,
    "streaming": STREAMING,
    "token_url": TOKEN_URL,
}


def sort_accounts(accounts: Iterable[Account]) -> list[Account]:
    """Return accounts in the order in which people look for them."""
    return sorted(accounts, key=lambda account: account_label(account).casefold())


def account_state(account: Account) -> str:
    """Return the state of an account in MetaApi's words."""
    return account.state.replace("_", " ").lower()


def account_label(account: Account) -> str:
    """Return what tells an account from the others of its owner."""
    parts = (
        account.name or account.account_id,
        account.login,
        account.server,
        account.region,
    )
    return " · ".join(part for part in (*parts, account_state(account)) if part)


def enumerate_names(names: Sequence[str]) -> str:
    """Return names as one text, the first ones if there are many."""
    more = [] if len(names) <= NAMED_MAX else ["…"]
    return ", ".join([*names[:NAMED_MAX], *more]) or NOT_KNOWN


@callback
def async_expiry_text(hass: HomeAssistant, token: str) -> str:
    """Return when a token expires, in the language and the time zone of the home."""
    expires_at = read_claims(token).expires_at
    return async_get_composer(hass).date(expires_at) if expires_at else NOT_KNOWN


def escape_markdown(text: str) -> str:
    """Return a text that Markdown shows as it is: a name is no link."""
    return _MARKDOWN.sub(r"\\\1", text)
