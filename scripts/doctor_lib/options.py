"""The doctor's command line; also runs before the set-up, so on Python 3.11 without packages."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

DESCRIPTION = """\
Ask MetaApi's live service what its documentation leaves open, with your token, one of
your accounts, and the integration's own client. It prints its plan first. It changes
nothing, except for the reconnects, for which it asks permission: each restarts the
account's terminal, as the button in Home Assistant does."""

EPILOG = """\
The token is read from METAAPI_TOKEN, or from a prompt. A second token without the
permission for real-time streaming may be set in METAAPI_TOKEN_WITHOUT_STREAMING.
The report contains neither tokens nor account ids."""


@dataclass
class Options:
    """The options of the doctor."""

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
    add(
        "--region",
        metavar="NAME",
        help="the account's region, if the token may not read it",
    )
    add("--api-url", metavar="URL", help="base URL of a simulator or a proxy")
    add("--output", type=Path, metavar="FILE", help="also write the report to a file")
    leave = parser.add_mutually_exclusive_group()
    flag = "store_true"
    leave.add_argument("--yes-reconnect", action=flag, help="reconnect without asking")
    leave.add_argument("--no-reconnect", action=flag, help="send no reconnect")
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
