"""Test the workflows: they run every check, and release only valid tags."""

import json
import os
from pathlib import Path
import re
import shutil
import subprocess
from typing import Any
import zipfile

import pytest

from homeassistant.util.yaml import load_yaml_dict
from scripts import release
from scripts.run_tests import whole_runs

from .test_manifest import MANIFEST

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.fixture(params=WORKFLOWS, ids=lambda path: path.stem)
def workflow(request: pytest.FixtureRequest) -> dict[Any, Any]:
    """Return a workflow; YAML parses its key `on` as true."""
    content: dict[Any, Any] = load_yaml_dict(str(request.param))
    return content


def test_bounds(workflow: dict[Any, Any]) -> None:
    """Each job has limited permissions and a timeout, which actionlint does not require."""
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert "uses" in job or job["timeout-minutes"] <= 60


def test_scripts_exist(workflow: dict[Any, Any]) -> None:
    """The scripts in workflows exist."""
    for job in workflow["jobs"].values():
        for step in job.get("steps", []):
            for program in re.findall(
                r"^scripts/\S+", step.get("run", ""), re.MULTILINE
            ):
                assert (ROOT / program).stat().st_mode & 0o100


@pytest.mark.parametrize("name", ["tests", "validate"])
def test_no_push_to_main_cancels_the_run_of_another(name: str) -> None:
    """Only runs of a pull request are canceled by newer ones, since a release needs a run of its commit."""
    workflow = load_yaml_dict(str(ROOT / ".github" / "workflows" / f"{name}.yml"))
    group = workflow["concurrency"]["group"]
    assert group.endswith("${{ github.event.pull_request.number || github.sha }}")


def test_matrix() -> None:
    """Together the jobs run what `scripts/test --every` runs."""
    jobs = load_yaml_dict(str(ROOT / ".github" / "workflows" / "tests.yml"))["jobs"]
    environments = jobs["tests"]["strategy"]["matrix"]["environment"]
    titles = [
        job.title for each in environments for job in whole_runs(each, every=False)
    ]
    assert sorted([*titles, "lint"]) == sorted(
        job.title for job in whole_runs(None, every=True)
    )
    assert {"run": "scripts/lint"} in jobs["lint"]["steps"]


def test_release_waits_for_the_tests_and_no_others() -> None:
    """The checks of hassfest and HACS do not block a tag."""
    jobs = load_yaml_dict(str(ROOT / ".github" / "workflows" / "release.yml"))["jobs"]
    assert set(jobs) == {"tests", "release"}
    assert jobs["release"]["needs"] == ["tests"]
    runs = [step["run"] for step in jobs["release"]["steps"] if "run" in step]
    assert "--workflow validate.yml" in runs[0]
    assert "gh release create" in runs[-1]


@pytest.mark.parametrize(
    ("tag", "prerelease"), [("v1.2.3", False), ("v1.3.0-beta.1", True)]
)
def test_prereleases_are_marked(tmp_path: Path, tag: str, prerelease: bool) -> None:
    """A version with a hyphen is a prerelease, which is not offered by default."""
    jobs = load_yaml_dict(str(ROOT / ".github" / "workflows" / "release.yml"))["jobs"]
    gh = tmp_path / "gh"
    gh.write_text('#!/bin/sh\necho "$@"\n')
    gh.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    output = subprocess.run(
        ["bash", "-e", "-c", jobs["release"]["steps"][-1]["run"]],
        env={"PATH": path, "GITHUB_REF_NAME": tag},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert output.startswith(f"release create {tag} ")
    assert ("--prerelease" in output.split()) is prerelease


def test_names() -> None:
    """The expected workflows exist."""
    assert [path.stem for path in WORKFLOWS] == [
        "canary",
        "release",
        "tests",
        "validate",
    ]


def test_ci_run() -> None:
    """`.ci/run` uses existing scripts."""
    programs = re.findall(
        r"^(scripts/\S+)", (ROOT / ".ci" / "run").read_text(), re.MULTILINE
    )
    assert "scripts/test" in programs
    assert all((ROOT / program).stat().st_mode & 0o100 for program in programs)


def test_issue_forms() -> None:
    """They have the keys that GitHub requires, and bug reports ask for diagnostics."""
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
    """Return a copy of the files that a release depends on."""
    shutil.copytree(ROOT / "custom_components", tmp_path / "custom_components")
    translations = tmp_path / "custom_components" / "metaapi" / "translations"
    for path in translations.glob("*.json"):
        if path.name != "en.json":
            # A change needs English alone, so other languages may lag
            path.unlink()
    for name in ("CHANGELOG.md", "hacs.json", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, sources: Path, tag: str) -> int:
    """Run the release script for a tag."""
    monkeypatch.setattr("sys.argv", ["release", tag])
    return release.main(sources)


def test_tag_of_the_version(monkeypatch: pytest.MonkeyPatch, sources: Path) -> None:
    """The version's tag can be released, and without a zip nothing is built."""
    assert run(monkeypatch, sources, f"v{MANIFEST['version']}") == 0
    assert not (sources / "dist").exists()


@pytest.mark.parametrize("tag", ["v999.0.0", MANIFEST["version"], "main"])
def test_other_tag(
    monkeypatch: pytest.MonkeyPatch,
    sources: Path,
    capsys: pytest.CaptureFixture[str],
    tag: str,
) -> None:
    """Another tag cannot be released."""
    assert run(monkeypatch, sources, tag) == 1
    output = capsys.readouterr().err
    assert tag in output
    assert f"{MANIFEST['version']} in manifest.json" in output


def test_versions_that_differ(monkeypatch: pytest.MonkeyPatch, sources: Path) -> None:
    """The versions in both files must be the same."""
    pyproject = sources / "pyproject.toml"
    pyproject.write_text(
        pyproject.read_text().replace(f'"{MANIFEST["version"]}"', '"999.0.0"', 1)
    )
    for tag in (f"v{MANIFEST['version']}", "v999.0.0"):
        assert run(monkeypatch, sources, tag) == 1


def test_missing_changelog(
    monkeypatch: pytest.MonkeyPatch,
    sources: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A version without a section in the changelog cannot be released."""
    (sources / "CHANGELOG.md").write_text("# Changes\n\n## 0.0.1\n\nNothing.\n")
    assert run(monkeypatch, sources, f"v{MANIFEST['version']}") == 1
    assert "CHANGELOG.md" in capsys.readouterr().err


def test_incomplete_language(
    monkeypatch: pytest.MonkeyPatch,
    sources: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Incomplete languages block a release, but not a change."""
    file = Path("custom_components", "metaapi", "translations", "de.json")
    texts = json.loads((ROOT / file).read_text(encoding="utf-8"))
    del texts["entity"]["sensor"]["status"]["state"]["silent"]
    (sources / file).write_text(json.dumps(texts), encoding="utf-8")
    assert run(monkeypatch, sources, f"v{MANIFEST['version']}") == 1
    reason = "de.json: entity.sensor.status.state.silent is missing"
    assert reason in capsys.readouterr().err


def test_zip(monkeypatch: pytest.MonkeyPatch, sources: Path) -> None:
    """The zip has the integration's files at its root."""
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
