"""Run the checks: style, types, and the tests in their environments."""

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
Without arguments: style and types, the client's tests on its oldest supported
libraries, and all tests. With --every: all that a change must pass, including the
other releases of Home Assistant. With --env: only the part of --every for one
environment. With arguments for pytest: only the selected tests, for example
`scripts/test tests/api -k ping`; tests/api needs no Home Assistant."""

# These do not need Home Assistant, so they also run on the oldest libraries
CLIENT_TESTS = ("tests/api", "tests/peers")
CLIENT_ONLY = ("--confcutdir=tests/api", *CLIENT_TESTS)

# These do not depend on Home Assistant's release, or take too long for more than one
ONE_RELEASE = (
    "tests/day",
    "tests/simulator",
    "tests/test_doctor.py",
    "tests/test_scripts.py",
    "tests/test_setup_env.py",
)
INTEGRATION = (
    "tests",
    *(f"--ignore={path}" for path in (*CLIENT_TESTS, *ONE_RELEASE)),
)

# The test plugin does not support this newer Home Assistant yet
NEWER_HA_ARGS = ("-p", "tests.compat.newest", "-p", "no:respx")
RELEASES = {"pinned": (), "floor": (), "newest": NEWER_HA_ARGS, "canary": NEWER_HA_ARGS}

PEERS = ("sdk", "node")
PEERS_MUST_RUN = ("-p", "scripts.peers_gate")
COVERAGE = str(VENVS / "coverage.json")

MOST_SECONDS = 2400
"""A command that takes longer hangs."""

# Twice the usual two cores, because some jobs wait for other processes
MAX_PARALLEL = 4


@dataclass(frozen=True)
class Job:
    """Commands to run one after the other, and the environments that they need."""

    title: str
    commands: tuple[tuple[str, ...], ...]
    needs: tuple[str, ...]


def main() -> int:
    """Run the checks on the command line; return the exit code."""
    environments = [*RELEASES, "lowest"]
    parser = argparse.ArgumentParser(
        prog="scripts/test",
        usage=f"%(prog)s [-h] [--every | --env {{{','.join(environments)}}}] [pytest arguments]",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--every", action="store_true", help="run all checks")
    which.add_argument(
        "--env",
        choices=environments,
        help="the environment to use; canary has the newest Home Assistant, including betas",
    )
    options, selection = parser.parse_known_args()
    if options.every and selection:
        parser.error("--every takes no arguments for pytest")
    if selection:
        jobs = [selected_job(selection, options.env)]
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
    with ThreadPoolExecutor(MAX_PARALLEL) as pool:
        lines = list(pool.map(run_and_report, jobs))
    print("\nSummary", *lines, sep="\n  ", flush=True)
    return int(any(line.startswith("FAILED") for line in lines))


def whole_runs(environment: str | None, *, every: bool) -> Iterable[Job]:
    """Yield the jobs of a run without a selection, longest first."""
    if every or environment == "pinned":
        yield coverage_job()
    if environment in (None, "lowest"):
        yield pytest_job("client, lowest", "lowest", *CLIENT_ONLY, *PEERS_MUST_RUN)
    if environment is None and not every:
        yield pytest_job("integration, pinned", "pinned", *INTEGRATION)
        client, peers = CLIENT_TESTS
        yield pytest_job("client, pinned", "pinned", client)
        yield pytest_job("peers, pinned", "pinned", peers, *PEERS_MUST_RUN)
        yield pytest_job("simulator and scripts, pinned", "pinned", *ONE_RELEASE)
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


def coverage_job() -> Job:
    """Return the job that runs all tests on the default Home Assistant and checks coverage."""
    report = ("--cov", "--cov-report=", f"--cov-report=json:{COVERAGE}")
    tests = pytest_job("all, pinned", "pinned", "tests", *PEERS_MUST_RUN, *report)
    judge = (sys.executable, "-m", "scripts.coverage_gate", COVERAGE)
    # A test reads the icons of the frontend, which is only in the demo's environment
    return Job(tests.title, (*tests.commands, judge), (*tests.needs, "demo"))


def selected_job(arguments: list[str], environment: str | None) -> Job:
    """Return the job for pytest arguments, with only the environments that it needs."""
    named = [Path(each.partition("::")[0]) for each in arguments]
    paths = [path for path in named if (ROOT / path).exists()] or [Path("tests")]
    client = all(
        any(path.is_relative_to(one) for one in CLIENT_TESTS) for path in paths
    )
    environment = environment or ("lowest" if client else "pinned")
    client_only = CLIENT_ONLY[:1] if environment == "lowest" else ()
    return pytest_job("selection", environment, *client_only, *arguments, paths=paths)


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
    # Cache bytecode, but outside of the sources
    env["PYTHONPYCACHEPREFIX"] = str(VENVS / "pycache")
    if output is not None:
        # pytest truncates its summary to this width, which must show whole assertions
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
    """Run one of several jobs, print its output if it failed, and return its summary."""
    start = time.monotonic()
    with TemporaryFile() as file:
        passed = run(job, file.fileno())
        file.seek(0)
        lines = file.read().decode(errors="replace").rstrip().splitlines() or [""]
    verdict = "passed" if passed else "FAILED"
    # If it passed, only the number of tests matters
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
