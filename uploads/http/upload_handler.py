"""The upload handler of all forms: Django calls it to parse a multipart body, on any URL.

Django and DRF parse the body when a field of the form is read for the first time. The CSRF check reads a field before
the view runs, so a view is too late to choose a handler, and this one parses all forms. It accepts a file only if the
view of the URL is marked as an entrance (a view that receives uploads), and the account may upload. A file is visible
after the view has committed it; a file that was not committed is deleted at the end of the request.
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

from ..access.authentication import form_upload_principal, scope_needed, upload_principal
from ..conf import limits
from ..content.digests import Claims, parse_claims
from ..errors import MissingFile, NotAnEntrance, Refusal, TooManyUploads
from ..models import Upload
from ..runtime.django_private import make_immutable
from ..transfers.admission import Announcement
from ..transfers.idempotency import Replay
from ..transfers.quota import limits_of
from ..transfers.reception import Reception
from .arrival_choice import PRESETS, arrival_choice
from .body import Body
from .file_metadata import METADATA, file_metadata
from .multipart import FilePart, FormReader

FILE_FIELD = "file"
_MARK, _FORM_MARK, _CHECK = "millrace_entrance", "millrace_form_entrance", "millrace_field_check"
V = TypeVar("V")
# Called with the request, its account, and the fields before the file. Raises a Refusal to reject the file.
FieldCheck = Callable[[HttpRequest, User, QueryDict], None]
Files = MultiValueDict[str, Any]  # of ReceivedFile
_forms_lock = Lock()
# Number of forms that are being read and whose file is not admitted yet, by account, in this process.
_forms: Counter[int] = Counter()


def entrance(handler: V) -> V:
    """Mark a view function, or the method of a view class for an HTTP method, as one that takes a large body."""
    setattr(handler, _MARK, True)
    return handler


def form_entrance(handler: V) -> V:
    """Mark a view that takes a large body, and also a file in a form."""
    setattr(handler, _FORM_MARK, True)
    return entrance(handler)


def checked_form_entrance(check: FieldCheck) -> Callable[[V], V]:
    """Mark a form entrance that checks the fields before it takes the file: no field may follow the file."""

    def mark(handler: V) -> V:
        setattr(handler, _CHECK, check)
        return form_entrance(handler)

    return mark


def is_entrance(view: Any, method: str | None, mark: str = _MARK) -> bool:
    """Whether the view's handler of this HTTP method is marked."""
    return bool(_marked(view, method, mark))


def takes_large_body(request: HttpRequest, view: Any) -> bool:
    """Whether the body of a request may be large. A form entrance takes large forms; other bodies must be small."""
    if is_entrance(view, request.method, _FORM_MARK):
        return request.content_type == "multipart/form-data"
    return is_entrance(view, request.method)


def takes_small_body(request: HttpRequest, view: Any) -> bool:
    """Whether the body may be read into memory: the view handles the HTTP method, and takes no large body."""
    return _handler(view, request.method) is not None and not takes_large_body(request, view)


def _marked(view: Any, method: str | None, mark: str) -> Any:
    return getattr(_handler(view, method), mark, None)


def _handler(view: Any, method: str | None) -> Any:
    """Return the view's handler of an HTTP method, or None if it has none."""
    method = (method or "").lower()
    action = (getattr(view, "actions", None) or {}).get(method, method)
    return getattr(view.cls, action, None) if hasattr(view, "cls") else view


class ReceivedFile(UploadedFile):  # type: ignore[type-arg]  # generic only in the stubs
    """A file in request.FILES: received completely, and not yet committed by its view."""

    def __init__(self, reception: Reception, content_type: str) -> None:
        assert reception.content is not None
        super().__init__(None, reception.upload.name, content_type, reception.content.size)
        self.reception = reception

    def close(self) -> None:
        """Delete the file unless it is committed. Django closes every received file at the end of the request."""
        self.reception.abort()


class FormSlot:
    """Limits how many forms an account sends at a time. The limit is the same as for uploads.

    A form occupies a thread, and its client decides how slowly the fields arrive. A form is counted from before its
    first byte is read until its file is admitted. After that, admission counts the upload.
    """

    def __init__(self, account: int) -> None:
        self._account, self._is_released = account, False
        with _forms_lock:
            _forms[account] += 1
            number = _forms[account]
        # The usual limit first: then most accounts need no query.
        if number > limits().max_uploads_per_user and number > limits_of(account).max_uploads:
            self.release()
            raise TooManyUploads(
                "You are sending too many forms at a time. Wait until one has ended.", retry_after=10
            )

    def release(self) -> None:
        if self._is_released:
            return
        self._is_released = True
        with _forms_lock:
            _forms[self._account] -= 1
            if not _forms[self._account]:
                del _forms[self._account]


class StreamingUploadHandler(FileUploadHandler):
    def __init__(self, request: HttpRequest | None = None) -> None:
        super().__init__(request)
        self._ended_by: Exception | None = None
        self._form_slot: FormSlot | None = None

    def handle_raw_input(
        self,
        input_data: Any,
        META: dict[str, Any],
        content_length: int,
        boundary: Any,  # bytes, though django-stubs says str
        encoding: str | None = None,
    ) -> tuple[QueryDict, Files]:
        if self._ended_by is not None:
            raise self._ended_by  # the fields are read again, and the body cannot be
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
            # Before the first byte: else clients without an account, or one account, could occupy all threads.
            self._form_slot = FormSlot(upload_principal(self.request).user.pk)
        try:
            return self._read_form(environ, boundary)
        finally:
            self._release_slot()

    def _release_slot(self) -> None:
        if self._form_slot is not None:
            self._form_slot.release()

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
            file_is_last=self._field_check() is not None,
            before_file=(PRESETS, METADATA),
        )
        files: Files = MultiValueDict()
        if (part := form.read_fields()) is not None:
            reception = self._open_reception(form.fields, part, body, claims)
            self._release_slot()  # from here on the upload is counted
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
            raise NotAnEntrance("This URL does not take files. Send them to /api/v1/files/.")
        if part.field != FILE_FIELD:
            raise MissingFile(f"Send the file in the field “{FILE_FIELD}”, not in “{part.field[:80]}”.")
        principal = form_upload_principal(request, fields)
        if needed := scope_needed(match.func, request.method or ""):
            principal.require(needed)
        if check := self._field_check():
            check(request, principal.user, fields)
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
                presets=arrival_choice(request.GET, fields),
                file_metadata=file_metadata(request.GET, fields),
            )
        )

    def _entrance(self) -> ResolverMatch | None:
        """Return the resolved view if it takes a file in a form."""
        assert self.request is not None
        match = self.request.resolver_match
        return match if match and is_entrance(match.func, self.request.method, _FORM_MARK) else None

    def _field_check(self) -> FieldCheck | None:
        request = self.request
        assert request is not None
        match = request.resolver_match
        check: FieldCheck | None = _marked(match.func, request.method, _CHECK) if match else None
        return check
