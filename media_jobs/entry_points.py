"""Plug-ins: operations and detectors of installed packages, which name them as entry points in a group of ours.

A plug-in that cannot be used is left out and reported: it stops neither the service nor other plug-ins.
docs/plugins.md describes what a package must have.
"""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

import structlog

log = structlog.get_logger(__name__)
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}", re.ASCII)  # it is part of addresses, commands and columns
_LONGEST_REASON = 300

T = TypeVar("T")


class _Unusable(Exception):
    """Why a plug-in cannot be used, as a sentence for administrators."""


@dataclass(frozen=True, slots=True)
class BrokenPlugin:
    name: str  # of its entry point, which is that of what it adds
    package: str  # "millrace-contact-sheet 1.0"
    reason: str


@dataclass(frozen=True, slots=True)
class Plugins(Generic[T]):
    found: dict[str, T]
    broken: Sequence[BrokenPlugin]
    packages: dict[str, str] = field(default_factory=dict)  # of those that were found


@dataclass(frozen=True, slots=True)
class PluginGroup(Generic[T]):
    name: str  # "millrace.operations"
    base: type[Any]  # which plug-ins are subclasses of, or instances: T
    needs: Sequence[str]  # attributes without a default
    problems: Callable[[T], Iterator[str]]  # what is wrong with one that has them, in sentences

    def load(self, taken: Collection[str]) -> Plugins[T]:
        """Import the plug-ins. `taken`: names that others have already."""
        loaded: Plugins[T] = Plugins({}, broken := [])
        for point in sorted(entry_points(group=self.name), key=lambda point: (point.name, _package_of(point))):
            package = _package_of(point)
            try:
                loaded.found[point.name] = self._load(point, {*taken, *loaded.found})
                loaded.packages[point.name] = package
            except _Unusable as reason:
                broken.append(BrokenPlugin(point.name, package, str(reason)[:_LONGEST_REASON]))
                log.warning("plugin_unusable", plugin=point.name, package=package, exc_info=True)
        return loaded

    def _load(self, point: EntryPoint, taken: Collection[str]) -> T:
        try:
            found = point.load()
            made: T = found() if isinstance(found, type) and issubclass(found, self.base) else found
            problem = next(self._problems(made, point.name, taken), None)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # whatever its code raises, SystemExit included
            raise _Unusable(f"{type(error).__name__}: {error}") from error
        if problem:
            raise _Unusable(problem)
        return made

    def _problems(self, made: Any, name: str, taken: Collection[str]) -> Iterator[str]:
        if not isinstance(made, self.base):
            kind = self.base.__name__
            yield f"It is not {'an' if kind[0] in 'AEIOU' else 'a'} {kind}."
        if missing := [each for each in self.needs if not hasattr(made, each)]:
            yield f"It has no {missing[0]}."
        if made.name != name:
            yield f"Its name is “{made.name}”, but that of its entry point is “{name}”."
        if not _NAME.fullmatch(name):
            yield "Its name must have lower-case letters, digits and _ only, at most 32."
        if name in taken:
            yield f"The name “{name}” is taken by another {self.base.__name__.lower()}."
        yield from self.problems(made)


def _package_of(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else point.value
