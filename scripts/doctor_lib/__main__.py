"""Run the doctor."""

import asyncio
import getpass
import os
import sys

import aiohttp

from custom_components.metaapi.api import (
    Account,
    Endpoints,
    InvalidUrlError,
    MetaApiError,
    Provisioning,
    check_api_url,
)

from .live_check import WRONG_TOKEN, LiveCheck
from .options import Options, parse
from .reconnects import forms
from .report import Report

PLAN = """\
The doctor will:
 1. read the account, the list of accounts, regions and servers by REST;
 2. open sessions without the client, by websocket and by polling, and close them at once;
 3. connect with a wrong token{limited};
 4. subscribe the account on each URL that may serve it, and unsubscribe it again;
 5. listen for {watch:g} s on a subscribed socket and on one that is not subscribed;
 6. subscribe an unknown id, an account that is not deployed, and one in a wrong region;
 7. {reconnects}
It does not deploy, does not trade and does not change settings.
"""
ASKING = """
Each of the up to {count} reconnects of step 7 restarts the account's terminal, which interrupts
trading on it for that time."""


class DoctorError(Exception):
    """The doctor cannot start; the message gives the reason."""


def main() -> int:
    """Get the token and the account, run the checks and report; return the exit code."""
    options = parse()
    try:
        if options.api_url is not None:
            options.api_url = check_api_url(options.api_url)
        token = _token()
        accounts = asyncio.run(_accounts(token, options))
        account_id = _choose(accounts, options)
    except (DoctorError, InvalidUrlError) as err:
        print(f"doctor: {err}", file=sys.stderr)
        return 2
    _check(token, account_id, accounts, options)
    return 0


def _token() -> str:
    """Return the token from the environment or the prompt."""
    token = os.environ.get("METAAPI_TOKEN", "").strip()
    if not token and sys.stdin.isatty():
        token = getpass.getpass("MetaApi token: ").strip()
    if not token:
        raise DoctorError("no token: METAAPI_TOKEN is not set")
    return token


async def _accounts(token: str, options: Options) -> list[Account]:
    """Return the accounts of the token, or none if it may not list them."""
    async with aiohttp.ClientSession() as session:
        endpoints = Endpoints(api_url=options.api_url)
        try:
            return await Provisioning(session, token, endpoints).accounts()
        except MetaApiError as err:
            if options.account is None:
                reason = f"no list of accounts ({err}): name one with --account"
                raise DoctorError(reason) from None
            return []


def _choose(accounts: list[Account], options: Options) -> str:
    """Return the id of the account to check."""
    if options.account is not None:
        return options.account
    deployed = [account for account in accounts if account.deployed]
    if len(deployed) == 1:
        return deployed[0].account_id
    listed = "".join(
        f"\n  {account.account_id}  {account.state:<10}  {account.title}"
        for account in accounts
    )
    raise DoctorError(f"name the account with --account: {listed or 'there is none'}")


def _may_reconnect(options: Options, count: int) -> bool:
    """Return whether the user allows the reconnects."""
    if options.no_reconnect or options.yes_reconnect:
        return options.yes_reconnect
    if not sys.stdin.isatty():
        return False
    print(ASKING.format(count=count))
    return input('Type "yes" to allow them, anything else to skip them: ') == "yes"


def _check(
    token: str, account_id: str, accounts: list[Account], options: Options
) -> None:
    """Print the plan, run the checks, and report."""
    limited = os.environ.get("METAAPI_TOKEN_WITHOUT_STREAMING", "").strip() or None
    places = ["base"] if options.api_url else ["zone", "region", "global"]
    count = len(forms(places, every=options.all_forms)) + 2
    report = Report(
        f"The checked account is account 1 of {options.api_url or 'the live service'}",
        [secret for secret in (token, limited) if secret],
        {each.account_id: f"account {at}" for at, each in enumerate(accounts, 2)}
        | {account_id: "account 1"},
    )
    reconnects = f"if you allow it, send up to {count} reconnects, in different forms."
    if options.no_reconnect:
        reconnects = "send no reconnect."
    lacking = ", then with the token without permission" if limited else ""
    print(PLAN.format(limited=lacking, watch=options.watch, reconnects=reconnects))
    allowed = _may_reconnect(options, count)
    print(f'\nThe wrong token is "{WRONG_TOKEN}". Press Ctrl-C to stop.\n')

    async def run() -> None:
        async with aiohttp.ClientSession() as session:
            check = LiveCheck(session, account_id, options, report, token=token)
            await check.run(reconnect=allowed, limited_token=limited)

    try:
        asyncio.run(run())
    except KeyboardInterrupt:
        print("\nStopped early; these are the findings so far.")
    except Exception as err:  # noqa: BLE001 - its text may hold the token, and the findings must be reported
        print(f"\nInternal error of the doctor: {type(err).__name__}.")
    text = report.markdown()
    print(f"\n{text}")
    if options.output is not None:
        options.output.write_text(text)
        print(f"Written to {options.output}.")


if __name__ == "__main__":
    sys.exit(main())
