"""Measure and print a table, or write the table of saved runs into a page."""

import argparse
from contextlib import ExitStack
import json
from pathlib import Path
import sys
import time

from .options import parse
from .plot import draw
from .report import missed, table
from .runs import Bench
from .turns import Process

BEGIN, END = "<!-- the table: scripts/bench --write -->\n", "<!-- its end -->\n"


def measure(options: argparse.Namespace) -> bool:
    """Run the benchmark; return whether no goal is missed by more than the tolerance."""
    started = time.monotonic()

    def say(text: str) -> None:
        """Print what happens, with the time since the start."""
        print(f"{time.monotonic() - started:4.0f} s: {text}", flush=True)

    with ExitStack() as stack:
        bench = Bench(stack)
        if options.profile:
            print(*bench.profile(), sep="\n")
            return True
        say("memory, and the day")
        bench.once()
        for number in range(1, options.rounds + 1):
            say(f"round {number}")
            bench.round()
    say(
        f"{Process.again} turns were repeated because the machine was slower than it can be; "
        f"it was all the time in {Process.spoiled}"
    )
    if options.save:
        options.save.write_text(json.dumps(bench.samples))
    print(table([bench.samples]))
    for what in (bad := missed(bench.samples)):
        print(f"Missed by more than a fifth: {what}")
    return not bad


def write(page: Path, runs: list[Path]) -> None:
    """Write the table of saved runs into a page, and the plot into its images folder."""
    samples = [json.loads(run.read_text()) for run in runs]
    before, rest = page.read_text().split(BEGIN)
    _, after = rest.split(END)
    (page.parent / "images" / "cost.svg").write_text(draw(samples))
    page.write_text(f"{before}{BEGIN}\n{table(samples)}\n\n{END}{after}")


if __name__ == "__main__":
    options = parse()
    if options.write:
        write(options.write, options.runs)
    else:
        sys.exit(not measure(options))
