"""Repair issues: raised where a person can fix something, gone with their cause."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from homeassistant.config_entries import (
    SIGNAL_CONFIG_ENTRY_CHANGED,
    ConfigEntry,
    ConfigEntryChange,
    ConfigEntryState,
    ConfigSubentry,
)
from homeassistant.const import CONF_TOKEN
from homeassistant.core import CALLBACK_TYPE, HassJob, HomeAssistant, callback
from homeassistant.helpers import issue_registry as ir
from homeassistant.helpers.dispatcher import async_dispatcher_connect
from homeassistant.helpers.event import async_call_later
from homeassistant.util import dt as dt_util

from .api import (
    Limit,
    Status,
    TokenClaims,
    TooManyRequestsError,
    clean_text,
    limit_of,
    read_claims,
)
from .const import ACCOUNT_URL, DOMAIN, TOKEN_URL, WEB_APP_URL
from .texts import (
    NOT_KNOWN,
    PLACEHOLDERS,
    async_expiry_text,
    enumerate_names,
    escape_markdown,
)

# What the ids of the issues begin with
ACCOUNT_DELETED = "account_deleted_"
QUOTA_EXHAUSTED = "quota_exhausted_"
TOKEN_EXPIRING = "token_expiring_"

DATA_ENTRY_ID = "entry_id"
DATA_SUBENTRY_ID = "subentry_id"

EXPIRY_NOTICE = timedelta(days=14)
EXPIRY_SHARE = 5
"""A token that lives for less than this many notices is reported for this share of its life (a fifth)."""
LOOK_INTERVAL = timedelta(days=1)
"""How often the expiry is looked at, however far away: the clock of the home may be set."""

UNDECIDED = frozenset({Status.NO_CONNECTION, Status.RECONNECTING, Status.UNKNOWN})
"""What an account shows while nobody knows whether the quota would let it in."""


@callback
def async_setup_issues(hass: HomeAssistant) -> None:
    """Delete issues together with the account or the entry that they are about."""

    @callback
    def async_changed(change: ConfigEntryChange, entry: ConfigEntry) -> None:
        """Delete the issues of an entry that have lost their subject."""
        ended = change is ConfigEntryChange.REMOVED or entry.disabled_by is not None
        for domain, issue_id in tuple(ir.async_get(hass).issues):
            issue = ir.async_get(hass).async_get_issue(domain, issue_id)
            if domain != DOMAIN or issue is None or issue.data is None:
                continue
            subentry_id = issue.data.get(DATA_SUBENTRY_ID)
            if issue.data[DATA_ENTRY_ID] == entry.entry_id and (
                ended or (subentry_id and subentry_id not in entry.subentries)
            ):
                ir.async_delete_issue(hass, DOMAIN, issue_id)

    async_dispatcher_connect(hass, SIGNAL_CONFIG_ENTRY_CHANGED, async_changed)


@callback
def async_account_deleted(
    hass: HomeAssistant, entry: ConfigEntry, subentry: ConfigSubentry
) -> None:
    """Report that MetaApi does not know an account any more."""
    ir.async_create_issue(
        hass,
        DOMAIN,
        f"{ACCOUNT_DELETED}{subentry.subentry_id}",
        data={
            DATA_ENTRY_ID: entry.entry_id,
            DATA_SUBENTRY_ID: subentry.subentry_id,
        },
        is_fixable=True,
        severity=ir.IssueSeverity.WARNING,
        translation_key="account_deleted",
        translation_placeholders={
            "account": _shown(subentry.title),
            "accounts_url": ACCOUNT_URL,
            "name": clean_text(subentry.title),
        },
    )


@callback
def async_account_not_deleted(hass: HomeAssistant, subentry: ConfigSubentry) -> None:
    """Withdraw the report that MetaApi does not know an account."""
    _async_clear(hass, f"{ACCOUNT_DELETED}{subentry.subentry_id}")


class QuotaIssue:
    """Reports that a user's subscription quota is used up."""

    def __init__(self, hass: HomeAssistant, entry: ConfigEntry) -> None:
        """Report nothing yet; what is reported ends with the entry, whose sockets showed it."""
        self._hass = hass
        self._entry = entry
        self._issue_id = f"{QUOTA_EXHAUSTED}{entry.entry_id}"
        self._names: dict[str, str] = {}
        self._numbers: Mapping[str, Any] = {}
        entry.async_on_unload(self._async_clear)

    @callback
    def async_update(
        self,
        subentry_id: str,
        name: str,
        status: Status | None,
        limit: TooManyRequestsError | None,
    ) -> None:
        """Take the status of an account, and the last limit that it or its user met."""
        if status in UNDECIDED:
            return
        if (
            status is Status.QUOTA_EXHAUSTED
            and limit is not None
            and limit_of(limit) is Limit.HOLD
        ):
            self._names[subentry_id] = name
            self._numbers = limit.metadata
        else:
            self.async_forget(subentry_id)
            return
        self._async_raise()

    @callback
    def async_forget(self, subentry_id: str) -> None:
        """Stop reporting an account: it is watched, or was removed."""
        if self._names.pop(subentry_id, None) is None:
            return
        if self._names:
            self._async_raise()
        else:
            self._async_clear()

    @callback
    def _async_raise(self) -> None:
        """Report which accounts wait, and the numbers that MetaApi gave."""
        ir.async_create_issue(
            self._hass,
            DOMAIN,
            self._issue_id,
            data={DATA_ENTRY_ID: self._entry.entry_id},
            is_fixable=False,
            severity=ir.IssueSeverity.WARNING,
            translation_key="quota_exhausted",
            translation_placeholders={
                "accounts": enumerate_names(list(map(_shown, self._names.values()))),
                "allowed": _number(self._numbers.get("maxAccountsPerUser")),
                "used": _number(self._numbers.get("accountsCount")),
                "web_app_url": WEB_APP_URL,
            },
        )

    @callback
    def _async_clear(self) -> None:
        """Withdraw the report."""
        self._names.clear()
        _async_clear(self._hass, self._issue_id)


class ExpiryIssue:
    """Reports in time that a token is about to expire, however long the entry runs."""

    def __init__(
        self, hass: HomeAssistant, entry: ConfigEntry, check_token: Callable[[], None]
    ) -> None:
        """Look now, and when it is time; `check_token` is called when it has expired."""
        self._hass = hass
        self._entry = entry
        self._check_token = check_token
        self._issue_id = f"{TOKEN_EXPIRING}{entry.entry_id}"
        self._claims = read_claims(entry.data[CONF_TOKEN])
        self._cancel: CALLBACK_TYPE | None = None
        self._job = HassJob(self._async_look, cancel_on_shutdown=True)
        entry.async_on_unload(self._async_stop)
        self._async_look(dt_util.utcnow())

    @callback
    def _async_look(self, _now: datetime) -> None:
        """Raise the issue when it is time, and delete it when it is too late or too early."""
        self._cancel = None
        expires_at, notice_at = self._claims.expires_at, expiry_notice(self._claims)
        now = dt_util.utcnow()
        if expires_at is None or notice_at is None:
            _async_clear(self._hass, self._issue_id)
            return
        if now >= expires_at:
            # From now on it is a matter of reauth, which starts when MetaApi confirms it
            _async_clear(self._hass, self._issue_id)
            if self._entry.state is ConfigEntryState.LOADED:
                self._check_token()
            return
        if now >= notice_at:
            self._async_raise()
        else:
            _async_clear(self._hass, self._issue_id)
        wait = min((expires_at if now >= notice_at else notice_at) - now, LOOK_INTERVAL)
        self._cancel = async_call_later(self._hass, wait, self._job)

    @callback
    def _async_raise(self) -> None:
        """Report until when the token is valid."""
        ir.async_create_issue(
            self._hass,
            DOMAIN,
            self._issue_id,
            data={DATA_ENTRY_ID: self._entry.entry_id},
            is_fixable=True,
            severity=ir.IssueSeverity.WARNING,
            translation_key="token_expiring",
            translation_placeholders={
                "entry": _shown(self._entry.title),
                "expires": async_expiry_text(self._hass, self._entry.data[CONF_TOKEN]),
                "name": clean_text(self._entry.title),
                "provisioning": PLACEHOLDERS["provisioning"],
                "streaming": PLACEHOLDERS["streaming"],
                "token_url": TOKEN_URL,
            },
        )

    @callback
    def _async_stop(self) -> None:
        """Stop looking; what was reported stays true."""
        if self._cancel is not None:
            self._cancel()
            self._cancel = None


def expiry_notice(claims: TokenClaims) -> datetime | None:
    """Return when a person is first told that a token expires; None if it does not say when."""
    if claims.expires_at is None:
        return None
    notice = EXPIRY_NOTICE
    if claims.issued_at is not None:
        lifetime = max(claims.expires_at - claims.issued_at, timedelta())
        notice = min(notice, lifetime / EXPIRY_SHARE)
    return claims.expires_at - notice


@callback
def _async_clear(hass: HomeAssistant, issue_id: str) -> None:
    """Delete an issue that is shown; one of an earlier run keeps whether it was ignored."""
    issue = ir.async_get(hass).async_get_issue(DOMAIN, issue_id)
    if issue is not None and issue.active:
        ir.async_delete_issue(hass, DOMAIN, issue_id)


def _number(value: object) -> str:
    """Return a number from a server as text."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if is_number else NOT_KNOWN


def _shown(name: str) -> str:
    """Return a name for the description of an issue, where it is text and nothing else."""
    return escape_markdown(clean_text(name))
