"""Run the checks: style and types, and the tests in the environments they are for."""

import argparse
import os
from pathlib import Path
import subprocess
import sys
import tempfile
from xml.etree import ElementTree as ET

from .setup_env import ROOT, VENVS, SetupError, ensure

PEERS = "tests.peers"

# These need no Home Assistant, so they also run on the oldest libraries.
ALONE = ("tests/api", "tests/peers")

DESCRIPTION = """\
Without arguments: style and types, the client's tests on the oldest libraries it
allows, then all tests. With --ha floor or --ha newest: all tests on that Home
Assistant. With arguments for pytest: just that, for example
`scripts/test tests/api -k ping`."""


def main() -> int:
    """Run what was asked for; return 0 when all of it passed."""
    parser = argparse.ArgumentParser(
        prog="scripts/test",
        usage="%(prog)s [-h] [--ha {pinned,floor,newest}] [pytest arguments]",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--ha",
        choices=("pinned", "floor", "newest"),
        default="pinned",
        help="the Home Assistant to run on (default: %(default)s)",
    )
    options, selection = parser.parse_known_args()
    whole = not selection and options.ha == "pinned"

    try:
        ensure([options.ha, "sdk", "node", *(["lowest"] if whole else [])])
    except SetupError as err:
        print(f"\n{err}", file=sys.stderr)
        return 1

    failed: list[str] = []
    if whole:
        if not lint():
            failed.append("style and types")
        passed, peers = run_pytest("lowest", ["--confcutdir=tests/api", *ALONE])
        if not passed:
            failed.append("the tests on the oldest libraries")
        elif not peers:
            failed.append("the peers on the oldest libraries: none ran")

    passed, peers = run_pytest(options.ha, selection)
    if not passed:
        failed.append("the tests")
    if not peers and not selection:
        failed.append("the peers: none ran")
    if failed:
        print(f"Not passed: {'; '.join(failed)}.")
    if peers or not selection:
        print(f"Peers: {peers} tests ran against servers and clients we did not write.")
    return 1 if failed else 0


def lint() -> bool:
    """Check style, format and types."""
    print("Style and types", flush=True)
    return subprocess.run([ROOT / "scripts" / "lint"], check=False).returncode == 0


def run_pytest(environment: str, args: list[str]) -> tuple[bool, int]:
    """Run tests; return whether they passed, and how many peer tests ran."""
    print(f"Tests in {environment}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "junit.xml"
        python = str(VENVS / environment / "bin" / "python")
        command = [python, "-m", "pytest", f"--junitxml={report}", *args]
        result = subprocess.run(command, cwd=ROOT, env=environ(), check=False)
        return result.returncode == 0, count_peers(report)


def environ() -> dict[str, str]:
    """Return an environment in which Python keeps its bytecode, outside of the sources."""
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": str(VENVS / "pycache")}


def count_peers(report: Path) -> int:
    """Return how many tests of the peers' folder ran, by the report of a run."""
    if not report.is_file():
        return 0
    root = ET.parse(report).getroot()  # noqa: S314 - a file of our own
    return sum(
        case.get("classname", "").startswith(PEERS) and case.find("skipped") is None
        for case in root.iter("testcase")
    )


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
