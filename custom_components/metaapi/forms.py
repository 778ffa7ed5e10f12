"""The forms of the config flows: their fields, and how they are filled and read."""

from collections.abc import Collection, Mapping
import re
from typing import Any, TypedDict

import voluptuous as vol

from homeassistant.const import CONF_TOKEN
from homeassistant.data_entry_flow import section
from homeassistant.helpers.selector import (
    SelectOptionDict,
    SelectSelector,
    SelectSelectorConfig,
    SelectSelectorMode,
    TextSelector,
    TextSelectorConfig,
    TextSelectorType,
)
from homeassistant.util import dt as dt_util

from .api import (
    Account,
    InvalidUrlError,
    check_api_url,
    clean_text,
    read_claims,
)
from .const import (
    CONF_ACCOUNT_ID,
    CONF_ACCOUNTS,
    CONF_ADVANCED,
    CONF_API_URL,
    CONF_APPLICATION,
    CONF_REGION,
)
from .texts import PLACEHOLDERS, account_label, sort_accounts

PRESELECTED_MAX = 10


PASSWORD = TextSelector(TextSelectorConfig(type=TextSelectorType.PASSWORD))

REAUTH_SCHEMA = vol.Schema({vol.Required(CONF_TOKEN): PASSWORD})
REGION_SCHEMA = vol.Schema({vol.Optional(CONF_REGION): TextSelector()})
TYPED_ACCOUNT_SCHEMA = vol.Schema(
    {
        vol.Required(CONF_ACCOUNT_ID): TextSelector(),
        vol.Optional(CONF_REGION): TextSelector(),
    }
)

_ACCOUNT_ID = re.compile(r"[0-9A-Za-z_-]{20,40}")
_LOGIN = re.compile(r"[0-9]{3,15}")
_HEXADECIMAL_ID = re.compile(r"[0-9A-Fa-f-]+")
_REGION = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,48}[a-z0-9])?")
_SHOWN_MAX = 20
"""No login is longer; of an id the beginning tells it from the others that were typed."""
_SHOWN_OF_LONG = 8


class FormError(Exception):
    """What a form tells instead of going on: the key of an error text, and the field."""

    def __init__(
        self,
        key: str,
        field: str = "base",
        *,
        account: str | None = None,
        region: str | None = None,
    ) -> None:
        """Keep what the form shows; an error about an account names it, and the region that was asked."""
        super().__init__(key)
        self.key = key
        self.field = field
        self.account = account
        self.region = region or ""

    def errors(self, account_field: str) -> dict[str, str]:
        """Return the errors of the form whose accounts are in this field."""
        return {self.field if self.account is None else account_field: self.key}

    @property
    def shown_account(self) -> str:
        """Return the account that the text names; what was typed may be anything."""
        account = clean_text(self.account or "")
        return account if len(account) <= _SHOWN_MAX else f"{account[:_SHOWN_OF_LONG]}…"


class Form(TypedDict):
    """What `async_show_form` takes."""

    step_id: str
    data_schema: vol.Schema
    errors: dict[str, str]
    description_placeholders: dict[str, str]


def form(
    step_id: str,
    schema: vol.Schema,
    error: FormError | None,
    *,
    account_field: str = "base",
    **placeholders: str,
) -> Form:
    """Return a form that tells what is wrong with it."""
    return Form(
        step_id=step_id,
        data_schema=schema,
        errors=error.errors(account_field) if error else {},
        description_placeholders={
            **PLACEHOLDERS,
            **placeholders,
            "account": error.shown_account if error else "",
            "region": error.region if error else "",
        },
    )


def credentials_schema(
    suggested: Mapping[str, Any], *, keep_token: bool = False
) -> vol.Schema:
    """Return the form of a token and a server; with `keep_token` the token may stay empty."""
    expanded = CONF_API_URL in suggested.get(CONF_ADVANCED, {})
    token = vol.Optional(CONF_TOKEN) if keep_token else vol.Required(CONF_TOKEN)
    advanced = vol.Schema(
        {
            vol.Optional(CONF_API_URL): TextSelector(
                TextSelectorConfig(type=TextSelectorType.URL)
            ),
            vol.Optional(CONF_APPLICATION): TextSelector(),
        }
    )
    return vol.Schema(
        {
            token: PASSWORD,
            vol.Optional(CONF_ADVANCED): section(advanced, {"collapsed": not expanded}),
        }
    )


def accounts_schema(
    offered: Collection[Account], selected: Collection[str] | None = None
) -> vol.Schema:
    """Return the form that picks accounts, and takes typed ids with their region.

    At first some that are deployed are selected.
    """
    if selected is None:
        selected = [
            account.account_id for account in sort_accounts(offered) if account.deployed
        ]
        selected = selected[:PRESELECTED_MAX]
    return vol.Schema(
        {
            # Without a default the frontend selects the first option
            vol.Required(CONF_ACCOUNTS, default=list(selected)): _account_selector(
                offered, multiple=True
            ),
            vol.Optional(CONF_REGION): TextSelector(),
        }
    )


def account_schema(offered: Collection[Account]) -> vol.Schema:
    """Return the form that picks one account."""
    return vol.Schema(
        {vol.Required(CONF_ACCOUNT_ID): _account_selector(offered, multiple=False)}
    )


def _account_selector(
    offered: Collection[Account], *, multiple: bool
) -> SelectSelector:
    """Return a list of accounts; where several can be picked, ids can be typed too."""
    return SelectSelector(
        SelectSelectorConfig(
            options=[
                SelectOptionDict(value=account.account_id, label=account_label(account))
                for account in sort_accounts(offered)
            ],
            multiple=multiple,
            # The frontend would show a single choice by its id
            custom_value=multiple,
            mode=SelectSelectorMode.DROPDOWN,
        )
    )


def account_data(account: Account) -> dict[str, str]:
    """Return what the subentry of an account keeps."""
    return {CONF_ACCOUNT_ID: account.account_id, CONF_REGION: account.region}


def read_credentials(
    user_input: Mapping[str, Any], *, current_token: str | None = None
) -> dict[str, str]:
    """Return what an entry keeps of a form; raises FormError.

    An empty token stands for `current_token`. Blanks inside a token come from copying it.
    """
    token = "".join(user_input.get(CONF_TOKEN, "").split()) or current_token or ""
    if not token or not token.isascii() or not token.isprintable():
        raise FormError("invalid_auth")
    data = {CONF_TOKEN: token}
    advanced = user_input.get(CONF_ADVANCED, {})
    if api_url := advanced.get(CONF_API_URL, "").strip():
        try:
            data[CONF_API_URL] = check_api_url(api_url)
        except InvalidUrlError:
            # the frontend shows no error of a field inside a section
            raise FormError("invalid_api_url", CONF_ADVANCED) from None
    if application := advanced.get(CONF_APPLICATION, "").strip():
        data[CONF_APPLICATION] = application
    expires_at = read_claims(token).expires_at
    if expires_at is not None and expires_at <= dt_util.utcnow():
        raise FormError("token_expired", CONF_TOKEN)
    if read_claims(token).can_stream is False:
        raise FormError("may_not_stream", CONF_TOKEN)
    return data


def suggest_credentials(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with which the form of an entry's credentials starts: all but the token."""
    return {
        CONF_ADVANCED: {
            key: data[key] for key in (CONF_API_URL, CONF_APPLICATION) if key in data
        }
    }


def without_token(user_input: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what was typed into a form, for its next showing: a token is never sent back."""
    return {key: one for key, one in (user_input or {}).items() if key != CONF_TOKEN}


def read_account_id(text: str) -> str:
    """Return an id in the spelling that MetaApi uses, also out of the URL of the account's page."""
    account_id = text.strip()
    if "/" in account_id:
        parts = re.split(r"[/?#&=]", account_id)
        account_id = next(filter(is_account_id, reversed(parts)), account_id)
    return account_id.lower() if _HEXADECIMAL_ID.fullmatch(account_id) else account_id


def is_login(text: str) -> bool:
    """Return whether a text has the form of a MetaTrader login."""
    return _LOGIN.fullmatch(text) is not None


def is_account_id(text: str) -> bool:
    """Return whether a text has the form of an account id: a UUID, or about as long."""
    return _ACCOUNT_ID.fullmatch(text) is not None


def read_region(user_input: Mapping[str, Any]) -> str:
    """Return the region of a form, which becomes a part of a host name; raises FormError."""
    region: str = user_input.get(CONF_REGION, "").strip().lower()
    if region and not _REGION.fullmatch(region):
        raise FormError("invalid_region", CONF_REGION)
    return region
