"""Run the checks: style and types, and the tests in the environments they are for."""

import argparse
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
import os
from pathlib import Path
import subprocess
import sys
import tempfile
import threading
import time
from xml.etree import ElementTree as ET

from .coverage_gate import judge
from .setup_env import ROOT, VENVS, SetupError, ensure

PEERS = "tests.peers"
OF_OTHERS = "with servers and clients that others wrote"

# These need no Home Assistant, so they also run on the oldest libraries
CLIENT = ("tests/api", "tests/peers")

# These need none either, so another Home Assistant tells nothing new about them
APART = (*CLIENT, "tests/simulator", "tests/test_doctor.py", "tests/test_scripts.py")

# For a Home Assistant that is newer than the test plugin
AHEAD = ("-p", "tests.compat.newest", "-p", "no:respx")

RELEASES = {"floor": (), "pinned": (), "newest": AHEAD, "canary": AHEAD}

# More than the two cores that the project reckons with: tests wait longer than they compute
AT_ONCE = 3

DESCRIPTION = """\
Without arguments: style and types, the client's tests on the oldest libraries it
allows, then all tests. With --ha: all tests on that Home Assistant. With --every: what
a change must pass, which adds the other releases of Home Assistant, and the integrations
that share our libraries. With arguments for pytest: just that, for example
`scripts/test tests/api -k ping`."""


@dataclass(frozen=True)
class Job:
    """Something to run: what it is called, what it runs, and which environments it needs."""

    title: str
    command: tuple[str | Path, ...]
    needs: tuple[str, ...]
    with_peers: bool = False
    coverage: bool = False


@dataclass(frozen=True)
class Outcome:
    """What came of a job."""

    title: str
    passed: bool
    seconds: float
    detail: str

    @property
    def line(self) -> str:
        """Return the line of the summary."""
        word = "passed" if self.passed else "FAILED"
        return f"{word} {self.seconds:5.0f} s  {self.title}{self.detail}"


def main() -> int:
    """Run what was asked for; return 0 when all of it passed."""
    parser = argparse.ArgumentParser(
        prog="scripts/test",
        usage=f"%(prog)s [-h] [--every | --ha {{{','.join(RELEASES)}}}] [pytest arguments]",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--every", action="store_true", help="all that there is")
    which.add_argument(
        "--ha",
        choices=RELEASES,
        help="the Home Assistant to run on (default: pinned); canary is the newest there is",
    )
    options, selection = parser.parse_known_args()
    if options.every and selection:
        parser.error("--every takes no arguments for pytest")
    if options.every:
        jobs = every()
    elif selection or options.ha:
        environment = options.ha or "pinned"
        title = f"{'some' if selection else 'all'} tests in {environment}"
        jobs = [of_tests(title, environment, *selection, with_peers=not selection)]
    else:
        jobs = usual()

    try:
        ensure(dict.fromkeys(need for job in jobs for need in job.needs))
    except SetupError as err:
        print(f"\n{err}", file=sys.stderr)
        return 1
    outcomes = [run(jobs[0])] if len(jobs) == 1 else run_all(jobs)
    print("\nSummary", *(one.line for one in outcomes), sep="\n  ", flush=True)
    return 0 if all(outcome.passed for outcome in outcomes) else 1


def usual() -> list[Job]:
    """Return what a change needs while it is made; what takes longest comes first."""
    return [
        of_tests("the client in pinned", "pinned", *APART, with_peers=True),
        of_oldest_libraries(),
        of_home("pinned"),
        of_style(),
    ]


def every() -> list[Job]:
    """Return what a change must pass."""
    beside = VENVS / "beside" / "bin" / "python"
    return [
        of_tests(
            "all tests in pinned", "pinned", "tests", with_peers=True, coverage=True
        ),
        of_oldest_libraries(),
        of_home("floor"),
        of_home("newest"),
        of_types("floor"),
        of_types("newest"),
        of_style(),
        Job("beside yalexs", (beside, "-m", "scripts.beside"), ("beside",)),
    ]


def of_tests(
    title: str,
    environment: str,
    *args: str,
    with_peers: bool = False,
    coverage: bool = False,
) -> Job:
    """Return the job that runs tests in an environment."""
    python = VENVS / environment / "bin" / "python"
    cache = ("-o", f"cache_dir=.pytest_cache/{environment}")
    ahead = RELEASES.get(environment, ())
    # The demo's holds the frontend, which is asked for icons
    others = ("sdk", "node", *(["demo"] if coverage else []))
    return Job(
        title,
        (python, "-m", "pytest", *ahead, *cache, *args),
        (environment, *others),
        with_peers=with_peers,
        coverage=coverage,
    )


def of_home(environment: str) -> Job:
    """Return the job of the tests for which the Home Assistant matters."""
    ignored = [f"--ignore={path}" for path in APART]
    return of_tests(f"the integration in {environment}", environment, "tests", *ignored)


def of_oldest_libraries() -> Job:
    """Return the job of the client's tests without Home Assistant."""
    args = ("--confcutdir=tests/api", *CLIENT)
    return of_tests("the client in lowest", "lowest", *args, with_peers=True)


def of_style() -> Job:
    """Return the job of style and types."""
    return Job("style and types", (ROOT / "scripts" / "lint",), ("pinned",))


def of_types(environment: str) -> Job:
    """Return the job that checks the integration's types against a Home Assistant."""
    mypy = VENVS / environment / "bin" / "mypy"
    return Job(
        f"types in {environment}",
        (mypy, f"--cache-dir=.mypy_cache/{environment}", "custom_components"),
        (environment,),
    )


def run_all(jobs: Iterable[Job]) -> list[Outcome]:
    """Run jobs, some at a time; what one prints is shown when it has ended."""
    printing = threading.Lock()

    def one(job: Job) -> Outcome:
        with printing:
            print(f"Begins: {job.title}", flush=True)
        with tempfile.TemporaryFile() as output:
            outcome = run(job, output.fileno())
            output.seek(0)
            text = output.read().decode(errors="replace")
        with printing:
            print(f"\n===== {job.title}\n{text}\n{outcome.line}\n", flush=True)
        return outcome

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(one, jobs))


def run(job: Job, output: int | None = None) -> Outcome:
    """Run a job."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        report, covered = Path(folder, "junit.xml"), Path(folder, "coverage.json")
        command = [*job.command]
        if "pytest" in command:
            command.append(f"--junitxml={report}")
        if job.coverage:
            command += ["--cov", "--cov-report=", f"--cov-report=json:{covered}"]
        result = subprocess.run(
            command,
            cwd=ROOT,
            env=environ(),
            stdout=output,
            stderr=output,
            check=False,
        )
        complaints = (
            [] if result.returncode == 0 else [f"ended with {result.returncode}"]
        )
        counts = count(report)
        if job.with_peers and not counts.get(OF_OTHERS):
            complaints.append("no test ran against what others wrote")
        if job.coverage:
            complaints += judge(covered)
    told = [f"{number} {what}" for what, number in counts.items() if number]
    release = home_assistant(job.needs[0])
    detail = f" ({release})" if release else ""
    if told or complaints:
        detail += f": {', '.join(told + complaints)}"
    seconds = time.monotonic() - start
    return Outcome(job.title, not complaints, seconds, detail)


def environ() -> dict[str, str]:
    """Return an environment in which Python keeps its bytecode, outside of the sources."""
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": str(VENVS / "pycache")}


def home_assistant(environment: str) -> str:
    """Return the Home Assistant that an environment holds, if it does."""
    site = VENVS / environment / "lib"
    for folder in site.glob("python3.*/site-packages/homeassistant-*.dist-info"):
        return f"Home Assistant {folder.name.split('-')[1].removesuffix('.dist')}"
    return ""


def count(report: Path) -> dict[str, int]:
    """Return how many tests ended in which way, by the report of a run."""
    if not report.is_file():
        return {}
    cases = list(ET.parse(report).getroot().iter("testcase"))  # noqa: S314 - our own
    skipped = [case for case in cases if case.find("skipped") is not None]
    bad = [
        case
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None
    ]
    ran = [case for case in cases if case not in skipped]
    peers = [case for case in ran if case.get("classname", "").startswith(PEERS)]
    return {
        "passed": len(ran) - len(bad),
        "failed": len(bad),
        "skipped": len(skipped),
        OF_OTHERS: len(peers),
    }


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
