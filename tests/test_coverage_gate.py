"""Test the gates for coverage and for the tests in tests/peers."""

import json
import os
from pathlib import Path
import subprocess
import sys

import pytest

from scripts.coverage_gate import ENOUGH, FLOWS, judge

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "custom_components" / "metaapi"


def report(folder: Path, percents: dict[str, float]) -> Path:
    """Write a report in coverage's format."""
    path = folder / "coverage.json"
    files = {
        f"custom_components/metaapi/{name}": {"summary": {"percent_covered": percent}}
        for name, percent in percents.items()
    }
    path.write_text(json.dumps({"files": files}))
    return path


WHOLE = dict.fromkeys(FLOWS, 100.0)


@pytest.mark.parametrize(
    ("percents", "complaints"),
    [
        (WHOLE, []),
        (WHOLE | {"sensor.py": ENOUGH}, []),
        (WHOLE | {"sensor.py": ENOUGH - 0.5}, ["sensor.py"]),
        (WHOLE | {"forms.py": 99.5}, ["forms.py"]),
        (dict.fromkeys(FLOWS[1:], 100.0), [FLOWS[0]]),
        ({}, list(FLOWS)),
    ],
)
def test_judge(
    tmp_path: Path, percents: dict[str, float], complaints: list[str]
) -> None:
    """Modules with low coverage and flows without a measurement are reported."""
    complaint_lines = judge(report(tmp_path, percents))
    assert len(complaint_lines) == len(complaints)
    for line, name in zip(complaint_lines, complaints, strict=True):
        assert name in line


def test_nothing_measured(tmp_path: Path) -> None:
    """A missing report is a failure."""
    assert judge(tmp_path / "coverage.json") == ["no coverage was measured"]


def test_flows_exist() -> None:
    """Every module of the flows exists."""
    flows = {path.name for path in PACKAGE.glob("*flow*.py")}
    assert flows
    shared = {"access.py", "forms.py", "texts.py"}
    assert all((PACKAGE / name).is_file() for name in shared)
    assert set(FLOWS) == flows | shared


@pytest.mark.parametrize(
    ("folder", "body", "code"),
    [
        ("tests/peers", "pass", 0),
        ("tests/peers", "pytest.skip('away')", 1),
        ("tests/api", "pass", 1),
    ],
)
def test_a_run_must_include_peers(
    tmp_path: Path, folder: str, body: str, code: int
) -> None:
    """A run that skips all tests in tests/peers fails."""
    test = tmp_path / folder / "test_some.py"
    test.parent.mkdir(parents=True)
    test.write_text(f"import pytest\n\ndef test_some():\n    {body}\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "scripts.peers_gate", "tests"],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code
    assert ("No test ran in tests/peers" in done.stdout) is bool(code)


@pytest.mark.parametrize(("percent", "code"), [(100.0, 0), (99.0, 1)])
def test_exit_code(tmp_path: Path, percent: float, code: int) -> None:
    """The gate succeeds without complaints."""
    gate = (sys.executable, "-m", "scripts.coverage_gate")
    file = report(tmp_path, WHOLE | {FLOWS[0]: percent})
    result = subprocess.run((*gate, file), cwd=PACKAGE.parents[1], check=False)
    assert result.returncode == code
