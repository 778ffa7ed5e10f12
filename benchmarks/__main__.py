"""Measure and print a table, or write the table of saved runs into a page."""

import argparse
from contextlib import ExitStack
import json
from pathlib import Path
import sys
import time

from .options import parse
from .plot import draw
from .report import derived, missed, table
from .runs import Bench
from .turns import Process

BEGIN, END = "<!-- the table: scripts/bench --write -->\n", "<!-- its end -->\n"


def measure(options: argparse.Namespace) -> int:
    """Run the benchmark; return 1 if a goal is missed by more than the tolerance."""
    with ExitStack() as stack:
        bench = Bench(stack)
        if options.profile:
            print(*bench.profile(), sep="\n")
            return 0
        started = time.monotonic()
        bench.once(options.outages)
        for number in range(options.rounds):
            print(f"{time.monotonic() - started:.0f} s: round {number + 1}")
            bench.round()
    print(
        f"{time.monotonic() - started:.0f} s: {Process.turns} turns, {Process.again} more where the machine "
        f"was slower than it can be; it was all the time in {Process.spoiled}"
    )
    if options.save:
        options.save.write_text(json.dumps(bench.samples))
    samples = derived(bench.samples)
    print(table([samples]))
    for what in (bad := missed(samples)):
        print(f"Missed by more than a fifth: {what}")
    return int(bool(bad) and not options.any)


def write(page: Path, runs: list[Path]) -> None:
    """Write the table of saved runs into a page, and the plot into its images folder."""
    samples = [derived(json.loads(run.read_text())) for run in runs]
    before, rest = page.read_text().split(BEGIN)
    _, after = rest.split(END)
    page.write_text(f"{before}{BEGIN}\n{table(samples)}\n\n{END}{after}")
    (page.parent / "images" / "cost.svg").write_text(draw(samples))


def main() -> int:
    """Run the command; return its exit code."""
    options = parse()
    if options.write:
        write(options.write, options.runs)
        return 0
    return measure(options)


if __name__ == "__main__":
    sys.exit(main())
