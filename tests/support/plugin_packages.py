"""Packages with plug-ins, as an installer leaves them in a folder for PYTHONPATH. Nothing is downloaded."""

import subprocess
import sys
import zipfile
from pathlib import Path
from shutil import copytree

from tests.support.preloaded_processes import ROOT

_BUILD = [sys.executable, "-c", "import setuptools.build_meta; setuptools.build_meta.build_wheel('.')"]


def install_example(folder: Path, name: str = "example_plugin") -> Path:
    """Build the wheel of an example package and install it. Returns the folder for PYTHONPATH."""
    source = copytree(ROOT / "tests" / name, folder / "source")  # building leaves files beside it
    subprocess.run(_BUILD, cwd=source, check=True, capture_output=True)
    [wheel] = source.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:  # an installer does no more with a wheel that has Python code alone
        packed.extractall(folder / "site")
    return folder / "site"


def install_package(
    site: Path, name: str, point: str, version: str = "1.0", group: str = "millrace.operations"
) -> None:
    """The metadata of an installed package with one entry point."""
    metadata = site / f"{name.replace('-', '_')}-{version}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (metadata / "entry_points.txt").write_text(f"[{group}]\n{point}\n")
