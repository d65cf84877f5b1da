"""Operations as a worker runs them: the real ffmpeg in the sandbox, and every output verified."""

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from media_jobs.ffmpeg.binary import find
from media_jobs.ffmpeg.probing.media_facts import Facts
from media_jobs.ffmpeg.probing.probe import probe
from media_jobs.ffmpeg.progress import Report
from media_jobs.ffmpeg.sandbox import Limits, Sandbox
from media_jobs.ffmpeg.toolbox import Toolbox
from media_jobs.operations import get, parse
from media_jobs.operations.base import Input, Work
from media_jobs.understanding.warm_helper import WarmHelper
from tests.support.operation_runs import Done, Operate, OperateOn

from ..support.troubled_clips import clip

THREADS = 2


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The path of a clip by its name. All processes of a run share what one of them has made."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if base.name.startswith("popen-") else base) / "clips"
    folder.mkdir(exist_ok=True)
    return lambda name: clip(name, folder)


@pytest.fixture(scope="session")
def sandbox() -> Sandbox:
    return Sandbox.probe()


@pytest.fixture(scope="session")
def facts_of(clips: Callable[[str], Path], sandbox: Sandbox) -> Callable[[str], Facts]:
    """The facts of a clip, cached for the session."""
    return cache(lambda name: probe(clips(name), sandbox))


@pytest.fixture(scope="session")
def warm_helper(sandbox: Sandbox) -> Iterator[WarmHelper]:
    """It starts a process when an operation asks for one."""
    helper = WarmHelper(lambda: sandbox)
    yield helper
    helper.end()


@pytest.fixture(scope="module")
def helper() -> Iterator[WarmHelper]:
    """One for the tests of a module, in a sandbox that must be complete."""
    made = WarmHelper(lambda: Sandbox.probe("on", find("wheel").path))
    yield made
    made.end()


@pytest.fixture
def operate_on(sandbox: Sandbox, warm_helper: WarmHelper, tmp_path: Path) -> OperateOn:
    folders = (tmp_path / f"work-{number}" for number in range(100))

    def run(
        operation: str,
        path: Path,
        facts: Facts,
        /,
        *,
        kind: str = "video",
        resident: int | None = None,
        models: Mapping[str, str] | None = None,
        **params: Any,
    ) -> Done:
        folder, reports = next(folders), list[Report]()
        folder.mkdir(mode=0o700)
        tools = Toolbox(find(), sandbox, folder, THREADS, lambda: None, reports.append)
        tools.limits = Limits(resident=resident) if resident else None
        found = get(operation)
        main = Input(path, path.name, kind, facts)
        with warm_helper.lend("tests", THREADS, lambda: None) as lent:
            work = Work(parse(found, params), main, [], folder, tools, THREADS, inference=lent, models=models or {})
            outcome = found.run(work)
        outputs = list(outcome.outputs)
        return Done(
            outputs,
            [read for each in outputs if (read := tools.verify(each.path, each.expected)) is not None],
            outcome.facts,
            outcome.message,
            reports,
            outcome.measured,
        )

    return run


@pytest.fixture
def operate(clips: Callable[[str], Path], facts_of: Callable[[str], Facts], operate_on: OperateOn) -> Operate:
    """Run an operation on one of the clips, by its name."""
    return lambda operation, name, /, **options: operate_on(operation, clips(name), facts_of(name), **options)
