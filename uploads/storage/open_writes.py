"""The records of open writes (`uploads/sinks/s3/open_writes.py`) as rows, each changed by its holder alone.

Each UPDATE of a holder filters by its token, and its row count is checked: a process that froze, and whose lease
another host has taken over meanwhile, changes nothing.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from django.db import Error as DatabaseFailure
from django.db import IntegrityError
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Now

from ..models import OpenPart, OpenWrite, Upload
from ..runtime.database_connections import write
from ..sinks.base import KeyLocked, NoSuchKey, SinkError
from ..sinks.s3.open_writes import HeldWrite, LockLost, OpenWriteRecord, OpenWrites
from ..sinks.s3.parts import Part
from .open_write_leases import LEASE, leases
from .open_write_leases import RENEWED_EVERY as RENEWED_EVERY

# A write whose lease ended so long ago is abandoned. Its holder may have been frozen: then its write fails.
_ABANDONED_AFTER = timedelta(minutes=1)


class OpenWriteRows(OpenWrites):
    def __init__(self, sink: str) -> None:
        self._rows = OpenWrite.objects.filter(sink=sink)
        self._sink = sink

    def begin(self, key: str, *, size: int | None, is_resumable: bool) -> HeldWrite:
        token = uuid4()
        with _sink_errors():
            try:
                with write():
                    row = OpenWrite.objects.create(
                        sink=self._sink, key=key, size=size, is_resumable=is_resumable,
                        token=token, held_until=Now() + LEASE,
                    )  # fmt: skip
            except IntegrityError:
                raise KeyLocked(key) from None
        return _HeldRow(row, token)

    def take(self, key: str) -> HeldWrite:
        of_key = self._rows.filter(key=key, is_resumable=True)
        free = of_key.filter(Q(token=None) | Q(held_until__lt=Now()))
        token = uuid4()
        with _sink_errors():
            # First without the database's lock: who waits for a write asks again and again.
            if free.exists():
                with write():
                    row = of_key.get() if free.update(token=token, held_until=Now() + LEASE) else None
                if row is not None:
                    return _HeldRow(row, token)
            if of_key.exists():
                raise KeyLocked(key)
        raise NoSuchKey(key)

    def find(self, key: str) -> OpenWriteRecord | None:
        with _sink_errors():
            row = self._rows.filter(key=key).first()
        return None if row is None else _record(row)

    def remove(self, key: str) -> OpenWriteRecord | None:
        found = self.find(key)
        if found is not None:
            with _sink_errors(), write():
                self._rows.filter(key=key).delete()
        return found

    def resumable(self) -> Iterator[OpenWriteRecord]:
        with _sink_errors():
            yield from map(_record, self._rows.filter(is_resumable=True).order_by("pk").iterator())

    def abandoned(self) -> Iterator[OpenWriteRecord]:
        released, late = Q(token=None), Q(held_until__lt=Now() - _ABANDONED_AFTER)
        arriving = Upload.objects.filter(key=OuterRef("key"), state=Upload.State.RECEIVING)
        found = self._rows.filter(released | late).filter(Q(is_resumable=False) | ~Exists(arriving))
        with _sink_errors():
            before = dict(found.values_list("pk", "held_until"))
            if any(before.values()):
                # After a jump of the clock every lease seems to have ended until its next renewal. So check twice.
                time.sleep(2 * RENEWED_EVERY)
            for row in found.filter(pk__in=before):
                if row.held_until == before[row.pk]:
                    yield _record(row)


def _record(row: OpenWrite) -> OpenWriteRecord:
    return OpenWriteRecord(
        row.key, row.is_resumable, row.created_at, row.size, row.multipart_id, row.last_part, row.parts_size,
        row.tail, row.tail_size, row.checkpoint, row.is_sealed,
    )  # fmt: skip


class _HeldRow(HeldWrite):
    def __init__(self, row: OpenWrite, token: UUID) -> None:
        self.record, self.token, self._pk = _record(row), token, row.pk
        self._is_lost = False
        leases.add(self)

    def lose(self) -> None:
        """Another host has taken the write over, or it was deleted."""
        self._is_lost = True
        if self.when_lost is not None:
            self.when_lost()

    def require_held(self) -> None:
        if self._is_lost:
            raise LockLost("Another request has taken over this upload.")

    def begin_multipart(self, multipart_id: str) -> None:
        self._update(multipart_id=multipart_id)
        self.record = replace(self.record, multipart_id=multipart_id)

    def next_part(self) -> int:
        self._update(last_part=F("last_part") + 1)
        self.record = replace(self.record, last_part=self.record.last_part + 1)
        return self.record.last_part

    def save(self, parts: Sequence[Part], tail: str, tail_size: int, checkpoint: str) -> None:
        parts_size = self.record.parts_size + sum(part.size for part in parts)
        changed: dict[str, Any] = {
            "parts_size": parts_size, "tail": tail, "tail_size": tail_size, "checkpoint": checkpoint
        }  # fmt: skip
        with _sink_errors(), write():
            self._change(**changed)
            OpenPart.objects.bulk_create(
                OpenPart(write_id=self._pk, number=part.number, size=part.size, etag=part.etag) for part in parts
            )
        self.record = replace(self.record, **changed)

    def drop_parts(self) -> None:
        nothing: dict[str, Any] = {"parts_size": 0, "tail": "", "tail_size": 0, "checkpoint": ""}
        with _sink_errors(), write():
            self._change(**nothing)
            OpenPart.objects.filter(write=self._pk).delete()
        self.record = replace(self.record, **nothing)

    def parts(self) -> list[Part]:
        rows = OpenPart.objects.filter(write=self._pk).order_by("number")
        with _sink_errors():
            return [Part(*row) for row in rows.values_list("number", "size", "etag")]

    def seal(self) -> None:
        self._update(is_sealed=True)

    def release(self) -> None:
        leases.remove(self)
        self._update(token=None, held_until=None)

    def end(self) -> None:
        leases.remove(self)
        with _sink_errors(), write():
            self._change(held_until=None)  # locks the row: Django deletes by the primary key
            OpenWrite.objects.filter(pk=self._pk).delete()

    def _update(self, **changed: Any) -> None:
        with _sink_errors(), write():
            self._change(**changed)

    def _change(self, **changed: Any) -> None:
        if not OpenWrite.objects.filter(pk=self._pk, token=self.token).update(**changed):
            self._is_lost = True
            self.require_held()


@contextmanager
def _sink_errors() -> Iterator[None]:
    """Convert errors of the database to the error of the contract of sinks."""
    try:
        yield
    except DatabaseFailure as error:
        raise SinkError(f"The record of an open write cannot be read or written: {error}") from error
