"""Run all of it and print one table."""

import argparse
import json
from pathlib import Path
import sys
from tempfile import TemporaryDirectory

from .plot import draw
from .report import Report, as_json, table
from .runs import Bench, server

DESCRIPTION = """\
Measure what the integration costs, each figure beside its baseline on the same frames in the same
round, on this machine's Python. What counts is the CPU time of the client's process. A figure is the
median of the rounds, with the lowest and the highest; a ratio is that of each round."""


def main() -> int:
    """Measure; return 0 when every goal is met."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--json", action="store_true", help="print JSON, not a table")
    parser.add_argument(
        "--profile",
        action="store_true",
        help="one round, and where its time went; the figures of such a round are worth little",
    )
    parser.add_argument("--plot", type=Path, help="draw cost against accounts, as SVG")
    options = parser.parse_args()
    with server() as url, TemporaryDirectory() as folder:
        bench = Bench(url, Path(folder), options.profile)
        # what does not vary from round to round
        bench.memories()
        for number in range(1 if options.profile else options.rounds):
            for part in (
                bench.floods,
                bench.steadies,
                bench.homes,
                bench.losses,
                bench.starts,
            ):
                print(f"round {number + 1}: {part.__name__}", file=sys.stderr)
                part()
    rows = Report(bench.samples).rows()
    if options.json:
        print(json.dumps(as_json(rows, bench.samples), indent=2))
    else:
        print(table(rows))
    if options.profile:
        for name, lines in bench.profiles.items():
            print(f"\n{name}", *lines, sep="\n")
    if options.plot:
        options.plot.write_text(draw(bench.samples))
    return any(row.met is False for row in rows)


if __name__ == "__main__":
    sys.exit(main())
