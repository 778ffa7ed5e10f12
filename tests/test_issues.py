"""Test the repair issues, each of which exists as long as its cause."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import MagicMock, patch

from freezegun.api import FrozenDateTimeFactory
import pytest
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    async_fire_time_changed,
)

from custom_components.metaapi.api import (
    Account,
    AccountState,
    CannotConnectError,
    ForbiddenError,
    NotFoundError,
    Outcome,
    ReconnectResult,
    Status,
    TokenClaims,
    TooManyRequestsError,
    UnauthorizedError,
)
from custom_components.metaapi.const import DOMAIN, REREAD_INTERVAL
from custom_components.metaapi.issues import expiry_notice
from homeassistant.config_entries import ConfigEntryDisabler, ConfigEntryState
from homeassistant.const import CONF_TOKEN
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import ConfigEntryError
from homeassistant.helpers import issue_registry as ir
from homeassistant.util import dt as dt_util
from simulator import make_jwt

from .conftest import (
    CONNECTED,
    DISCONNECTED,
    NO_CONNECTION,
    SCALP,
    SWING,
    TOKEN,
    FakeMonitor,
    data_of,
    entry_state,
    make_entry,
    setup_entry,
)
from .flow_support import TEXTS, placeholders

ISSUED = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
QUOTA = AccountState(available=False, status=Status.QUOTA_EXHAUSTED)
HOLD = TooManyRequestsError(
    "quota used up",
    metadata={
        "type": "LIMIT_ACCOUNT_SUBSCRIPTIONS_PER_USER",
        "maxAccountsPerUser": 50,
        "accountsCount": 51,
    },
)


def issues(hass: HomeAssistant) -> dict[str, ir.IssueEntry]:
    """Return the shown issues by key; check that each has its texts."""
    shown: dict[str, ir.IssueEntry] = {}
    for issue in ir.async_get(hass).issues.values():
        if issue.domain == DOMAIN and issue.active:
            assert issue.translation_key is not None
            assert issue.translation_key not in shown
            shown[issue.translation_key] = issue
            texts = TEXTS["issues"][issue.translation_key]
            given = set(issue.translation_placeholders or {})
            # The forms have their own placeholders of errors and abort reasons
            flow = texts.get("fix_flow", {})
            shown_first = {**texts, "fix_flow": flow.get("step", {})}
            assert set(_placeholders(shown_first)) == given
            assert ("fix_flow" in texts) is issue.is_fixable
    return shown


def _placeholders(texts: Any) -> Iterable[str]:
    """Yield the placeholders in texts."""
    if isinstance(texts, str):
        yield from placeholders(texts)
        return
    for text in texts.values():
        yield from _placeholders(text)


def subentry_id(entry: MockConfigEntry, number: int = 0) -> str:
    """Return the id of a subentry of an entry."""
    subentry_ids: list[str] = list(entry.subentries)
    return subentry_ids[number]


def exhaust_quota(
    monitor: FakeMonitor, account: Account, limit: TooManyRequestsError = HOLD
) -> None:
    """Refuse a subscribe of an account with the quota."""
    monitor.limits[account.account_id] = limit
    monitor.push(account.account_id, QUOTA)


def token(days: float, issued: datetime | None = ISSUED) -> str:
    """Return a token that expires some days after its issue."""
    return make_jwt(
        expires=int((ISSUED + timedelta(days=days)).timestamp()),
        issued=int((issued or ISSUED).timestamp()),
    )


async def pass_time(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, delta: timedelta
) -> None:
    """Move the clock, and run what is due."""
    freezer.tick(delta)
    async_fire_time_changed(hass)
    await hass.async_block_till_done(wait_background_tasks=True)


async def reread(hass: HomeAssistant) -> None:
    """List the accounts again."""
    async_fire_time_changed(
        hass, dt_util.utcnow() + REREAD_INTERVAL + timedelta(seconds=1)
    )
    await hass.async_block_till_done(wait_background_tasks=True)


# -- deleted account ---------------------------------------------------------------------------


@pytest.fixture
async def deleted(
    hass: HomeAssistant, monitor: FakeMonitor, provisioning: MagicMock
) -> ir.IssueEntry:
    """Delete an account while it is watched; return the issue."""
    assert issues(hass) == {}
    provisioning.accounts.return_value = [SCALP]
    provisioning.account.side_effect = NotFoundError("gone")
    await reread(hass)
    return issues(hass)["account_deleted"]


async def test_account_deleted(
    hass: HomeAssistant, deleted: ir.IssueEntry, mock_config_entry: MockConfigEntry
) -> None:
    """The issue contains the account's name, and not its id."""
    assert deleted.is_fixable
    assert deleted.issue_id == f"account_deleted_{subentry_id(mock_config_entry)}"
    assert deleted.translation_placeholders is not None
    assert deleted.translation_placeholders["account"] == "Swing"
    assert SWING.account_id not in str(deleted)


async def test_account_deleted_before_set_up(
    hass: HomeAssistant,
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
) -> None:
    """A deletion while Home Assistant was down is reported as well."""
    provisioning.accounts.return_value = [SCALP]
    provisioning.account.side_effect = NotFoundError("gone")

    await setup_entry(hass, mock_config_entry)

    assert set(issues(hass)) == {"account_deleted"}


async def test_account_that_is_back(
    hass: HomeAssistant, deleted: ir.IssueEntry, provisioning: MagicMock
) -> None:
    """The issue is deleted when MetaApi knows the account again."""
    provisioning.accounts.return_value = [SWING, SCALP]
    await reread(hass)

    assert issues(hass) == {}


async def test_account_that_is_back_and_seen_by_a_reconnect(
    hass: HomeAssistant,
    deleted: ir.IssueEntry,
    mock_config_entry: MockConfigEntry,
    monitor: FakeMonitor,
    provisioning: MagicMock,
) -> None:
    """The individual read of an account counts as well."""
    provisioning.account.side_effect = None
    provisioning.account.return_value = SWING
    monitor.reconnect_results[SWING.account_id] = [
        ReconnectResult(Outcome.NOT_DEPLOYED, 0.0)
    ]
    await data_of(mock_config_entry).accounts.async_reconnect(SWING.account_id, 60)

    assert issues(hass) == {}


@pytest.mark.parametrize("error", [CannotConnectError("down"), ForbiddenError("no")])
async def test_account_that_cannot_be_read_any_more(
    hass: HomeAssistant,
    deleted: ir.IssueEntry,
    provisioning: MagicMock,
    error: Exception,
) -> None:
    """A failed read does not delete the issue."""
    provisioning.account.side_effect = error
    await reread(hass)

    assert set(issues(hass)) == {"account_deleted"}


async def test_reload_with_a_deleted_account(
    hass: HomeAssistant, deleted: ir.IssueEntry, mock_config_entry: MockConfigEntry
) -> None:
    """A reload checks again, and an ignored issue stays ignored."""
    ir.async_get(hass).async_ignore(DOMAIN, deleted.issue_id, True)
    await hass.config_entries.async_reload(mock_config_entry.entry_id)
    await hass.async_block_till_done()

    assert issues(hass)["account_deleted"].dismissed_version is not None


async def test_reload_with_an_account_that_is_back(
    hass: HomeAssistant,
    deleted: ir.IssueEntry,
    mock_config_entry: MockConfigEntry,
    provisioning: MagicMock,
) -> None:
    """A reload deletes an issue that does not apply any more."""
    provisioning.accounts.return_value = [SWING, SCALP]
    await hass.config_entries.async_reload(mock_config_entry.entry_id)
    await hass.async_block_till_done()

    assert issues(hass) == {}


async def test_new_token_that_cannot_list(
    hass: HomeAssistant, deleted: ir.IssueEntry, mock_config_entry: MockConfigEntry
) -> None:
    """The issue is deleted, since such a token cannot prove it."""
    hass.config_entries.async_update_entry(
        mock_config_entry, data={CONF_TOKEN: make_jwt(provisioning=False)}
    )
    await hass.config_entries.async_reload(mock_config_entry.entry_id)
    await hass.async_block_till_done()

    assert issues(hass) == {}


async def test_undeployed_is_no_issue(
    hass: HomeAssistant, monitor: FakeMonitor, provisioning: MagicMock
) -> None:
    """An account may be undeployed on purpose."""
    provisioning.accounts.return_value = [replace(SWING, state="UNDEPLOYED"), SCALP]
    await reread(hass)

    assert monitor.facts[-2] == (SWING.account_id, False, True)
    assert issues(hass) == {}


async def test_deleted_account_removed(
    hass: HomeAssistant, deleted: ir.IssueEntry, mock_config_entry: MockConfigEntry
) -> None:
    """The issue is deleted with the account."""
    hass.config_entries.async_remove_subentry(
        mock_config_entry, subentry_id(mock_config_entry)
    )
    await hass.async_block_till_done()

    assert issues(hass) == {}


async def test_deleted_account_removed_from_an_entry_that_does_not_work(
    hass: HomeAssistant,
    deleted: ir.IssueEntry,
    mock_config_entry: MockConfigEntry,
    provisioning: MagicMock,
) -> None:
    """The issue is deleted even if the entry is not loaded."""
    with patch("custom_components.metaapi.Monitor", side_effect=ConfigEntryError("no")):
        await hass.config_entries.async_reload(mock_config_entry.entry_id)
    await hass.async_block_till_done()
    assert entry_state(mock_config_entry) is ConfigEntryState.SETUP_ERROR
    assert set(issues(hass)) == {"account_deleted"}

    hass.config_entries.async_remove_subentry(
        mock_config_entry, subentry_id(mock_config_entry)
    )

    assert issues(hass) == {}


# -- exhausted quota ---------------------------------------------------------------------------


@pytest.fixture
def exhausted(hass: HomeAssistant, monitor: FakeMonitor) -> ir.IssueEntry:
    """Exhaust the quota; return the issue."""
    assert issues(hass) == {}
    exhaust_quota(monitor, SWING)
    return issues(hass)["quota_exhausted"]


async def test_quota(
    hass: HomeAssistant, exhausted: ir.IssueEntry, mock_config_entry: MockConfigEntry
) -> None:
    """The issue contains the numbers, and the accounts that are not watched."""
    assert not exhausted.is_fixable
    assert exhausted.issue_id == f"quota_exhausted_{mock_config_entry.entry_id}"
    shown = exhausted.translation_placeholders
    assert shown is not None
    assert (shown["accounts"], shown["allowed"], shown["used"]) == ("Swing", "50", "51")


async def test_quota_of_an_account_that_is_removed(
    hass: HomeAssistant,
    exhausted: ir.IssueEntry,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
) -> None:
    """The issue then contains only the other accounts."""
    exhaust_quota(monitor, SCALP)
    for left in ("Scalp", None):
        hass.config_entries.async_remove_subentry(
            mock_config_entry, next(iter(mock_config_entry.subentries))
        )
        await hass.async_block_till_done()
        issue = issues(hass).get("quota_exhausted")
        shown = issue and issue.translation_placeholders
        assert (shown and shown["accounts"]) == left


@pytest.mark.parametrize("number", [None, "50", True, 5.5])
async def test_quota_without_numbers(
    hass: HomeAssistant, monitor: FakeMonitor, number: Any
) -> None:
    """The issue does not contain invented numbers."""
    limit = TooManyRequestsError(
        "quota used up",
        metadata={
            "type": "LIMIT_ACCOUNT_SUBSCRIPTIONS_PER_USER",
            "maxAccountsPerUser": number,
        },
    )
    exhaust_quota(monitor, SWING, limit)

    shown = issues(hass)["quota_exhausted"].translation_placeholders
    assert shown is not None
    assert (shown["allowed"], shown["used"]) == ("—", "—")


@pytest.mark.parametrize(
    "limit",
    [
        None,
        TooManyRequestsError("slow down"),
        TooManyRequestsError(
            "full", metadata={"type": "LIMIT_ACCOUNT_SUBSCRIPTIONS_PER_SERVER"}
        ),
    ],
)
async def test_other_limits_are_no_issue(
    hass: HomeAssistant, monitor: FakeMonitor, limit: TooManyRequestsError | None
) -> None:
    """A temporary limit cannot be fixed by a user."""
    if limit is not None:
        monitor.limits[SWING.account_id] = limit
    monitor.push(SWING.account_id, QUOTA)

    assert issues(hass) == {}


async def test_quota_of_several_accounts(
    hass: HomeAssistant, exhausted: ir.IssueEntry, monitor: FakeMonitor
) -> None:
    """All share one issue, which is deleted with the last of them."""
    exhaust_quota(monitor, SCALP)
    shown = issues(hass)["quota_exhausted"].translation_placeholders
    assert shown is not None
    assert shown["accounts"] == "Swing, Scalp"

    monitor.push(SWING.account_id, CONNECTED)
    shown = issues(hass)["quota_exhausted"].translation_placeholders
    assert shown is not None
    assert shown["accounts"] == "Scalp"
    monitor.push(SCALP.account_id, DISCONNECTED)
    assert issues(hass) == {}


@pytest.mark.parametrize(
    ("link", "stays"),
    [
        (CONNECTED, False),
        (DISCONNECTED, False),
        (AccountState(available=False, status=Status.FORBIDDEN), False),
        (AccountState(available=False, status=Status.NOT_FOUND), False),
        (AccountState(terminal=False, status=Status.NOT_DEPLOYED), False),
        (AccountState(available=False, status=Status.TOKEN_REFUSED), False),
        (NO_CONNECTION, True),
        (AccountState(available=False), True),
        (AccountState(available=False, status=Status.RECONNECTING), True),
    ],
)
async def test_quota_is_over(
    hass: HomeAssistant,
    exhausted: ir.IssueEntry,
    monitor: FakeMonitor,
    link: AccountState,
    stays: bool,
) -> None:
    """It is over when MetaApi accepts the account, but not after our own loss."""
    monitor.push(SWING.account_id, link)

    assert ("quota_exhausted" in issues(hass)) is stays


async def test_quota_of_another_kind(
    hass: HomeAssistant, exhausted: ir.IssueEntry, monitor: FakeMonitor
) -> None:
    """The issue is deleted if the account is refused for another limit."""
    monitor.limits[SWING.account_id] = TooManyRequestsError("slow down")
    monitor.push(SWING.account_id, replace(QUOTA, available=True))

    assert issues(hass) == {}


async def test_quota_and_unload(
    hass: HomeAssistant, exhausted: ir.IssueEntry, mock_config_entry: MockConfigEntry
) -> None:
    """The issue is deleted with the connections."""
    assert await hass.config_entries.async_unload(mock_config_entry.entry_id)

    assert issues(hass) == {}


async def test_quota_and_unload_while_an_account_is_removed(
    hass: HomeAssistant,
    exhausted: ir.IssueEntry,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
) -> None:
    """The issue does not come back after the account is unsubscribed."""
    exhaust_quota(monitor, SCALP)
    unsubscribed = asyncio.Event()
    remove_account = monitor.remove_account

    async def slowly(*args: Any, **kwargs: Any) -> None:
        await unsubscribed.wait()
        await remove_account(*args, **kwargs)

    with patch.object(monitor, "remove_account", slowly):
        hass.config_entries.async_remove_subentry(
            mock_config_entry, next(iter(mock_config_entry.subentries))
        )
        await hass.config_entries.async_unload(mock_config_entry.entry_id)
        unsubscribed.set()
        await hass.async_block_till_done()

    assert monitor.removed == [SWING.account_id]
    assert issues(hass) == {}


async def test_quota_ignored_in_an_earlier_run(
    hass: HomeAssistant,
    exhausted: ir.IssueEntry,
    mock_config_entry: MockConfigEntry,
    monitor: FakeMonitor,
) -> None:
    """An ignored issue stays ignored after a restart."""
    registry = ir.async_get(hass)
    registry.async_ignore(DOMAIN, exhausted.issue_id, True)
    key = (DOMAIN, exhausted.issue_id)
    # The issue after a restart
    registry.issues[key] = replace(registry.issues[key], active=False, data=None)
    await hass.config_entries.async_reload(mock_config_entry.entry_id)
    await hass.async_block_till_done()
    assert issues(hass) == {}

    fake = mock_config_entry.runtime_data.monitor
    fake.limits[SWING.account_id] = HOLD
    fake.push(SWING.account_id, QUOTA)

    assert issues(hass)["quota_exhausted"].dismissed_version is not None


# -- expiring token ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lifetime", "notice"),
    [
        (timedelta(days=365), timedelta(days=14)),
        (timedelta(days=70), timedelta(days=14)),
        (timedelta(days=30), timedelta(days=6)),
        (timedelta(hours=1), timedelta(minutes=12)),
        (timedelta(0), timedelta(0)),
        (timedelta(days=-1), timedelta(0)),
        (None, timedelta(days=14)),
    ],
)
def test_expiry_notice(lifetime: timedelta | None, notice: timedelta) -> None:
    """The issue appears two weeks before, or after four fifths of the token's life."""
    expires = datetime(2027, 1, 1, tzinfo=UTC)
    claims = TokenClaims(
        owner_id="me",
        expires_at=expires,
        issued_at=None if lifetime is None else expires - lifetime,
    )
    assert expiry_notice(claims) == expires - notice
    assert expiry_notice(TokenClaims(owner_id="me")) is None


@pytest.fixture
def expiring(freezer: FrozenDateTimeFactory) -> MockConfigEntry:
    """Return an entry whose token expires in two weeks and two days, by the test's clock."""
    freezer.move_to(ISSUED + timedelta(days=84))
    return make_entry(SWING, SCALP, token=token(100), title="Home")


async def test_token_expires(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    expiring: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
) -> None:
    """The issue appears in time, and is deleted when the token has expired."""
    await setup_entry(hass, expiring)
    assert issues(hass) == {}
    await pass_time(hass, freezer, DAY)
    assert issues(hass) == {}

    await pass_time(hass, freezer, DAY + timedelta(seconds=1))

    issue = issues(hass)["token_expiring"]
    assert issue.is_fixable
    assert issue.issue_id == f"token_expiring_{expiring.entry_id}"
    shown = issue.translation_placeholders
    assert shown is not None
    assert shown["entry"] == "Home"
    # In the home's time zone
    expires_at = dt_util.as_local(ISSUED + timedelta(days=100))
    assert (
        shown["expires"]
        == f"{expires_at:%B} {expires_at.day}, {expires_at:%Y, %H:%M} (US/Pacific)"
    )

    for _ in range(13):
        await pass_time(hass, freezer, DAY)
        assert set(issues(hass)) == {"token_expiring"}
    assert monitors[0].token_checks == 0
    await pass_time(hass, freezer, DAY)

    # MetaApi decides whether a new token is needed
    assert issues(hass) == {}
    assert monitors[0].token_checks == 1
    await pass_time(hass, freezer, DAY)
    assert monitors[0].token_checks == 1


async def test_token_expires_soon_at_set_up(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    expiring: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
) -> None:
    """The issue appears at once, even if MetaApi does not answer."""
    provisioning.accounts.side_effect = CannotConnectError("down")
    freezer.tick(timedelta(days=5))

    await setup_entry(hass, expiring)

    assert entry_state(expiring) is ConfigEntryState.LOADED
    assert set(issues(hass)) == {"token_expiring"}


async def test_token_has_expired_at_set_up(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    expiring: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
) -> None:
    """An expired token starts a reauth flow, and has no issue."""
    freezer.tick(timedelta(days=5))
    await setup_entry(hass, expiring)
    assert set(issues(hass)) == {"token_expiring"}
    provisioning.accounts.side_effect = UnauthorizedError("expired")
    await hass.config_entries.async_unload(expiring.entry_id)
    freezer.tick(timedelta(days=20))

    await hass.config_entries.async_setup(expiring.entry_id)
    await hass.async_block_till_done()

    assert entry_state(expiring) is ConfigEntryState.LOADED
    assert issues(hass) == {}
    assert monitors[-1].token_checks == 1


@pytest.mark.parametrize(
    "new",
    [
        pytest.param(make_jwt(), id="for long"),
        pytest.param("an-old-account-token-that-is-no-jwt", id="unknown"),
    ],
)
async def test_new_token(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    expiring: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
    new: str,
) -> None:
    """A token that is valid for longer deletes the issue."""
    freezer.tick(timedelta(days=5))
    await setup_entry(hass, expiring)
    assert set(issues(hass)) == {"token_expiring"}
    hass.config_entries.async_update_entry(expiring, data={CONF_TOKEN: new})
    await hass.config_entries.async_reload(expiring.entry_id)

    assert issues(hass) == {}
    await pass_time(hass, freezer, timedelta(days=30))
    assert issues(hass) == {}
    assert monitors[-1].token_checks == 0


async def test_clock_that_is_set(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
) -> None:
    """After a start with a wrong date, the issue is deleted once the date is right."""
    entry = make_entry(SWING, token=token(100))
    freezer.move_to(ISSUED + timedelta(days=95))
    await setup_entry(hass, entry)
    assert set(issues(hass)) == {"token_expiring"}

    # The loop's timers do not depend on the date
    freezer.move_to(ISSUED + timedelta(days=40))
    async_fire_time_changed(hass, ISSUED + timedelta(days=97))
    await hass.async_block_till_done()

    assert issues(hass) == {}


async def test_unload_ends_the_check(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    expiring: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
) -> None:
    """The expiry is not checked after an unload."""
    await setup_entry(hass, expiring)
    await hass.config_entries.async_unload(expiring.entry_id)

    await pass_time(hass, freezer, timedelta(days=5))

    assert issues(hass) == {}


# -- all ---------------------------------------------------------------------------------------


@pytest.fixture
async def all_of_two_entries(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
) -> tuple[MockConfigEntry, MockConfigEntry]:
    """Set up two entries, each with all issues."""
    freezer.move_to(ISSUED + timedelta(days=95))
    provisioning.accounts.return_value = []
    provisioning.account.side_effect = NotFoundError("gone")
    entries = (
        make_entry(SWING, token=token(100), unique_id="one"),
        make_entry(SCALP, token=token(100), unique_id="two"),
    )
    for entry, account in zip(entries, (SWING, SCALP), strict=True):
        await setup_entry(hass, entry)
        exhaust_quota(monitors[-1], account)
    assert len(all_issues(hass)) == 6
    return entries


def all_issues(hass: HomeAssistant) -> set[tuple[str | None, str]]:
    """Return the key of each issue, and its entry."""
    return {
        (issue.translation_key, str(issue.data["entry_id"]))
        for issue in ir.async_get(hass).issues.values()
        if issue.domain == DOMAIN and issue.data
    }


async def test_entry_removed(
    hass: HomeAssistant,
    all_of_two_entries: tuple[MockConfigEntry, MockConfigEntry],
) -> None:
    """The issues of the entry are deleted, and no others."""
    first, second = all_of_two_entries
    ir.async_create_issue(
        hass,
        "another",
        "issue",
        is_fixable=False,
        severity=ir.IssueSeverity.WARNING,
        translation_key="issue",
    )

    await hass.config_entries.async_remove(first.entry_id)
    await hass.async_block_till_done()

    assert {entry_id for _, entry_id in all_issues(hass)} == {second.entry_id}
    assert len(all_issues(hass)) == 3
    assert ir.async_get(hass).async_get_issue("another", "issue") is not None


async def test_entry_disabled(
    hass: HomeAssistant,
    all_of_two_entries: tuple[MockConfigEntry, MockConfigEntry],
) -> None:
    """A disabled entry has no issues."""
    first, second = all_of_two_entries

    await hass.config_entries.async_set_disabled_by(
        first.entry_id, ConfigEntryDisabler.USER
    )
    await hass.async_block_till_done()

    assert {entry_id for _, entry_id in all_issues(hass)} == {second.entry_id}


async def test_tokens_are_no_part_of_issues(
    hass: HomeAssistant,
    all_of_two_entries: tuple[MockConfigEntry, MockConfigEntry],
) -> None:
    """Issues are shown, stored and part of diagnostics, so they must not contain tokens."""
    text = str(ir.async_get(hass).issues)
    assert token(100) not in text
    assert TOKEN not in text
    assert SWING.account_id not in text
