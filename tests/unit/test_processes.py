"""The process tree: what falls is started again, and what cannot stand takes the tree down, with words."""

import sys
from pathlib import Path

import pytest

from config.processes import Child, Tree


def test_a_child_that_falls_is_started_again(tmp_path: Path) -> None:
    stumble = f"[ -e {tmp_path}/fell ] && exec sleep 60; touch {tmp_path}/fell; exit 1"
    child = Child("stumbling", ["/bin/sh", "-c", stumble])
    child.start()
    assert child.process is not None
    assert child.process.wait(20) == 1
    child.revive()
    assert child.process.poll() is None
    child.process.kill()
    child.process.wait()


def test_a_child_that_cannot_stand_ends_the_tree_and_the_others(capfd: pytest.CaptureFixture[str]) -> None:
    lasting = Child("lasting", [sys.executable, "-c", "import time; time.sleep(600)"])
    with pytest.raises(RuntimeError, match="broken ends as soon as it starts"):
        Tree([lasting, Child("broken", [sys.executable, "-c", "raise SystemExit(3)"])]).run()
    assert lasting.process is not None
    assert lasting.process.poll() is not None
