"""What runs elsewhere: workflows that parse, name what exists, and release what they should."""

import json
from pathlib import Path
import re
import shlex
import shutil
from typing import Any
import zipfile

import pytest

from homeassistant.util.yaml import load_yaml_dict
from scripts import release

from .test_manifest import MANIFEST

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))

# The one has no version but one of 2020, and the other runs the newest image whatever its version
UNVERSIONED = {"home-assistant/actions/hassfest@master", "hacs/action@22.5.0"}


@pytest.fixture(params=WORKFLOWS, ids=lambda path: path.stem)
def workflow(request: pytest.FixtureRequest) -> dict[Any, Any]:
    """Return a workflow; YAML reads its key `on` as a truth."""
    content: dict[Any, Any] = load_yaml_dict(str(request.param))
    return content


def test_shape(workflow: dict[Any, Any]) -> None:
    """Each says when it runs, may do little, and ends in time."""
    assert set(workflow) - {"concurrency"} == {"name", True, "permissions", "jobs"}
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        if "uses" in job:
            assert (ROOT / job["uses"]).is_file()
            continue
        assert job["timeout-minutes"] <= 60
        assert job["runs-on"] == "ubuntu-latest"
        assert set(job.get("needs", [])) <= set(workflow["jobs"])


def test_steps(workflow: dict[Any, Any]) -> None:
    """Actions of others are of one commit, and scripts of ours exist."""
    for job in workflow["jobs"].values():
        for step in job.get("steps", []):
            if "uses" in step:
                commit = re.fullmatch(r"[\w/.-]+@[0-9a-f]{40}", step["uses"])
                assert commit or step["uses"] in UNVERSIONED
                continue
            program = shlex.split(step["run"])[0]
            if "/" in program:
                assert (ROOT / program).stat().st_mode & 0o100
            else:
                assert program in {"gh", "shopt"}


def test_newer_changes_end_the_checks_of_older_ones(workflow: dict[Any, Any]) -> None:
    """What runs at each push gives way on a branch, and never on a tag; groups are apart."""
    triggers = workflow[True]
    if "pull_request" not in triggers:
        assert "concurrency" not in workflow
        return
    concurrency = workflow["concurrency"]
    prefix = workflow["name"].lower()
    assert concurrency["group"] == (
        prefix + "-${{ github.workflow }}-${{ github.ref }}"
    )
    assert concurrency["cancel-in-progress"] == "${{ github.ref_type == 'branch' }}"


def test_release_waits_for_the_tests_and_no_others() -> None:
    """What Home Assistant and the Marketplace ask for today does not block a tag."""
    jobs = load_yaml_dict(str(ROOT / ".github" / "workflows" / "release.yml"))["jobs"]
    assert set(jobs) == {"tests", "release"}
    assert jobs["release"]["needs"] == ["tests"]
    runs = [step["run"] for step in jobs["release"]["steps"] if "run" in step]
    assert "--workflow validate.yml" in runs[0]
    assert "gh release create" in runs[-1]


def test_names() -> None:
    """There are those that a change, a day and a release need."""
    assert [path.stem for path in WORKFLOWS] == [
        "canary",
        "release",
        "tests",
        "validate",
    ]


def test_the_check_of_a_change() -> None:
    """It names scripts that exist."""
    programs = re.findall(
        r"^(scripts/\S+)", (ROOT / ".ci" / "run").read_text(), re.MULTILINE
    )
    assert "scripts/test" in programs
    assert all((ROOT / program).stat().st_mode & 0o100 for program in programs)


def test_issue_forms() -> None:
    """They have what GitHub asks of a form, and one about a fault asks for diagnostics."""
    folder = ROOT / ".github" / "ISSUE_TEMPLATE"
    forms = {
        path.stem: load_yaml_dict(str(path))
        for path in folder.glob("*.yml")
        if path.stem != "config"
    }
    for form in forms.values():
        assert set(form) == {"name", "description", "labels", "body"}
        ids = [part["id"] for part in form["body"]]
        assert len(set(ids)) == len(ids)
        for part in form["body"]:
            assert part["type"] in {"checkboxes", "input", "textarea"}
            assert part["attributes"]["label"]
    needed = {
        part["id"]
        for part in forms["bug"]["body"]
        if part.get("validations", {}).get("required")
    }
    assert {"what", "diagnostics", "version", "home-assistant"} <= needed


# -- release -----------------------------------------------------------------------------


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Return a copy of what the release looks at."""
    shutil.copytree(ROOT / "custom_components", tmp_path / "custom_components")
    for name in ("CHANGELOG.md", "hacs.json", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, sources: Path, tag: str) -> int:
    """Run the script for a tag."""
    monkeypatch.setattr("sys.argv", ["release", tag])
    return release.main(sources)


def test_tag_of_the_version(monkeypatch: pytest.MonkeyPatch, sources: Path) -> None:
    """The version's own tag becomes a release, and without a zip nothing is built."""
    assert run(monkeypatch, sources, f"v{MANIFEST['version']}") == 0
    assert not (sources / "dist").exists()


@pytest.mark.parametrize("tag", ["v999.0.0", MANIFEST["version"], "main"])
def test_other_tag(
    monkeypatch: pytest.MonkeyPatch,
    sources: Path,
    capsys: pytest.CaptureFixture[str],
    tag: str,
) -> None:
    """Any other tag does not."""
    assert run(monkeypatch, sources, tag) == 1
    said = capsys.readouterr().err
    assert tag in said
    assert f"{MANIFEST['version']} in manifest.json" in said


def test_versions_that_differ(monkeypatch: pytest.MonkeyPatch, sources: Path) -> None:
    """The version stands in two files, and must be the same."""
    pyproject = sources / "pyproject.toml"
    pyproject.write_text(
        pyproject.read_text().replace(f'"{MANIFEST["version"]}"', '"999.0.0"', 1)
    )
    for tag in (f"v{MANIFEST['version']}", "v999.0.0"):
        assert run(monkeypatch, sources, tag) == 1


def test_changes_that_nobody_wrote_down(
    monkeypatch: pytest.MonkeyPatch,
    sources: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A version that the list of changes lacks does not become a release."""
    (sources / "CHANGELOG.md").write_text("# Changes\n\n## 0.0.1\n\nNothing.\n")
    assert run(monkeypatch, sources, f"v{MANIFEST['version']}") == 1
    assert "CHANGELOG.md" in capsys.readouterr().err


def test_zip(monkeypatch: pytest.MonkeyPatch, sources: Path) -> None:
    """A zip has the integration's files at its root."""
    hacs = json.loads((sources / "hacs.json").read_text())
    hacs |= {"zip_release": True, "filename": "metaapi.zip"}
    (sources / "hacs.json").write_text(json.dumps(hacs))
    cache = sources / "custom_components" / "metaapi" / "__pycache__"
    cache.mkdir(exist_ok=True)
    (cache / "some.pyc").touch()
    assert run(monkeypatch, sources, f"v{MANIFEST['version']}") == 0
    with zipfile.ZipFile(sources / "dist" / "metaapi.zip") as archive:
        names = set(archive.namelist())
        assert json.loads(archive.read("manifest.json")) == MANIFEST
    assert {"__init__.py", "api/transport/socketio2.py", "brand/icon.png"} <= names
    assert not [name for name in names if "__pycache__" in name]
