"""Check that a tag may be released, and build the archive for the release."""

import argparse
from collections.abc import Iterator
import json
from pathlib import Path
import sys
import tomllib
import zipfile

from .languages import lagging

ROOT = Path(__file__).resolve().parents[1]


def main(root: Path = ROOT) -> int:
    """Compare the tag with the sources; return the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/release", description=__doc__)
    parser.add_argument("tag", help="such as v1.2.3")
    tag = parser.parse_args().tag
    folder = root / "custom_components" / "metaapi"
    if reasons := list(obstacles(root, folder, tag)):
        print(f"The tag {tag} is not released:", *reasons, sep="\n  ", file=sys.stderr)
        return 1
    print(f"The tag {tag} is the version of the sources.")
    hacs = json.loads((root / "hacs.json").read_text())
    if hacs.get("zip_release"):
        print(f"Built {pack(folder, root / 'dist' / hacs['filename'])}.")
    return 0


def obstacles(root: Path, folder: Path, tag: str) -> Iterator[str]:
    """Yield the reasons why the tag cannot be released."""
    manifest = json.loads((folder / "manifest.json").read_text())
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    for version, name in (
        (manifest["version"], "manifest.json"),
        (project["version"], "pyproject.toml"),
    ):
        if tag != f"v{version}":
            yield f"the version is {version} in {name}"
    if f"\n## {tag.removeprefix('v')}\n" not in (root / "CHANGELOG.md").read_text():
        yield "CHANGELOG.md has no section for this version"
    for language, lacks in lagging(folder / "translations").items():
        yield from (f"{language}.json: {lack}" for lack in lacks)


def pack(folder: Path, archive: Path) -> Path:
    """Build an archive with the integration's files at its root, as HACS expects."""
    archive.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                file.write(path, path.relative_to(folder))
    return archive


if __name__ == "__main__":
    sys.exit(main())
