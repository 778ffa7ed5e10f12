"""Run mutmut on a copy of the client, and test the mutants that mutmut skips.

mutmut skips properties, so they become plain functions in the copy. It creates mutants of
constants and of fields' defaults, but cannot run them, so each of those runs in its own process.
"""

import ast
from collections import Counter
from collections.abc import Iterator
import contextlib
import difflib
import json
import os
from pathlib import Path
import re
import shutil
import subprocess
import sys
import tomllib

import libcst as cst
from mutmut.mutation.file_mutation import create_mutations
from mutmut.stats import status_by_exit_code

from scripts.setup_env.steps import ROOT, VENVS, environ

from .options import parse

WORK = VENVS / "mutants"
MUTMUT = str(Path(sys.executable).with_name("mutmut"))
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mutmut"]
NOTICED = {"killed", "timeout"}

_UNUSED = re.compile(
    r"^[+-](__all__ = |type |\s+[A-Z]+ = |\s+\w+ = property\()", re.MULTILINE
)
"""Mutants without effect: of `__all__`, type aliases, values of enum members, `property` calls."""


def main() -> int:
    """Run the mutants; return 0 if every file reaches the required score."""
    options = parse()
    files = copy_client()
    only = [options.only] if options.only else []
    subprocess.run(
        [MUTMUT, "run", "--max-children", str(options.cores), *only],
        cwd=WORK,
        env=environ(),
        check=True,
    )
    enough = True
    print(f"\n{'file':32}{'mutants':>8}{'noticed':>9}{'survived':>10}{'score':>8}")
    for file in files:
        counts = Counter(run_functions(file))
        if not options.only:
            counts.update(run_constants(WORK / file))
        total = counts.total()
        noticed = sum(counts[status] for status in NOTICED)
        score = noticed * 100 / total if total else 100.0
        rest = total - noticed
        print(f"{file!s:32}{total:8}{noticed:9}{rest:10}{score:7.1f}%", flush=True)
        enough = enough and score >= options.least
    return 0 if enough else 1


def copy_client() -> list[Path]:
    """Copy the client as the package `api`, with its tests; return the files to mutate."""
    shutil.rmtree(WORK, ignore_errors=True)
    junk = shutil.ignore_patterns("__pycache__")
    client = ROOT / "custom_components" / "metaapi" / "api"
    for source, to in (
        (client, "api"),
        (ROOT / "simulator", "simulator"),
        (ROOT / "tests" / "api", "tests/api"),
    ):
        shutil.copytree(source, WORK / to, ignore=junk)
    shutil.copy(ROOT / "tests" / "__init__.py", WORK / "tests")
    shutil.copy(ROOT / "pyproject.toml", WORK)
    patterns = CONFIG["only_mutate"]
    found = sorted(path for each in patterns for path in WORK.glob(each))
    for path in found:
        path.write_text(expose_properties(path.read_text()))
    return [path.relative_to(WORK) for path in found]


def expose_properties(source: str) -> str:
    """Rewrite properties as functions, each followed by a call of `property`."""
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


def run_functions(file: Path) -> Iterator[str]:
    """Yield the outcomes of mutmut's mutants of functions, and print the survivors."""
    meta = WORK / "mutants" / f"{file}.meta"
    for name, code in json.loads(meta.read_text())["exit_code_by_key"].items():
        status = status_by_exit_code[code]
        if status != "not checked":
            yield status
        if status not in {*NOTICED, "not checked"}:
            subprocess.run([MUTMUT, "show", name], cwd=WORK, check=True)


def run_constants(path: Path) -> Iterator[str]:
    """Run the mutants of code outside of functions, and yield their outcomes."""
    source = path.read_text()
    if run_tests() != "survived":
        raise SystemExit("Tests fail without a mutant, so they would fail with any.")
    with contextlib.chdir(WORK):  # mutmut reads its configuration from here
        mutants = list(mutate_constants(source))
    for number, mutant in enumerate(mutants, 1):
        path.write_text(mutant)
        os.utime(path, (number, number))  # so that old bytecode is not used
        status = run_tests()
        yield status
        if status == "survived":
            print(f"\nsurvived:\n{difference(source, mutant)}", flush=True)
    path.write_text(source)


def mutate_constants(source: str) -> Iterator[str]:
    """Yield mutants of code that runs at import: constants, and defaults of fields."""
    module, mutations, *_ = create_mutations("", source)
    for mutation in mutations:
        if not isinstance(mutation.contained_by_top_level_function, cst.FunctionDef):
            mutant = module.deep_replace(mutation.original_node, mutation.mutated_node)
            assert isinstance(mutant, cst.Module)
            if not _UNUSED.search(difference(source, mutant.code)):
                yield mutant.code


def run_tests() -> str:
    """Run all tests in a new process, and return the outcome of the mutant."""
    tests = CONFIG["pytest_add_cli_args_test_selection"]
    command = [sys.executable, "-m", "pytest", "-x", "-q", *tests]
    try:
        result = subprocess.run(
            [*command, *CONFIG["pytest_add_cli_args"]],
            cwd=WORK,
            env=environ(),
            capture_output=True,
            timeout=600,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "timeout"
    return "killed" if result.returncode else "survived"


def difference(source: str, mutant: str) -> str:
    """Return the diff of a mutant."""
    lines = difflib.unified_diff(
        source.splitlines(), mutant.splitlines(), n=1, lineterm=""
    )
    return "\n".join(list(lines)[2:])


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
