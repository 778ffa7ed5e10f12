"""Run all of it and print one table."""

import json
from pathlib import Path
import sys
from tempfile import TemporaryDirectory
import time

from .options import parse
from .plot import draw
from .report import Report, as_json, table
from .runs import Bench, server


def main() -> int:
    """Measure; return 0 when every goal is met."""
    options = parse()
    with server() as url, TemporaryDirectory() as folder:
        bench = Bench(url, Path(folder), options.profile)
        bench.compile()
        # what does not vary from round to round
        bench.memories()
        for number in range(1 if options.profile else options.rounds):
            for part in (
                bench.latencies,
                bench.floods,
                bench.homes,
                bench.losses,
                bench.starts,
            ):
                started = time.monotonic()
                part()
                took = time.monotonic() - started
                print(
                    f"round {number + 1}: {part.__name__}, {took:.0f} s",
                    file=sys.stderr,
                )
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
