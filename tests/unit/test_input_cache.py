"""The folder of fetched inputs: one fetch for all who want the same, a budget, and nothing half after a crash."""

import hashlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from media_jobs.errors import Cancelled, NoScratch
from media_jobs.queue.scheduling import Room
from media_jobs.worker.input_cache import InputCache
from tests.support.child_programs import be_killed_while_fetching
from tests.support.preloaded_processes import ROOT
from tests.support.run import command_for
from tests.support.waiting import wait_until

PLENTY = 10**12


def content(name: str, size: int = 100) -> tuple[str, int, bytes]:
    data = name.encode() * size
    return hashlib.sha256(data).hexdigest(), len(data), data


def cache_in(folder: Path, most: int | None = 1000, free: int = PLENTY) -> InputCache:
    return InputCache(folder / "inputs", lambda: free, most)


def writer_of(data: bytes) -> Callable[[int], None]:
    return lambda fd: None if os.pwrite(fd, data, 0) == len(data) else pytest.fail("short")


def go_on() -> None:
    """Nothing asks the attempt to stop."""


def use(cache: InputCache, name: str, size: int = 100) -> None:
    sha256, length, data = content(name, size)
    with cache.held(sha256, length, writer_of(data), go_on) as path:
        assert path.read_bytes() == data


def names(cache: InputCache) -> set[str]:
    return {path.name for path in cache.root.iterdir()} - {"lock"}


def test_an_input_is_fetched_once_and_kept(tmp_path: Path) -> None:
    cache = cache_in(tmp_path)
    use(cache, "a")
    with cache.held(*content("a")[:2], lambda fd: pytest.fail("fetched again"), go_on) as path:
        assert path.read_bytes() == content("a")[2]
        assert path.stat().st_mode & 0o777 == 0o600


def test_those_go_first_that_were_not_used_for_longest(tmp_path: Path) -> None:
    cache = cache_in(tmp_path, most=300)
    for name in "abc":
        use(cache, name)
        os.utime(cache.root / content(name)[0], (ord(name), ord(name)))
    use(cache, "a")
    use(cache, "d")
    assert names(cache) == {content(name)[0] for name in "acd"}


def test_what_is_in_use_stays_and_a_larger_one_finds_no_room(tmp_path: Path) -> None:
    cache = cache_in(tmp_path, most=250)
    sha256, length, data = content("a")
    with cache.held(sha256, length, writer_of(data), go_on) as path:
        use(cache, "b")
        use(cache, "c")  # instead of b
        with pytest.raises(NoScratch):
            use(cache, "d", 151)
        assert path.read_bytes() == data
    use(cache, "d", 151)


def test_room_is_what_nobody_uses_and_larger_inputs_that_are_here_are_named(tmp_path: Path) -> None:
    cache = cache_in(tmp_path, most=250)
    assert cache.room().size == 250
    use(cache, "b")
    assert cache.room().size == 250
    sha256, length, data = content("a", 200)
    with cache.held(sha256, length, writer_of(data), go_on):
        assert cache.room().size == 50
        assert cache.room().here == [sha256]
    assert cache.room().size == 250


def test_there_is_no_room_where_no_folder_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "inputs").write_text("a file in its place")
    assert cache_in(tmp_path).room() == Room(0)


def test_without_a_size_inputs_take_half_of_the_disk(tmp_path: Path) -> None:
    cache = cache_in(tmp_path, most=None, free=300)
    assert cache.room().size == 150
    with pytest.raises(NoScratch):
        use(cache, "a", 151)
    use(cache, "a", 150)


def test_a_disk_with_less_space_than_the_size_counts(tmp_path: Path) -> None:
    cache = cache_in(tmp_path, most=1000, free=99)
    assert cache.room().size == 99
    with pytest.raises(NoScratch):
        use(cache, "a", 100)


def test_on_a_full_disk_those_go_that_nobody_uses_until_something_is_free(tmp_path: Path) -> None:
    cache = cache_in(tmp_path)
    for name in "abc":
        use(cache, name)
        os.utime(cache.root / content(name)[0], (ord(name), ord(name)))
    assert cache.shrink() == 0
    full = InputCache(cache.root, lambda: len(names(cache)) < 2, 1000)
    sha256, length, data = content("b")
    with full.held(sha256, length, writer_of(data), go_on):
        os.utime(cache.root / sha256, (0, 0))
        assert full.shrink() == 2
    assert names(cache) == {sha256}


def test_two_who_want_the_same_fetch_it_once(tmp_path: Path) -> None:
    cache, may_end, fetches = cache_in(tmp_path), threading.Event(), list[str]()
    sha256, length, data = content("a")

    def slowly(fd: int) -> None:
        fetches.append("fetch")
        may_end.wait(30)
        os.pwrite(fd, data, 0)

    def get(found: list[bytes]) -> None:
        with cache.held(sha256, length, slowly, go_on) as path:
            found.append(path.read_bytes())

    found = list[bytes]()
    threads = [threading.Thread(target=get, args=(found,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    wait_until(lambda: fetches)
    assert names(cache) == {f"{sha256}.partial"}
    may_end.set()
    for thread in threads:
        thread.join()
    assert found == [data] * 3
    assert fetches == ["fetch"]


def test_who_waits_for_another_to_fetch_can_be_cancelled(tmp_path: Path) -> None:
    cache, began, may_end = cache_in(tmp_path), threading.Event(), threading.Event()
    sha256, length, data = content("a")

    def slowly(fd: int) -> None:
        began.set()
        may_end.wait(30)

    def stop() -> None:
        raise Cancelled

    def get() -> None:
        with cache.held(sha256, length, slowly, go_on):
            pass

    thread = threading.Thread(target=get)
    thread.start()
    assert began.wait(30)
    with pytest.raises(Cancelled), cache.held(sha256, length, writer_of(data), stop):
        pass
    may_end.set()
    thread.join()


def test_a_fetch_that_fails_leaves_nothing(tmp_path: Path) -> None:
    cache = cache_in(tmp_path)
    sha256, length, _ = content("a")

    def fail(fd: int) -> None:
        os.pwrite(fd, b"half", 0)
        raise Cancelled

    with pytest.raises(Cancelled), cache.held(sha256, length, fail, go_on):
        pass
    assert names(cache) == set()
    use(cache, "a")


def test_what_a_killed_fetch_has_left_does_not_count_and_takes_no_room(tmp_path: Path) -> None:
    cache = cache_in(tmp_path, most=100)
    killed = subprocess.run(command_for(be_killed_while_fetching, str(cache.root), *content("a")[:2]), cwd=ROOT)
    assert killed.returncode == -signal.SIGKILL
    assert names(cache) == {f"{content('a')[0]}.partial"}
    assert cache.room().size == 100
    use(cache, "a")
    assert names(cache) == {content("a")[0]}


def test_a_sweep_removes_leftovers_and_what_is_not_needed_but_nothing_in_use(tmp_path: Path) -> None:
    cache = cache_in(tmp_path)
    for name in "abc":
        use(cache, name)
    (cache.root / f"{content('d')[0]}.partial").write_bytes(b"half")
    with ExitStack() as held:
        held.enter_context(cache.held(*content("a")[:2], lambda fd: None, go_on))
        assert cache.remove(lambda found: {content("b")[0]}) == 2
    assert names(cache) == {content("a")[0], content("b")[0]}
