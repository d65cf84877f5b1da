"""Prints the extras of pyproject.toml, each on a line with the packages that it asks for: `make lock` reads them."""

import tomllib
from pathlib import Path

if __name__ == "__main__":
    project = tomllib.loads((Path(__file__).resolve().parents[2] / "pyproject.toml").read_text())["project"]
    for extra, packages in project["optional-dependencies"].items():
        print(extra, *packages)  # noqa: T201
