"""Stores what an attempt makes: all of it at its end, and finished outputs of a part before, as checkpoints.

A checkpoint belongs to the child and not to the attempt: the next attempt goes on after it, whatever becomes of this
worker.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from django.db import DatabaseError, InterfaceError, OperationalError, close_old_connections

from uploads.storage.blobs import discard
from uploads.transfers.made_files import deposit, withdraw

from ..errors import LeaseLost
from ..ffmpeg.probing.media_facts import Facts
from ..ffmpeg.toolbox import Toolbox
from ..operations.base import Output
from ..queue import children, leases
from ..queue.artifacts import StoredOutput
from ..queue.leases import Lease

_RETRY_AFTER = 0.5  # seconds


class Outputs:
    """`keep` and `names` implement operations.base.Checkpoints. `check` raises when the work must stop."""

    def __init__(self, lease: Lease, tools: Toolbox, check: Callable[[], None]) -> None:
        self._lease, self._tools, self._check = lease, tools, check
        self._used = 0  # keys of the lease
        self.names = children.kept_names(lease.job) if lease.job.part is not None else []

    def keep(self, output: Output) -> None:
        [stored] = self.store([output], [self._tools.verify(output.path, output.expected)])
        try:
            self._patiently(lambda: leases.keep(self._lease, stored))
        except LeaseLost:
            with suppress(DatabaseError):
                discard(stored.key)
            raise
        self.names.append(output.name)

    def store(self, outputs: Sequence[Output], found: Sequence[Facts | None]) -> list[StoredOutput]:
        """Store outputs that were verified, without a row: all of them or none."""
        first, self._used = self._used, self._used + len(outputs)
        self._patiently(lambda: leases.reserve_keys(self._lease, self._used))
        keys = [self._lease.key(number) for number in range(first, self._used)]
        try:
            return [self._store(output, facts, key) for output, facts, key in zip(outputs, found, keys, strict=True)]
        except BaseException:
            withdraw(*keys)
            raise

    def _store(self, output: Output, facts: Facts | None, key: str) -> StoredOutput:
        content = deposit(output.path, key, output.kind, output.media_type, self._check)
        read = facts.model_dump(mode="json") if facts is not None else None
        return StoredOutput(output.name, key, content, read)

    def _patiently(self, write: Callable[[], None]) -> None:
        """Write again while the database is away: a long encode must not end for that. `check` ends the patience."""
        while True:
            try:
                return write()
            except (OperationalError, InterfaceError):
                close_old_connections()
                self._check()
                time.sleep(_RETRY_AFTER)
