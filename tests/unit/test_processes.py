"""The process tree: what falls is started again, and what cannot stand takes the tree down, with words."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from config.processes import reports, supervisor
from config.processes.supervisor import CannotStart, Child, Tree
from media_jobs.worker.process_table import process_troubles
from tests.support.waiting import wait_until

LASTING = [sys.executable, "-c", "import time; time.sleep(600)"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, settings: Any) -> Iterator[Path]:
    """A home of its own, and afterwards the signals of before."""
    settings.HOME = tmp_path
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield tmp_path
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def run_beside(tree: Tree, story: Callable[[], object]) -> None:
    """Run the tree until the story, which another thread tells, has come to its end."""
    failed = list[BaseException]()

    def tell() -> None:
        try:
            story()
        except BaseException as error:  # told to the test
            failed.append(error)
        tree._stop(signal.SIGTERM, None)

    teller = threading.Thread(target=tell)
    teller.start()
    tree.run()
    teller.join()
    if failed:
        raise failed[0]


def pid_of(child: Child) -> int | None:
    return child.process.pid if child.process is not None else None


def test_a_child_that_falls_is_started_again(home: Path) -> None:
    stumble = f"[ -e {home}/fell ] && exec sleep 60; touch {home}/fell; exit 1"
    child = Child("stumbling", ["/bin/sh", "-c", stumble])
    child.start()
    assert child.process is not None
    assert child.process.wait(20) == 1
    wait_until(lambda: child.restart_if_ended() and child.process)
    assert (child.restarts, child.code) == (1, 1)
    assert child.process.poll() is None
    child.process.kill()
    child.process.wait()


@pytest.mark.parametrize("command", [[sys.executable, "-c", "raise SystemExit(3)"], ["/nowhere/python"]])
def test_a_child_that_cannot_stand_ends_a_tree_that_was_never_up(command: list[str], home: Path) -> None:
    lasting = Child("lasting", LASTING)
    with pytest.raises(CannotStart, match="broken ends as soon as it starts"):
        Tree("test", [lasting, Child("broken", command)]).run()
    assert lasting.process is not None
    assert lasting.process.poll() is not None
    assert list((home / "run").iterdir()) == []


def test_a_tree_that_was_up_never_gives_up(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_EARLY", 1.0)
    monkeypatch.setattr(supervisor, "_FIRST_PAUSE", 0.01)
    lasting, shaky = (
        Child("lasting", LASTING),
        Child("shaky", ["/bin/sh", "-c", f"[ -e {home}/up ] && exec sleep 60"]),
    )
    tree = Tree("test", [lasting, shaky])
    (home / "up").touch()

    def story() -> None:
        wait_until(lambda: tree._has_been_up)
        before = pid_of(lasting)
        (home / "up").unlink()
        os.kill(pid_of(shaky) or 0, signal.SIGKILL)
        wait_until(lambda: shaky.early_deaths > supervisor._MAX_EARLY_DEATHS)
        assert pid_of(lasting) == before
        (home / "up").touch()
        wait_until(shaky.has_lasted)
        [_, said] = reports.read()
        assert (said.name, said.pid, said.restarts, said.code) == ("shaky", pid_of(shaky), shaky.restarts, 1)
        [words] = process_troubles()
        assert words.startswith(f"The process shaky was restarted {shaky.restarts} times. It last ended ")

    run_beside(tree, story)


def test_one_that_is_not_essential_ends_no_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_FIRST_PAUSE", 0.01)
    slot = Child("slot", ["/bin/false"], essential=False)
    run_beside(Tree("test", [slot]), lambda: wait_until(lambda: slot.early_deaths > supervisor._MAX_EARLY_DEATHS))


def test_the_pauses_of_one_that_keeps_falling_double_up_to_half_a_minute() -> None:
    child, pauses = Child("falling", []), []
    child._started = time.monotonic()
    for _ in range(10):
        child._note_end(1)
        pauses.append(child._due - time.monotonic())
    assert pauses == pytest.approx([0.25, 0.5, 1, 2, 4, 8, 16, 30, 30, 30], abs=0.1)
    child._started -= 60
    child._note_end(1)
    assert child._due <= time.monotonic()


def test_one_that_waits_for_its_next_start_keeps_no_other_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_FIRST_PAUSE", 600.0)
    monkeypatch.setattr(supervisor, "_LONGEST_PAUSE", 600.0)
    broken, other = Child("broken", ["/bin/false"]), Child("other", LASTING)

    def story() -> None:
        wait_until(lambda: broken.early_deaths)
        before = pid_of(other)
        other._started -= 60  # it has run for a minute
        os.kill(before or 0, signal.SIGKILL)
        wait_until(lambda: pid_of(other) not in {before, None})
        assert process_troubles()[0].startswith("The process broken is down. It ended ")

    run_beside(Tree("test", [broken, other]), story)
