"""Test that the files and scripts in CONTRIBUTING.md exist."""

from pathlib import Path
import re

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "custom_components" / "metaapi"
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
CODE = re.findall(r"`([^`]+)`", PAGE)
INDENTED = re.findall(r"^    (\S.*)$", PAGE, re.MULTILINE)
# Created by the set-up, examples, and files that users create
ELSEWHERE = (".venvs", "fr.json", "report.md")


def test_files_exist() -> None:
    """Everything that looks like a file exists in the repository or in the integration."""
    words = {word for text in CODE for word in text.split()}
    files = {
        word.partition("::")[0]
        for word in words
        if re.fullmatch(
            r"[\w./-]+\.(py|md|json|yaml|toml)|(tests|scripts|\.ci)/[\w./-]+", word
        )
        and not word.startswith(ELSEWHERE)
    }
    assert len(files) > 30
    assert {
        file
        for file in files
        if not (ROOT / file).exists() and not (PACKAGE / file).exists()
    } == set()


def test_every_script_is_described() -> None:
    """No script is missing."""
    scripts = {
        f"scripts/{path.name}"
        for path in (ROOT / "scripts").iterdir()
        if path.is_file() and path.stat().st_mode & 0o100
    }
    described = {word for text in [*CODE, *INDENTED] for word in text.split()}
    assert scripts <= described
