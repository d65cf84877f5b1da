"""The cache that web processes share: it counts exactly, expires, and stays small."""

import os
import signal
import time
from multiprocessing import get_context
from pathlib import Path

import pytest

from config.backends import shared_cache
from config.backends.shared_cache import SharedCache
from config.processes import shared_folder
from tests.support.waiting import wait_until

EACH = 200


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(shared_folder, "path", lambda: tmp_path)
    monkeypatch.setattr(shared_cache, "_connection", shared_cache._Connection())
    return tmp_path


@pytest.fixture
def cache(folder: Path) -> SharedCache:
    return SharedCache("", {"OPTIONS": {"MAX_ENTRIES": 10}})


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    clock = [time.time()]
    monkeypatch.setattr(time, "time", lambda: clock[0])
    return clock


@pytest.mark.parametrize("value", [5, True, 1.5, "text", [1.0, 2.0], None])
def test_what_was_set_is_got(cache: SharedCache, value: object) -> None:
    cache.set("a", value)
    found = cache.get("a", "nothing")
    assert (found, type(found)) == (value, type(value))
    cache.delete("a")
    assert cache.get("a", "nothing") == "nothing"


def test_entries_expire_and_can_then_be_added_again(cache: SharedCache, now: list[float]) -> None:
    assert cache.add("a", 1, timeout=60)
    assert not cache.add("a", 2, timeout=60)
    assert cache.touch("a", timeout=100)
    now[0] += 80
    assert cache.get("a") == 1
    now[0] += 30
    assert cache.get("a") is None
    assert not cache.touch("a", timeout=100)
    with pytest.raises(ValueError, match="no number"):
        cache.incr("a")
    assert cache.add("a", 3, timeout=None)
    now[0] += 10**9
    assert (cache.incr("a"), cache.decr("a", 2)) == (4, 2)
    assert not cache.add("a", 5)


def test_no_count_is_lost_between_processes(cache: SharedCache) -> None:
    cache.set("a", 0)  # by this process, whose connection the others must not use
    processes = [get_context("fork").Process(target=count_up, args=(cache,)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert cache.get("a") == 3 * EACH


def count_up(cache: SharedCache) -> None:
    for _ in range(EACH):
        cache.incr("a")


def test_a_process_that_was_frozen_with_the_lock_keeps_nobody_waiting(cache: SharedCache) -> None:
    cache.set("a", 1)
    holder = get_context("fork").Process(target=hold, daemon=True)
    holder.start()
    assert holder.pid is not None
    wait_until(lambda: is_refused(cache))
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    assert cache.get("a") == 1


def hold() -> None:
    with shared_cache._connection.exclusive():
        time.sleep(600)


def is_refused(cache: SharedCache) -> bool:
    try:
        cache.get("a")
    except TimeoutError:
        return True
    return False


def test_only_the_newest_entries_are_kept(cache: SharedCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_cache, "_CULL_EVERY", 20)
    cache.set("expired", 1, timeout=-1)
    for number in range(1, 30):
        cache.set(str(number), number)
    assert [number for number in range(1, 20) if cache.get(str(number))] == list(range(10, 20))
    cache.clear()
    assert cache.get("29") is None
