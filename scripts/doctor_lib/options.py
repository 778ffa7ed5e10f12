"""The command line of the doctor. Runs before the set-up too, so on Python 3.11 and alone."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

DESCRIPTION = """\
Ask MetaApi's live service what its documentation leaves open, with your token and one
of your accounts, by the same client that the integration runs. It prints what it will
do before it does it, and changes nothing, except for the reconnects that it asks leave
for: each restarts the account's terminal, as the button in Home Assistant does."""

EPILOG = """\
The token is asked for, or taken from METAAPI_TOKEN. A second token that lacks the
permission for real-time streaming may stand in METAAPI_TOKEN_WITHOUT_STREAMING.
Neither they nor the ids of accounts are part of the report."""


@dataclass
class Options:
    """What was asked for."""

    account: str | None = None
    region: str | None = None
    api_url: str | None = None
    output: Path | None = None
    yes_reconnect: bool = False
    no_reconnect: bool = False
    all_forms: bool = False
    watch: float = 90.0
    patience: float = 60.0


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/doctor",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--account", metavar="ID", help="account to check (default: the deployed one)")
    add("--region", metavar="NAME", help="its region, if the token may not read it")
    add("--api-url", metavar="URL", help="base URL of everything: a simulator, a proxy")
    add("--output", type=Path, metavar="FILE", help="write the report there as well")
    leave = parser.add_mutually_exclusive_group()
    flag = "store_true"
    leave.add_argument("--yes-reconnect", action=flag, help="reconnect without asking")
    leave.add_argument("--no-reconnect", action=flag, help="reconnect nothing")
    add("--all-forms", action=flag, help="try every form of reconnect, not only five")
    watch = "how long to listen for statuses (default: 90)"
    add("--watch", type=_seconds, metavar="SECONDS", help=watch)
    patience = "how long to wait for an answer or an outcome (default: 60)"
    add("--patience", type=_seconds, metavar="SECONDS", help=patience)
    return parser.parse_args(arguments, Options())


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= 3600:
        raise argparse.ArgumentTypeError("must be more than 0 and at most 3600")
    return seconds
