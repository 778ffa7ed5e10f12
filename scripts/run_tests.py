"""Run checks: style, types, and the tests in the environments they are for."""

import argparse
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
import os
from pathlib import Path
import subprocess
import sys
from tempfile import TemporaryFile
import time

from .setup_env.environments import ensure
from .setup_env.steps import ROOT, VENVS, SetupError

DESCRIPTION = """\
Without arguments: style and types, the client's tests with the oldest libraries it
allows, then all tests. With --every: what a change must pass, which adds the other
releases of Home Assistant. With --env: what --every runs in one environment. With
arguments for pytest: just that, for example `scripts/test tests/api -k ping`, where
tests/api needs no Home Assistant and is quick to set up."""

# These need no Home Assistant, so they also run with the oldest libraries
CLIENT_TESTS = ("tests/api", "tests/peers")
CLIENT_ONLY = ("--confcutdir=tests/api", *CLIENT_TESTS)

# These do not depend on the release of Home Assistant, or take too long for more than one
ANY_RELEASE = (
    *CLIENT_TESTS,
    "tests/day",
    "tests/simulator",
    "tests/test_doctor.py",
    "tests/test_scripts.py",
    "tests/test_setup_env.py",
)
INTEGRATION = ("tests", *(f"--ignore={path}" for path in ANY_RELEASE))

# For a Home Assistant that is newer than the test plugin
NEWER_HA_ARGS = ("-p", "tests.compat.newest", "-p", "no:respx")
RELEASES = {"pinned": (), "floor": (), "newest": NEWER_HA_ARGS, "canary": NEWER_HA_ARGS}

PEERS = ("sdk", "node")
PEERS_MUST_RUN = ("-p", "scripts.peers_gate")
COVERAGE = str(VENVS / "coverage.json")

MOST_SECONDS = 2400
"""A command that takes longer hangs."""

# More than the two cores that the project reckons with: tests wait longer than they compute
AT_ONCE = 3


@dataclass(frozen=True)
class Job:
    """Commands that run one after the other, and the environments that they need."""

    title: str
    commands: tuple[tuple[str, ...], ...]
    needs: tuple[str, ...]


def main() -> int:
    """Run what was asked for; return 0 when all of it passed."""
    environments = [*RELEASES, "lowest"]
    parser = argparse.ArgumentParser(
        prog="scripts/test",
        usage=f"%(prog)s [-h] [--every | --env {{{','.join(environments)}}}] [pytest arguments]",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--every", action="store_true", help="all that there is")
    which.add_argument(
        "--env",
        choices=environments,
        help="the environment to run in; canary has the newest Home Assistant there is",
    )
    options, selection = parser.parse_known_args()
    if options.every and selection:
        parser.error("--every takes no arguments for pytest")
    if selection:
        jobs = [selected(selection, options.env)]
    else:
        jobs = list(whole_runs(options.env, every=options.every))

    try:
        ensure(dict.fromkeys(need for job in jobs for need in job.needs))
    except SetupError as err:
        print(f"\n{err}", file=sys.stderr)
        return 1
    if len(jobs) == 1:
        return 0 if run(jobs[0]) else 1
    print(f"Running: {'; '.join(job.title for job in jobs)}", flush=True)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        lines = list(pool.map(run_and_report, jobs))
    print("\nSummary", *lines, sep="\n  ", flush=True)
    return int(any(line.startswith("FAILED") for line in lines))


def whole_runs(environment: str | None, *, every: bool) -> Iterable[Job]:
    """Yield the jobs of a run without a selection; what takes longest comes first."""
    if environment is None and not every:
        yield pytest_job("client, pinned", "pinned", *ANY_RELEASE, *PEERS_MUST_RUN)
    if every or environment == "pinned":
        yield covered()
    if environment in (None, "lowest"):
        yield pytest_job("client, lowest", "lowest", *CLIENT_ONLY, *PEERS_MUST_RUN)
    if environment is None and not every:
        yield pytest_job("integration, pinned", "pinned", *INTEGRATION)
    for name in ("floor", "newest"):
        if every or environment == name:
            yield pytest_job(f"integration, {name}", name, *INTEGRATION)
            cache = f"--cache-dir=.mypy_cache/{name}"
            mypy = (binary(name, "mypy"), cache, "custom_components")
            yield Job(f"types, {name}", (mypy,), (name,))
    if environment == "canary":
        yield pytest_job("all, canary", "canary", "tests", *PEERS_MUST_RUN)
    if environment is None:
        yield Job("lint", ((str(ROOT / "scripts" / "lint"),),), ("pinned",))


def covered() -> Job:
    """Return all tests on the default Home Assistant, and how much of the code they must run."""
    report = ("--cov", "--cov-report=", f"--cov-report=json:{COVERAGE}")
    tests = pytest_job("all, pinned", "pinned", "tests", *PEERS_MUST_RUN, *report)
    judge = (sys.executable, "-m", "scripts.coverage_gate", COVERAGE)
    # The demo has the frontend, which a test asks for icons
    return Job(tests.title, (*tests.commands, judge), (*tests.needs, "demo"))


def selected(arguments: list[str], environment: str | None) -> Job:
    """Return the job for arguments of a person, with no environment that it does not need."""
    named = [Path(each.partition("::")[0]) for each in arguments]
    paths = [path for path in named if (ROOT / path).exists()] or [Path("tests")]
    client = all(
        any(path.is_relative_to(one) for one in CLIENT_TESTS) for path in paths
    )
    environment = environment or ("lowest" if client else "pinned")
    alone = CLIENT_ONLY[:1] if environment == "lowest" else ()
    return pytest_job("selection", environment, *alone, *arguments, paths=paths)


def pytest_job(
    title: str, environment: str, *args: str, paths: Iterable[Path] = (Path("tests"),)
) -> Job:
    """Return the job that runs tests in an environment."""
    peers = Path("tests", "peers")
    meets_peers = (
        any(peers.is_relative_to(path) or path.is_relative_to(peers) for path in paths)
        and f"--ignore={peers}" not in args
    )
    command = (
        *(binary(environment, "python"), "-m", "pytest"),
        *("-o", f"cache_dir=.pytest_cache/{environment}"),
        *RELEASES.get(environment, ()),
        *args,
    )
    return Job(title, (command,), (environment, *(PEERS if meets_peers else ())))


def binary(environment: str, name: str) -> str:
    """Return a program in an environment."""
    return str(VENVS / environment / "bin" / name)


def run(job: Job, output: int | None = None) -> bool:
    """Run the commands of a job until one fails; return whether all passed."""
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    # Compiled once, and outside of the sources
    env["PYTHONPYCACHEPREFIX"] = str(VENVS / "pycache")
    if output is not None:
        # As wide as an assertion: pytest cuts the lines of its summary off
        env["COLUMNS"] = "160"
    return all(passes(command, env, output) for command in job.commands)


def passes(command: tuple[str, ...], env: dict[str, str], output: int | None) -> bool:
    """Run a command; return whether it passed."""
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=env,
            stdout=output,
            stderr=output,
            check=False,
            timeout=MOST_SECONDS,
        )
    except subprocess.TimeoutExpired:
        text = f"FAILED {command[0]}: still running after {MOST_SECONDS} s\n"
        os.write(sys.stderr.fileno() if output is None else output, text.encode())
        return False
    return done.returncode == 0


def run_and_report(job: Job) -> str:
    """Run a job beside others, print what matters, and return its part of the summary."""
    start = time.monotonic()
    with TemporaryFile() as file:
        passed = run(job, file.fileno())
        file.seek(0)
        lines = file.read().decode(errors="replace").rstrip().splitlines() or [""]
    verdict = "passed" if passed else "FAILED"
    # What passed has nothing to tell except how many tests it was
    shown = lines[-1:] if passed else lines
    print(f"\n===== {job.title}: {verdict}", *shown, sep="\n", flush=True)
    failures = [line for line in lines if line.startswith(("FAILED ", "ERROR "))]
    took = f"{verdict} {time.monotonic() - start:4.0f} s  {job.title}"
    return "\n      ".join([took, *failures])


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
