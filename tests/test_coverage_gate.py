"""What judges how much the tests ran."""

import json
from pathlib import Path

import pytest

from scripts.coverage_gate import ENOUGH, FLOWS, judge

PACKAGE = Path(__file__).parents[1] / "custom_components" / "metaapi"


def report(folder: Path, percents: dict[str, float]) -> Path:
    """Write a report as coverage does."""
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
    """A module covered too little is named, and a flow that was not measured at all."""
    told = judge(report(tmp_path, percents))
    assert len(told) == len(complaints)
    for line, name in zip(told, complaints, strict=True):
        assert name in line


def test_nothing_measured(tmp_path: Path) -> None:
    """No report is no success."""
    assert judge(tmp_path / "coverage.json") == ["no coverage was measured"]


def test_flows_exist() -> None:
    """Every module of the flows is held to all of its lines."""
    flows = {path.name for path in PACKAGE.glob("*flow*.py")}
    assert flows
    shared = {"access.py", "forms.py", "texts.py"}
    assert all((PACKAGE / name).is_file() for name in shared)
    assert set(FLOWS) == flows | shared
