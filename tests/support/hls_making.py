"""An `hls` job whose parts a test makes one after the other, and what files/ID/hls/ shows of it meanwhile."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.test import Client

from media_jobs.ffmpeg.binary import find
from media_jobs.ffmpeg.command import Command
from media_jobs.ffmpeg.probing.media_facts import Facts
from media_jobs.ffmpeg.sandbox import Sandbox
from media_jobs.ffmpeg.toolbox import Toolbox
from media_jobs.models import Job, Worker
from media_jobs.operations import get, parse
from media_jobs.operations.base import Input, Outcome, Output, Work
from media_jobs.operations.divisible import Again, DivisibleOperation, DonePart
from media_jobs.queue import children, leases, outcomes
from media_jobs.queue.artifacts import StoredOutput
from media_jobs.queue.leases import Lease
from media_jobs.queue.submission import Order, submit
from media_jobs.worker import scratch
from media_jobs.worker.inputs import Inputs
from media_jobs.worker.outputs import Outputs
from tests.support.hls_rules import MediaPlaylist, read_media_playlist
from tests.support.job_rows import a_worker, claimed
from tests.support.local_store import an_owner, upload
from uploads.models import MediaFile
from uploads.transfers.made_files import deposit

_HEIGHTS = {"heights": [48]}
_SPEED = "10"  # seconds of the film in a second: segments are finished while others are still encoded


class SlowTools(Toolbox):
    """ffmpeg reads no faster than this, however fast the machine is."""

    def ffmpeg(self, command: Command, **options: Any) -> str:
        [source] = command.sources
        slow = replace(source, options=("-readrate", _SPEED, *source.options))
        return super().ffmpeg(replace(command, sources=[slow]), **options)


class WatchedOutputs(Outputs):
    """Calls `look` after each checkpoint."""

    look: Callable[[], object]

    def keep(self, output: Output) -> None:
        super().keep(output)
        self.look()


class Making:
    """A file, its job, and the workers that make its parts."""

    def __init__(self, path: Path, facts: Facts, sandbox: Sandbox, folder: Path) -> None:
        folder.mkdir()
        self._path, self._facts, self._sandbox, self._folder = path, facts, sandbox, folder
        operation = get("hls")
        assert isinstance(operation, DivisibleOperation)
        self._operation = operation
        self.owner = an_owner("alice")
        self.file: MediaFile = upload(self.owner, path.read_bytes(), path.name)
        self.client = Client()
        self.client.force_login(self.owner)
        self.job = self._submit()
        self._bulk, self._heavy = a_worker("bulk"), a_worker("heavy")

    def _submit(self) -> Job:
        return submit(Order.parse(self.owner, "hls", _HEIGHTS, file=self.file))[0]

    def _work(self) -> Work[Any]:
        return self._work_with(self._tools(Toolbox))

    def _tools(self, kind: type[Toolbox]) -> Toolbox:
        folder = self._folder / f"work{len(list(self._folder.iterdir()))}"
        folder.mkdir(mode=0o700)
        return kind(find(), self._sandbox, folder, 2, lambda: None, lambda _: None)

    def _work_with(self, tools: Toolbox) -> Work[Any]:
        params = parse(self._operation, _HEIGHTS)
        return Work(params, Input(self._path, self._path.name, "video", self._facts), [], tools.folder, tools, 2)

    def claim(self, worker: Worker | None = None) -> Lease:
        return claimed(worker or self._heavy)

    def split(self) -> None:
        parts = self._operation.split(self._work(), 1)
        assert not isinstance(parts, Outcome)
        outcomes.split(self.claim(self._bulk), parts, {})

    def split_again(self) -> None:
        """After the head was made: into all parts, of which copies are there already."""
        lease, work = self.claim(self._bulk), self._work()
        parts = self._operation.join(work, self._made(work.folder))
        assert not isinstance(parts, Outcome | Again)
        done = {number: part for number, part in enumerate(parts) if part.outputs}
        outcomes.split(lease, parts, {number: self._store(lease, part.outputs) for number, part in done.items()})

    def make_head(self) -> None:
        self.make_part(self._bulk)

    def make_part(self, worker: Worker | None = None) -> None:
        self.finish_part(self.claim(worker))

    def finish_part(self, lease: Lease) -> None:
        self._attempt(lease, self._tools(Toolbox), lambda: None)

    def make_slowly(self, lease: Lease, look: Callable[[], object] = lambda: None) -> None:
        """Make a part more slowly, and call `look` after each checkpoint."""
        self._attempt(lease, self._tools(SlowTools), look)

    def _attempt(self, lease: Lease, tools: Toolbox, look: Callable[[], object]) -> None:
        """As a worker does it."""
        outputs = WatchedOutputs(lease, tools, lambda: None)
        outputs.look = look
        outcome = self._operation.run_part(replace(self._work_with(tools), checkpoints=outputs), lease.job.part or {})
        found = [tools.verify(output.path, output.expected) for output in outcome.outputs]
        outcomes.finish_child(lease, outputs.store(outcome.outputs, found), message="", ran={})

    def join(self) -> None:
        lease, work = self.claim(self._bulk), self._work()
        outcome = self._operation.join(work, self._made(work.folder))
        assert isinstance(outcome, Outcome)
        outcomes.finish(lease, self._store(lease, outcome.outputs), facts=None, message=outcome.message, ran={})

    def _made(self, folder: Path) -> list[DonePart]:
        with Inputs(lambda: None, lambda _: None) as inputs:
            found = [scratch.bring(child, folder, inputs) for child in children.children_of(self.job)]
        return [part for part in found if part is not None]

    def _store(self, lease: Lease, outputs: Any) -> list[StoredOutput]:
        leases.reserve_keys(lease, len(outputs))
        return [self._stored(output, lease.key(number)) for number, output in enumerate(outputs)]

    def _stored(self, output: Output, key: str) -> StoredOutput:
        copy = output.path.with_suffix(".stored")
        copy.write_bytes(output.path.read_bytes())
        return StoredOutput(output.name, key, deposit(copy, key, output.kind, output.media_type, lambda: None), {})

    def get(self, name: str, client: Client | None = None) -> Any:
        return (client or self.client).get(f"/api/v1/files/{self.file.pk}/hls/{name}")

    def text(self, name: str) -> str:
        answer = self.get(name)
        assert answer.status_code == 200, answer.content
        return str(answer.content.decode())

    def playlist(self, name: str) -> MediaPlaylist:
        return read_media_playlist(self.text(f"{name}.m3u8"))

    def segments(self, name: str) -> list[bytes]:
        return [b"".join(self.get(part).streaming_content) for part in self.playlist(name).names]

    def init(self, name: str) -> bytes:
        return b"".join(self.get(f"{name}/init.mp4").streaming_content)
