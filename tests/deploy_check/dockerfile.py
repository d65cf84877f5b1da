"""The instructions of the Dockerfile. An unknown one is an error: to leave out a step would prove nothing."""

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.support.preloaded_processes import ROOT

_FILE = ROOT / "deploy" / "Dockerfile"
_KNOWN = {"ARG", "RUN", "COPY", "WORKDIR", "ENV", "USER", "VOLUME", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD"}


class NotUnderstood(Exception):
    """The Dockerfile uses something that this parser does not know."""


@dataclass(frozen=True, slots=True)
class Step:
    instruction: str
    rest: str

    @property
    def words(self) -> list[str]:
        """The arguments, of the form with brackets or of the other one."""
        if self.rest.startswith("["):
            words: list[str] = json.loads(self.rest)
            return words
        return shlex.split(self.rest)


@dataclass(slots=True)
class Stage:
    base: str
    name: str
    steps: list[Step] = field(default_factory=list)

    def last(self, instruction: str) -> Step | None:
        return next((step for step in reversed(self.steps) if step.instruction == instruction), None)


def stages(text: str = "") -> list[Stage]:
    found: list[Stage] = []
    for instruction, rest in _instructions(text or _FILE.read_text()):
        if instruction == "FROM":
            words = re.fullmatch(r"(\S+)(?: AS (\S+))?", rest)
            if words is None:
                raise NotUnderstood(f"FROM {rest}")
            found.append(Stage(words[1], words[2] or ""))
        elif instruction in _KNOWN and found:
            found[-1].steps.append(Step(instruction, rest))
        else:
            raise NotUnderstood(f"{instruction} {rest}")
    return found


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        instruction, _, rest = line.strip().partition(" ")
        yield instruction, re.sub(r"\s+", " ", rest.strip())


def copied(step: Step) -> tuple[str, list[str], str]:
    """The stage that a COPY takes from, or nothing for the checkout; what it takes; and where it goes."""
    words = step.words
    stage = ""
    if words[0].startswith("--from="):
        stage = words.pop(0).partition("=")[2]
    if any(word.startswith("--") or "*" in word for word in words):
        raise NotUnderstood(f"COPY {step.rest}")
    return stage, words[:-1], words[-1]


def is_in_context(source: str) -> bool:
    """Whether Dockerfile.dockerignore, which ignores all but its exceptions, lets a COPY have this."""
    lines = _FILE.with_name("Dockerfile.dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    if rules[0] != "*" or not all(rule.startswith("!") for rule in rules[1:-1]) or rules[-1] != "**/__pycache__":
        raise NotUnderstood("Dockerfile.dockerignore")
    return f"!{source}" in rules


def problems() -> list[str]:
    taken = [source for stage in stages() for step in stage.steps if step.instruction == "COPY"
             for origin, sources, _ in [copied(step)] if not origin for source in sources]  # fmt: skip
    missing = [source for source in taken if not (ROOT / source).exists()]
    ignored = [source for source in taken if not is_in_context(source)]
    return [*(f"COPY {source}: not there" for source in missing), *(f"COPY {source}: ignored" for source in ignored)]
