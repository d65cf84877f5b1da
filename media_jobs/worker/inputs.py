"""The inputs of an attempt as files of this machine: of a local store, or fetched from a store in the network."""

import shutil
import time
from collections.abc import Callable, Collection
from contextlib import ExitStack, suppress
from functools import cache, partial
from pathlib import Path

from uploads.models import Blob, MediaFile
from uploads.runtime.boot_id import BOOT_ID
from uploads.sinks.local.sink import LocalSink
from uploads.storage.blobs import local_path, open_blob
from uploads.storage.stores import sinks
from uploads.text.sizes import human_size
from uploads.text.times import human_time
from uploads.transfers.disk_space import free_above_floor

from ..conf import jobs
from ..errors import ContentLost
from ..queue.scheduling import Room
from .fetch import Source, fetch
from .input_cache import InputCache


def room() -> Room | None:
    """The space of this host for inputs. None: all stores are on its disks."""
    if all(isinstance(sink, LocalSink) for sink in sinks()):
        return None
    return _cache().room()


def free_disk() -> None:
    """Below MIN_FREE no job starts: remove fetched inputs that no job uses, which may be what takes the space."""
    if _free() == 0:
        _remove_of_earlier_boots()
        with suppress(OSError):  # a lock that another slot holds for long; or there is no space for a folder
            _cache().shrink()


def sweep_inputs() -> int:
    """Remove fetched inputs whose files were deleted, and what crashes have left. Returns how many there were."""
    removed = _remove_of_earlier_boots()
    with suppress(TimeoutError):
        removed += _cache().remove(_stored)
    return removed


def _remove_of_earlier_boots() -> int:
    root = jobs().inputs_root
    found = [folder for folder in root.iterdir() if folder != _cache().root] if root.exists() else []
    for folder in found:
        shutil.rmtree(folder, ignore_errors=True)
    return len(found)


def _stored(hashes: Collection[str]) -> Collection[str]:
    return set(Blob.objects.filter(sha256__in=hashes).values_list("sha256", flat=True))


@cache
def _cache() -> InputCache:
    """A folder for each boot of the machine: files are not synced, so after a power cut their content is unknown."""
    root = jobs().inputs_root
    return InputCache(root / (BOOT_ID or "unknown-boot"), _free, jobs().scratch_size)


def _free() -> int:
    root = jobs().inputs_root
    return free_above_floor(next(folder for folder in (root, *root.parents) if folder.exists()))


class Inputs(ExitStack):
    """Keeps the files that it has given, until the attempt is over."""

    def __init__(self, check: Callable[[], None], report: Callable[[str], None]) -> None:
        super().__init__()
        self._check, self._report = check, report

    def path_of(self, file: MediaFile) -> Path:
        """Raises ContentLost, or NoScratch if there is no room to fetch it."""
        if file.blob.state != Blob.State.STORED:
            raise _lost(file)
        if (path := local_path(file.blob)) is None:
            blob = file.blob
            return self.fetched(Source(file.name, blob.sha256, blob.size, partial(open_blob, blob)))
        if not path.exists():
            raise _lost(file)
        return path

    def fetched(self, source: Source) -> Path:
        """The path of content from a store in the network. Raises ContentLost, or NoScratch."""
        meter = _Meter(source.size, self._report)

        def on_arrival(arrived: int) -> None:
            self._check()
            meter.show(arrived)

        held = _cache().held(source.sha256, source.size, lambda fd: fetch(source, fd, on_arrival), self._check)
        return self.enter_context(held)


class _Meter:
    """Says how far a fetch is, for those who watch the job."""

    def __init__(self, size: int, report: Callable[[str], None]) -> None:
        self._size, self._report = size, report
        self._began = time.monotonic()

    def show(self, arrived: int) -> None:
        speed = arrived / max(0.001, time.monotonic() - self._began)
        left = f", {human_time(max(1, (self._size - arrived) / speed))} left" if speed else ""
        done = f"{human_size(arrived)} ({100 * arrived / self._size:.0f} %)"
        self._report(f"Fetching: {done} at {human_size(speed)}/s{left}")


def _lost(file: MediaFile) -> ContentLost:
    return ContentLost(f"The content of {file.name} is missing on the server. Ask your administrator.")
