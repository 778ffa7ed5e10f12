"""Break the client in a copy, bit by bit, and see whether the tests notice.

mutmut makes the mutants of functions and runs them, each with the tests that reach it. What it leaves out is
added here: properties, which it would skip, are rewritten as plain functions in the copy; the mutants that it
makes of constants and of fields' defaults, but cannot run, are run in a process each.
"""

import ast
from collections import Counter
from collections.abc import Iterator
import contextlib
from dataclasses import dataclass, field
import difflib
import json
import os
from pathlib import Path
import re
import shutil
import signal
import subprocess
import sys
import time

import libcst as cst
from mutmut.mutation.file_mutation import create_mutations
from mutmut.stats import status_by_exit_code

from .mutation_options import TARGETS, Target, parse
from .setup_env import ROOT, VENVS
from .setup_env.steps import environ

WORK = VENVS / "mutants"
MUTMUT = str(Path(sys.executable).with_name("mutmut"))
API = ROOT / "custom_components" / "metaapi" / "api"
SLOWEST = 60
"""A test that takes longer than this, in seconds, fails; a mutant's tests as a whole have mutmut's bound."""
NOTICED = {"killed", "timeout"}
UNDECIDED = {"not checked", "check was interrupted by user"}

_UNUSED = re.compile(
    r"^[+-](__all__ = |type |\s+[A-Z]+ = |\s+\w+ = property\()", re.MULTILINE
)
"""What only other tools read, values of an enumeration whose members count, and our own calls of `property`."""

CONFIG = """
[tool.mutmut]
source_paths = ["api"]
only_mutate = ["api/{name}.py"]
also_copy = ["simulator"]
pytest_add_cli_args_test_selection = {tests}
pytest_add_cli_args = {options}
timeout_multiplier = 6.0
timeout_constant = 2.0
use_git_change_detection = false
"""
OPTIONS = [
    "-p",
    "no:cacheprovider",
    "--confcutdir=tests/api",
    f"--timeout={SLOWEST}",
]


@dataclass
class Outcome:
    """What became of the mutants of a file."""

    target: Target
    counts: Counter[str] = field(default_factory=Counter)
    survivors: list[tuple[str, str]] = field(default_factory=list)
    """Names and differences."""

    @property
    def score(self) -> float:
        """Return the part of the mutants that were noticed, of those that were run."""
        tried = self.counts.total() - self.counts["not run"]
        return sum(self.counts[one] for one in NOTICED) / tried if tried else 0.0

    @property
    def line(self) -> str:
        """Return the line of the table."""
        counts = self.counts
        rest = f"  ({counts['not run']} not run)" if counts["not run"] else ""
        return (
            f"{self.target.name + '.py':16}{counts.total():8}{counts['killed']:8}"
            f"{counts['timeout']:11}{counts['survived']:10}{self.score:8.1%}{rest}"
        )


HEAD = f"{'file':16}{'mutants':>8}{'killed':>8}{'timed out':>11}{'survived':>10}{'score':>8}"


class Campaign:
    """The mutants of one file."""

    def __init__(
        self, target: Target, cores: int, deadline: float, *, slow: bool
    ) -> None:
        """Make a copy of what is needed."""
        self.target = target
        self.cores = cores
        self.deadline = deadline
        self.slow = target.slow if slow else ()
        self.outcome = Outcome(target)
        self.work = WORK / target.name
        shutil.rmtree(self.work, ignore_errors=True)
        junk = shutil.ignore_patterns("__pycache__")
        shutil.copytree(API, self.work / "api", ignore=junk)
        shutil.copytree(ROOT / "simulator", self.work / "simulator", ignore=junk)
        shutil.copytree(
            ROOT / "tests" / "api", self.work / "tests" / "api", ignore=junk
        )
        shutil.copy(ROOT / "tests" / "__init__.py", self.work / "tests")
        config = CONFIG.format(
            name=target.name,
            tests=json.dumps(target.tests),
            options=json.dumps(OPTIONS),
        )
        project = (ROOT / "pyproject.toml").read_text()
        (self.work / "pyproject.toml").write_text(project + config)
        self.file = self.work / "api" / f"{target.name}.py"
        self.file.write_text(expose_properties(self.file.read_text()))

    def run(self, only: str | None) -> Outcome:
        """Run all mutants, or those whose name matches a pattern."""
        self._run_functions(only)
        if only is None:
            self._run_constants()
        return self.outcome

    def _run_functions(self, only: str | None) -> None:
        """Run the mutants of functions."""
        found = self._run_mutmut(only)
        mutants = self.work / "mutants"
        self._expect_clean(self.slow, mutants)
        for name, status in found.items():
            if status in UNDECIDED:
                if not only:
                    self.outcome.counts["not run"] += 1
                continue
            if status in NOTICED:
                self.outcome.counts[status] += 1
                continue
            second = self._test(self.slow, mutants, MUTANT_UNDER_TEST=name)
            self.outcome.counts[second] += 1
            if second == "survived":
                self.outcome.survivors.append((name, self._show(name)))

    def _run_mutmut(self, only: str | None) -> dict[str, str]:
        """Return mutants and what became of them."""
        command = [MUTMUT, "run", "--max-children", str(self.cores)]
        log = self.work / "log.txt"
        with log.open("w") as output:
            process = subprocess.Popen(
                [*command, only] if only else command,
                cwd=self.work,
                env=environ(),
                stdout=output,
                stderr=output,
            )
            try:
                process.wait(self._left())
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGINT)
                process.wait()
            else:
                if process.returncode:
                    raise SystemExit(f"{log.read_text()[-2000:]}\nmutmut failed.")
        meta = self.work / "mutants" / "api" / f"{self.target.name}.py.meta"
        if not meta.is_file():
            raise SystemExit("There was no time to make mutants: allow more minutes.")
        codes = json.loads(meta.read_text())["exit_code_by_key"]
        return {name: status_by_exit_code[code] for name, code in codes.items()}

    def _run_constants(self) -> None:
        """Run the mutants of what stands outside of functions."""
        source = self.file.read_text()
        tests = (*self.target.tests, *self.slow)
        self._expect_clean(tests, self.work)
        with contextlib.chdir(self.work):  # where mutmut looks for its configuration
            mutants = list(mutate_constants(source))
        for number, mutant in enumerate(mutants, 1):
            self.file.write_text(mutant)
            os.utime(self.file, (number, number))  # or old bytecode might be taken
            status = self._test(tests, self.work)
            self.outcome.counts[status] += 1
            if status == "survived":
                name = f"outside of functions, {number}"
                self.outcome.survivors.append((name, difference(source, mutant)))
        self.file.write_text(source)

    def _test(self, tests: tuple[str, ...], cwd: Path, **variables: str) -> str:
        """Run tests in a process of their own, and return what became of a mutant."""
        if not tests:
            return "survived"
        if not self._left():
            return "not run"
        command = [sys.executable, "-m", "pytest", "-x", "-q", *OPTIONS, *tests]
        try:
            result = subprocess.run(
                command,
                cwd=cwd,
                env=environ(variables),
                capture_output=True,
                timeout=600,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return "timeout"
        return "killed" if result.returncode else "survived"

    def _expect_clean(self, tests: tuple[str, ...], cwd: Path) -> None:
        """End here where tests fail without a mutant, since they would fail with any."""
        if self._test(tests, cwd) in NOTICED:
            raise SystemExit(f"Without a mutant these fail in {cwd}: {tests}")

    def _show(self, name: str) -> str:
        """Return the difference that a mutant of a function makes."""
        shown: str = subprocess.run(
            [MUTMUT, "show", name],
            cwd=self.work,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        return shown[shown.index("@@") :].rstrip()

    def _left(self) -> float:
        """Return for how many seconds there is time."""
        return max(self.deadline - time.monotonic(), 0.0)


def expose_properties(source: str) -> str:
    """Rewrite properties as functions with a call of `property` below."""
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.ClassDef):
            continue
        for one in node.body:
            if isinstance(one, ast.FunctionDef) and [
                ast.unparse(decorator) for decorator in one.decorator_list
            ] == ["property"]:
                assert one.end_lineno is not None
                lines[one.decorator_list[0].lineno - 1] = ""
                lines[one.end_lineno - 1] += f"\n    {one.name} = property({one.name})"
    return "\n".join(lines) + "\n"


def mutate_constants(source: str) -> Iterator[str]:
    """Yield mutants of what is evaluated at import: constants, and defaults of fields."""
    module, mutations, *_ = create_mutations("", source)
    for mutation in mutations:
        if not isinstance(mutation.contained_by_top_level_function, cst.FunctionDef):
            mutant = module.deep_replace(mutation.original_node, mutation.mutated_node)
            assert isinstance(mutant, cst.Module)
            if not _UNUSED.search(difference(source, mutant.code)):
                yield mutant.code


def difference(source: str, mutant: str) -> str:
    """Return what a mutant changes."""
    lines = difflib.unified_diff(
        source.splitlines(), mutant.splitlines(), n=1, lineterm=""
    )
    return "\n".join(list(lines)[2:])


def main() -> int:
    """Run what was asked for; return 0 when enough of it was noticed."""
    options = parse()
    deadline = time.monotonic() + options.minutes * 60
    outcomes = []
    for name in options.file or TARGETS:
        log = (WORK / name / "log.txt").relative_to(ROOT)
        print(f"Mutants of {name}.py (log: {log})", flush=True)
        campaign = Campaign(TARGETS[name], options.cores, deadline, slow=options.slow)
        outcome = campaign.run(options.only)
        outcomes.append(outcome)
        for mutant, diff in outcome.survivors:
            print(f"\nsurvived: {mutant}\n{diff}", flush=True)
        print(flush=True)
    print(HEAD)
    for outcome in outcomes:
        print(outcome.line)
    return 0 if all(one.score * 100 >= options.least for one in outcomes) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
