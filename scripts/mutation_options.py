"""What can be mutated, and the command line. Runs before the set-up too, so on Python 3.11 and alone."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Target:
    """A module of the client, and the tests that answer for it."""

    name: str
    tests: tuple[str, ...]
    slow: tuple[str, ...] = ()
    """Those that survivors of the others may be given to."""


_TERMINAL = tuple(
    f"tests/api/terminal/test_{name}.py"
    for name in (
        "clock",
        "rules",
        "sight",
        "subscription",
        "terminal",
        "terminal_corners",
        "verdict",
    )
)
_TERMINAL_SLOW = ("tests/api/terminal/test_terminal_model.py",)

TARGETS = {
    target.name: target
    for target in (
        Target("transport/connection", ("tests/api/transport/test_connection.py",)),
        Target("transport/channel", ("tests/api/transport/test_channel.py",)),
        *(
            Target(f"terminal/{module}", _TERMINAL, slow=_TERMINAL_SLOW)
            for module in (
                "clock",
                "rules",
                "sight",
                "subscription",
                "terminal",
                "verdict",
            )
        ),
    )
}

DESCRIPTION = """\
Break the client in a copy, bit by bit, and see whether the tests notice. Prints a line
for each file and, below it, what survived; docs/mutation.md says why it may."""


@dataclass(frozen=True)
class Options:
    """What was asked for."""

    file: list[str] = field(default_factory=list)
    cores: int = 1
    minutes: float = 24 * 60
    slow: bool = False
    only: str | None = None
    least: float = 95.0


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/mutation",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "file", nargs="*", help=f"of: {', '.join(TARGETS)} (default: all)"
    )
    parser.add_argument(
        "--cores",
        type=int,
        default=Options.cores,
        help="mutants that run at once (default: %(default)s)",
    )
    parser.add_argument(
        "--minutes",
        type=float,
        default=Options.minutes,
        help="stop after so long; what was not run is told",
    )
    parser.add_argument(
        "--slow",
        action="store_true",
        help="give survivors to the slow tests as well, half a minute for each",
    )
    parser.add_argument(
        "--only", metavar="PATTERN", help="run the mutants of functions of this name"
    )
    parser.add_argument(
        "--least",
        type=float,
        default=Options.least,
        metavar="PERCENT",
        help="the score that is enough (default: %(default)s)",
    )
    options = Options(**vars(parser.parse_args(arguments)))
    if unknown := set(options.file) - set(TARGETS):
        parser.error(f"no such file: {', '.join(sorted(unknown))}")
    return options


if __name__ == "__main__":
    parse()
