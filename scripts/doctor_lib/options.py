"""The command line of the doctor. Runs before the set-up too, so on Python 3.11 and alone."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

DESCRIPTION = """\
Ask MetaApi's live service what its documentation leaves open, with your token and one
of your accounts, by the same client that the integration runs. What it will do is told
before it is done. It changes nothing, except for the reconnects that it asks leave for:
each restarts the account's terminal, as the button in Home Assistant does."""

EPILOG = """\
The token is asked for, or taken from METAAPI_TOKEN. A second token that lacks the
permission for real-time streaming may stand in METAAPI_TOKEN_WITHOUT_STREAMING.
Neither they nor the ids of accounts are part of the report."""


@dataclass(frozen=True)
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
    parser.add_argument(
        "--account",
        metavar="ID",
        help="the account to look at (default: the only deployed one)",
    )
    parser.add_argument(
        "--region",
        metavar="NAME",
        help="the account's region, where the token may not read it",
    )
    parser.add_argument(
        "--api-url",
        metavar="URL",
        help="one base URL that serves everything: the simulator, a proxy",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="write the report there too, as Markdown",
    )
    leave = parser.add_mutually_exclusive_group()
    leave.add_argument(
        "--yes-reconnect", action="store_true", help="reconnect without asking"
    )
    leave.add_argument(
        "--no-reconnect", action="store_true", help="send no reconnect, and do not ask"
    )
    parser.add_argument(
        "--all-forms",
        action="store_true",
        help="try every form of reconnect, not only those that matter most",
    )
    parser.add_argument(
        "--watch",
        type=_seconds,
        default=Options.watch,
        metavar="SECONDS",
        help="how long to listen for statuses (default: %(default)g)",
    )
    parser.add_argument(
        "--patience",
        type=_seconds,
        default=Options.patience,
        metavar="SECONDS",
        help="how long to wait for an answer, and for a reconnect's outcome (default: %(default)g)",
    )
    return Options(**vars(parser.parse_args(arguments)))


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= 3600:
        raise argparse.ArgumentTypeError("must be more than 0 and at most 3600")
    return seconds


if __name__ == "__main__":
    parse()
