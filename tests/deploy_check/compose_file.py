"""compose.yaml: its schema, and whether what it names is there."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.support.preloaded_processes import ROOT

DEPLOY = ROOT / "deploy"
_FILE = DEPLOY / "compose.yaml"
_OURS = ("millrace:latest", "millrace:inference")
_PINNED = re.compile(r"[a-z0-9./-]+:\d+(\.\d+)+(-\w+)?")
_VARIABLE = re.compile(r"\$\{(\w+)(:[-?])?")


@cache
def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = _document()["services"]
    return found


@cache
def _document() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(_FILE.read_text())
    return found


def commands() -> dict[str, list[str]]:
    """The arguments that each role of our image gets, without the variables."""
    return {
        name: [filled(word, {}) for word in service["command"]]
        for name, service in services().items()
        if service["image"] in _OURS and "entrypoint" not in service
    }


def filled(text: str, variables: dict[str, str]) -> str:
    """With the values of variables, or their defaults."""
    return re.sub(r"\$\{(\w+)(?::-([^}]*)|:\?[^}]*)?\}", lambda found: variables.get(found[1], found[2] or ""), text)


def environment(variables: dict[str, str]) -> dict[str, str]:
    """The environment of our image."""
    return {name: filled(value, variables) for name, value in services()["web"]["environment"].items()}


def settings() -> set[str]:
    """The names of Millrace's settings in the environment of our image."""
    return {name for service in services().values() for name in service.get("environment", {}) if "MILLRACE_" in name}


def problems() -> list[str]:
    return [*schema_problems(), *_images(), *_variables(), *_dependencies(), *_names(), *_files()]


def schema_problems(path: Path = _FILE) -> list[str]:
    """By the schema of the Compose specification, which the package check-jsonschema ships."""
    command = [str(Path(sys.executable).with_name("check-jsonschema")), "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*command, str(path)], capture_output=True, text=True)
    return [done.stdout + done.stderr] if done.returncode else []


def _images() -> Iterator[str]:
    for name, service in services().items():
        if service["image"] not in _OURS and not _PINNED.fullmatch(service["image"]):
            yield f"{name}: the image {service['image']} is not pinned to a version"
        if service["image"] in _OURS and not (DEPLOY / service["build"]["dockerfile"].rpartition("/")[2]).exists():
            yield f"{name}: no Dockerfile"


def _variables() -> Iterator[str]:
    """make-env must write each variable that has no default."""
    written = set(re.findall(r"^#?(\w+)=", (DEPLOY / "make-env").read_text(), re.MULTILINE))
    text = "\n".join(line for line in _FILE.read_text().splitlines() if not line.lstrip().startswith("#"))
    for name, kind in _VARIABLE.findall(text):
        if name not in written:
            yield f"make-env does not know {name}"
        if not kind:
            yield f"{name} has no default, and compose would use an empty one"


def _dependencies() -> Iterator[str]:
    for name, service in services().items():
        for other, how in service.get("depends_on", {}).items():
            checked = "healthcheck" in services().get(other, {}) or services().get(other, {}).get("image") in _OURS
            if other not in services():
                yield f"{name} depends on {other}, which is no service"
            elif how["condition"] == "service_healthy" and not checked:
                yield f"{name} waits for the health of {other}, which has no health check"
            elif how["condition"] == "service_completed_successfully" and "restart" in services()[other]:
                yield f"{name} waits for the end of {other}, which is restarted"


def _names() -> Iterator[str]:
    """Volumes, networks and configs: all that are used are declared, and the other way round."""
    for kind in ("volumes", "networks", "configs"):
        used = {name for service in services().values() for name in map(_source, service.get(kind, []))}
        declared = set(_document()[kind])
        unlike = {name for name in used ^ declared if not name.startswith(".")}
        yield from (f"{kind}: {name} is used and not declared, or declared and not used" for name in sorted(unlike))


def _source(entry: "str | dict[str, Any]") -> str:
    return str(entry["source"]) if isinstance(entry, dict) else entry.partition(":")[0]


def _files() -> Iterator[str]:
    mounted = {_source(entry) for service in services().values() for entry in service.get("volumes", [])}
    profiles = {
        option.partition(":")[2]
        for service in services().values()
        for option in service.get("security_opt", [])
        if option.startswith("seccomp:")
    }
    for name in [*(name for name in mounted if name.startswith(".")), *profiles]:
        if not (DEPLOY / name).exists():
            yield f"there is no file {name}"


def refused_calls() -> list[str]:
    """The system calls that the workers' seccomp profile refuses."""
    profile = json.loads((DEPLOY / "seccomp-worker.json").read_text())
    assert profile["defaultAction"] == "SCMP_ACT_ALLOW"
    return [name for rule in profile["syscalls"] if rule["action"] == "SCMP_ACT_ERRNO" for name in rule["names"]]
