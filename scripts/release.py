"""See that a tag may become a release, and build what the release needs."""

import argparse
import json
from pathlib import Path
import sys
import tomllib
import zipfile

ROOT = Path(__file__).resolve().parents[1]


def main(root: Path = ROOT) -> int:
    """Compare the tag with what the sources say; return 0 when it is theirs."""
    parser = argparse.ArgumentParser(prog="scripts/release", description=__doc__)
    parser.add_argument("tag", help="such as v1.2.3")
    tag = parser.parse_args().tag
    folder = root / "custom_components" / "metaapi"
    versions = {
        "manifest.json": read(folder / "manifest.json")["version"],
        "pyproject.toml": tomllib.loads((root / "pyproject.toml").read_text())[
            "project"
        ]["version"],
    }
    if wrong := [
        f"{version} in {name}"
        for name, version in versions.items()
        if tag != f"v{version}"
    ]:
        print(
            f"The tag is {tag}, but the version is {' and '.join(wrong)}.",
            file=sys.stderr,
        )
        return 1
    if f"\n## {tag.removeprefix('v')}\n" not in (root / "CHANGELOG.md").read_text():
        print(f"CHANGELOG.md does not say what changed in {tag}.", file=sys.stderr)
        return 1
    print(f"The tag {tag} is the version of the sources.")
    hacs = read(root / "hacs.json")
    if hacs.get("zip_release"):
        print(f"Built {pack(folder, root / 'dist' / hacs['filename'])}.")
    return 0


def read(path: Path) -> dict[str, str]:
    """Read a JSON file."""
    content: dict[str, str] = json.loads(path.read_text())
    return content


def pack(folder: Path, archive: Path) -> Path:
    """Put the integration's files at the root of an archive, as the marketplace wants them."""
    archive.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                file.write(path, path.relative_to(folder))
    return archive


if __name__ == "__main__":
    sys.exit(main())
