"""What our reader makes of a form, what Django's makes of it, and what was meant."""

import hashlib
import io
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.core.files.uploadhandler import MemoryFileUploadHandler
from django.http import QueryDict
from django.http.multipartparser import MultiPartParser

from tests.support.multipart_forms import Part
from uploads.content.intake import Content, Intake
from uploads.http.multipart import FormReader
from uploads.sinks.memory import MemorySink

MEMORY = 2 * 1024**2


@dataclass
class Read:
    """What somebody read in a form."""

    fields: list[tuple[str, list[str]]]
    file: bytes | None = None
    filename: str | None = None
    field_of_file: str | None = None


@dataclass
class Bench:
    """Opens a real Intake on a MemorySink, and remembers under what name."""

    sink: MemorySink = field(default_factory=MemorySink)
    opened: list[tuple[str, str]] = field(default_factory=list)
    receptions: list["Receiver"] = field(default_factory=list)
    fields_before: list[tuple[str, list[str]]] = field(default_factory=list)

    def admit(self, fields: QueryDict, name: str, filename: str) -> "Receiver":
        self.opened.append((name, filename))
        self.fields_before = [(field, list(values)) for field, values in fields.lists()]
        intake = Intake(self.sink.create(str(uuid.uuid4())), grow=lambda offset: offset + 1024)
        self.receptions.append(Receiver(intake))
        return self.receptions[-1]

    def read(self, boundary: bytes, pieces: Iterator[bytes | memoryview]) -> FormReader:
        form = FormReader(boundary, pieces, max_memory=MEMORY, max_fields=1000)
        if part := form.read_fields():
            form.read_file(self.admit(form.fields, part.field, part.name))
        return form


@dataclass
class Receiver:
    """The part of a Reception that a form needs, without its row."""

    intake: Intake
    content: Content | None = None
    aborted: bool = False
    fed: list[object] = field(default_factory=list)  # what each view was of, None for bytes

    def feed(self, data: bytes | memoryview) -> None:
        self.fed.append(data.obj if isinstance(data, memoryview) else None)
        self.intake.feed(data)

    def seal(self) -> Content:
        self.content = self.intake.finish()
        return self.content

    def abort(self, reason: BaseException | None = None) -> None:
        self.aborted = True
        self.intake.writer.abort()


def ours(boundary: bytes, pieces: Iterator[bytes | memoryview]) -> Read:
    bench = Bench()
    try:
        form = bench.read(boundary, pieces)
    except BaseException:
        assert all(reception.aborted for reception in bench.receptions)
        raise
    read = Read(list(form.fields.lists()))
    if bench.receptions:
        [reception], [(read.field_of_file, read.filename)] = bench.receptions, bench.opened
        reception.intake.writer.commit()
        read.file = bench.sink.open(reception.intake.writer.key).read()
        assert reception.content is not None
        assert reception.content.sha256 == hashlib.sha256(read.file).hexdigest()
    return read


def djangos(boundary: bytes, body: bytes) -> Read:
    quoted = boundary.decode("ascii").replace("\\", "\\\\").replace('"', '\\"')
    meta = {"CONTENT_TYPE": f'multipart/form-data; boundary="{quoted}"', "CONTENT_LENGTH": str(len(body))}
    parser = MultiPartParser(meta, io.BytesIO(body), [MemoryFileUploadHandler()])
    fields, files = parser.parse()
    read = Read(list(fields.lists()))
    for name in files:
        found: Any = files[name]
        read.field_of_file, read.filename, read.file = name, found.name, found.read()
    return read


def meant(parts: list[Part]) -> Read:
    fields = QueryDict(mutable=True)
    for part in parts:
        if part.filename is None:
            fields.appendlist(part.name, part.content.decode("utf-8", "replace"))
    read = Read(list(fields.lists()))
    for part in parts:
        if part.filename:
            read.field_of_file, read.filename, read.file = part.name, part.filename, part.content
    return read
