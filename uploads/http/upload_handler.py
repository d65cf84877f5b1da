"""Django's hook into form parsing, set globally: no form, on any URL, reaches the disk but through here.

Django and DRF parse a body whenever somebody first asks for a field, and the CSRF check asks before any view has
run. So this handler owns the parsing, and takes a file only where the resolved view is an entrance and the
request's principal may send one. Nothing of a file is visible until the view commits it; what the view did not
commit goes when the request ends, whatever ended it.
"""

from collections import Counter
from collections.abc import Callable
from threading import Lock
from typing import Any, TypeVar

from django.conf import settings
from django.contrib.auth.models import User
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler
from django.http import HttpRequest, QueryDict
from django.urls import ResolverMatch
from django.utils.datastructures import MultiValueDict
from rest_framework.exceptions import APIException

from ..access.authentication import scope_needed, sender, uploader
from ..conf import limits
from ..content.digests import Claims, parse_claims
from ..errors import MissingFile, NotAnEntrance, Refusal, TooManyUploads
from ..models import Upload
from ..runtime.django_private import make_immutable
from ..transfers.admission import Announcement, Replay
from ..transfers.quota import limits_of
from ..transfers.reception import Reception
from .body import Body
from .multipart import FilePart, FormReader

FILE_FIELD = "file"
_MARK, _FORM_MARK, _GATE = "millrace_entrance", "millrace_form_entrance", "millrace_gate"
V = TypeVar("V")
# Given the request, who sends it, and the fields that came before the file: refuses, or lets the file in.
Gate = Callable[[HttpRequest, User, QueryDict], None]
Files = MultiValueDict[str, Any]  # of ReceivedFile
_forms_lock = Lock()
# Forms being read whose file is not admitted yet, by account. Of this process: its threads are what they hold.
_forms: Counter[int] = Counter()


def entrance(handler: V) -> V:
    """Mark a view function, or the method of a view class that answers a verb, as one that takes a large body."""
    setattr(handler, _MARK, True)
    return handler


def form_entrance(handler: V) -> V:
    """Mark one that takes a file in a form, too."""
    setattr(handler, _FORM_MARK, True)
    return entrance(handler)


def gated_form_entrance(gate: Gate) -> Callable[[V], V]:
    """Mark one that must know all the fields before it takes the file: none may follow it."""

    def mark(handler: V) -> V:
        setattr(handler, _GATE, gate)
        return form_entrance(handler)

    return mark


def is_entrance(view: Any, verb: str | None, mark: str = _MARK) -> bool:
    """Whether what answers `verb` in a resolved view was marked."""
    return bool(_marked(view, verb, mark))


def takes_large_body(request: HttpRequest, view: Any) -> bool:
    """A form entrance takes a form of any size. What else it understands is read into memory, and is small."""
    if is_entrance(view, request.method, _FORM_MARK):
        return request.content_type == "multipart/form-data"
    return is_entrance(view, request.method)


def takes_small_body(request: HttpRequest, view: Any) -> bool:
    """Whether the body of a request may be read into memory: somebody answers its verb, and takes no large one."""
    return _handler(view, request.method) is not None and not takes_large_body(request, view)


def _marked(view: Any, verb: str | None, mark: str) -> Any:
    return getattr(_handler(view, verb), mark, None)


def _handler(view: Any, verb: str | None) -> Any:
    """What answers a verb in a resolved view; None if nothing does, as far as the view says."""
    verb = (verb or "").lower()
    action = (getattr(view, "actions", None) or {}).get(verb, verb)
    return getattr(view.cls, action, None) if hasattr(view, "cls") else view


class ReceivedFile(UploadedFile):  # type: ignore[type-arg]  # generic only in the stubs
    """What stands in request.FILES: sealed, hashed, on the disk without a name, waiting for its view's verdict."""

    def __init__(self, reception: Reception, content_type: str) -> None:
        assert reception.content is not None
        super().__init__(None, reception.upload.name, content_type, reception.content.size)
        self.reception = reception

    def close(self) -> None:
        """Django closes every received file when the request ends. A committed one is not touched by this."""
        self.reception.abort()


class FormTurn:
    """A form whose file has not been admitted yet: taken before its first byte is read, or refused.

    Each holds a thread, and its sender decides how slowly its fields come: so an account has only so many at a time,
    as many as it may send uploads. It ends with the form, or when the file is admitted: then admission counts it.
    """

    def __init__(self, account: int) -> None:
        self._account, self._has_ended = account, False
        with _forms_lock:
            _forms[account] += 1
            number = _forms[account]
        # Few accounts have as many: nothing is looked up for the others.
        if number > limits().max_uploads_per_user and number > limits_of(account).max_uploads:
            self.end()
            raise TooManyUploads("Too many forms of yours are on their way. Wait for one to end.", retry_after=10)

    def end(self) -> None:
        if self._has_ended:
            return
        self._has_ended = True
        with _forms_lock:
            _forms[self._account] -= 1
            if not _forms[self._account]:
                del _forms[self._account]


class StreamingUploadHandler(FileUploadHandler):
    def __init__(self, request: HttpRequest | None = None) -> None:
        super().__init__(request)
        self._ended_by: Exception | None = None
        self._turn: FormTurn | None = None

    def handle_raw_input(
        self,
        input_data: Any,
        META: dict[str, Any],
        content_length: int,
        boundary: Any,  # bytes, though django-stubs says str
        encoding: str | None = None,
    ) -> tuple[QueryDict, Files]:
        if self._ended_by is not None:
            raise self._ended_by  # somebody asks again for the fields of a body that is gone
        try:
            return self._read(META, boundary)
        except (Refusal, Replay, APIException) as end:
            self._ended_by = end
            raise

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        raise NotImplementedError("handle_raw_input reads the whole form")

    def file_complete(self, file_size: int) -> "UploadedFile[bytes]":
        raise NotImplementedError("handle_raw_input reads the whole form")

    def _read(self, environ: dict[str, Any], boundary: bytes) -> tuple[QueryDict, Files]:
        assert self.request is not None
        if self._entrance() is not None:
            # Strangers' slow forms would hold threads, and so would one account's, if there were any number of them.
            self._turn = FormTurn(sender(self.request).user.pk)
        try:
            return self._read_form(environ, boundary)
        finally:
            self._end_turn()

    def _end_turn(self) -> None:
        if self._turn is not None:
            self._turn.end()

    def _read_form(self, environ: dict[str, Any], boundary: bytes) -> tuple[QueryDict, Files]:
        assert self.request is not None
        claims = parse_claims(self.request.headers)
        body = Body(environ, idle_timeout=limits().idle_timeout, claims=claims)
        body.limit_time()  # until the file is admitted
        form = FormReader(
            boundary,
            body.content(),
            max_memory=settings.DATA_UPLOAD_MAX_MEMORY_SIZE or 0,
            max_fields=settings.DATA_UPLOAD_MAX_NUMBER_FIELDS or 0,
            file_is_last=self._gate() is not None,
        )
        files: Files = MultiValueDict()
        if (part := form.read_fields()) is not None:
            reception = self._open_reception(form.fields, part, body, claims)
            self._end_turn()  # from here on the upload is counted
            body.lift_time_limit()
            form.read_file(reception)
            files[FILE_FIELD] = ReceivedFile(reception, part.content_type)
        make_immutable(form.fields)
        return form.fields, files

    def _open_reception(self, fields: QueryDict, part: FilePart, body: Body, claims: Claims) -> Reception:
        """Admit the file, or refuse it before its first byte is read."""
        request = self.request
        assert request is not None
        match = self._entrance()
        if match is None:
            raise NotAnEntrance("Files are not taken here. Send them to /api/v1/files/.")
        if part.field != FILE_FIELD:
            raise MissingFile(f"Send the file in the field “{FILE_FIELD}”, not in “{part.field[:80]}”.")
        principal = uploader(request, fields)
        if needed := scope_needed(match.func, request.method or ""):
            principal.require(needed)
        if gate := self._gate():
            gate(request, principal.user, fields)
        return Reception.open(
            Announcement(
                owner=principal.user,
                token=principal.token_id,
                name=part.name,
                protocol=Upload.Protocol.FORM,
                size=None if body.is_coded else body.length,
                besides=settings.DATA_UPLOAD_MAX_MEMORY_SIZE or 0,
                key=request.headers.get("Idempotency-Key", ""),
                route=match.route,
                claims=str(claims),
                length=body.length,
            )
        )

    def _entrance(self) -> ResolverMatch | None:
        """The view that the request was resolved to, if it takes a file in a form."""
        assert self.request is not None
        match = self.request.resolver_match
        return match if match and is_entrance(match.func, self.request.method, _FORM_MARK) else None

    def _gate(self) -> Gate | None:
        request = self.request
        assert request is not None
        match = request.resolver_match
        gate: Gate | None = _marked(match.func, request.method, _GATE) if match else None
        return gate
