"""Everything we refuse, by name.

An error here says what happened and what to do about it, in words a client may read, and carries a stable
`code`. What HTTP status a code becomes is decided in one place only: config/http/error_responses.py.
"""

from typing import Any, ClassVar

from django.core.exceptions import BadRequest

from .scopes import Scope


class Refusal(BadRequest):
    """A request we will not carry out, and why.

    A BadRequest, so that Django answers 4xx even where one is raised outside our own views: its CSRF check
    parses a form before any view has run.
    """

    code: ClassVar[str] = "invalid_request"

    def __init__(self, detail: str, *, retry_after: int | None = None, **more: Any) -> None:
        """`more` are members of the answer, for programs."""
        super().__init__(detail)
        self.detail = detail
        self.retry_after = retry_after
        self.more = more


class InvalidParams(Refusal):
    code = "invalid_params"


class InvalidName(Refusal):
    code = "invalid_name"


class MissingFile(Refusal):
    code = "missing_file"


class TooManyFiles(Refusal):
    code = "too_many_files"


class MalformedForm(Refusal):
    code = "malformed_form"


class NotAnEntrance(Refusal):
    code = "not_an_entrance"


class Unauthenticated(Refusal):
    code = "unauthenticated"


class CsrfFailed(Refusal):
    code = "csrf_failed"


class Forbidden(Refusal):
    code = "forbidden"


class ScopeMissing(Forbidden):
    """The account may do this, and this token of it may not."""

    code = "scope_missing"

    def __init__(self, needed: Scope) -> None:
        names = " or ".join(f"“{word}”" for word in needed.words)
        super().__init__(f"This token may not do that: it needs the scope {names}.", scopes=needed.words)


class TooLarge(Refusal):
    code = "too_large"


class LengthRequired(Refusal):
    code = "length_required"


class EmptyFile(Refusal):
    code = "empty_file"


class UnsupportedMedia(Refusal):
    code = "unsupported_media"


class UnsupportedCoding(Refusal):
    code = "unsupported_coding"


class InvalidDigest(Refusal):
    code = "invalid_digest"


class DigestMismatch(Refusal):
    code = "digest_mismatch"


class ChecksumMismatch(DigestMismatch):
    """The same, in tus, which has a status of its own for it."""


class IncompleteBody(Refusal):
    code = "incomplete_body"


class TooSlow(Refusal):
    code = "too_slow"


class ServerBusy(Refusal):
    code = "server_busy"


class UnsupportedVersion(Refusal):
    code = "unsupported_version"


class UnsupportedRequest(Refusal):
    code = "unsupported_request"


class OffsetMismatch(Refusal):
    code = "offset_mismatch"


class AlreadyComplete(OffsetMismatch):
    """The offset is the size, and no byte can follow."""

    def __init__(self, size: int) -> None:
        super().__init__(f"This upload is complete: all its {size} bytes are here.")
        self.size = size


class Locked(Refusal):
    code = "locked"


class Gone(Refusal):
    code = "gone"


class UploadComplete(Forbidden):
    """An upload cannot be ended any more: it has become a file, which can be deleted."""


class TooManyTokens(Refusal):
    code = "too_many_tokens"


class QuotaExceeded(Refusal):
    code = "quota_exceeded"


class TooManyUploads(Refusal):
    code = "too_many_uploads"


class InsufficientStorage(Refusal):
    code = "insufficient_storage"


class StorageUnavailable(Refusal):
    code = "storage_unavailable"


class ContentUnavailable(Refusal):
    code = "content_unavailable"


class BytesLost(Refusal):
    """The storage has lost the bytes of a file that was received."""

    code = "content_lost"


class InFlight(Refusal):
    code = "in_flight"


class KeyReused(Refusal):
    code = "key_reused"


class Abandoned(Refusal):
    """Not an answer: the reason written on an Upload whose request ended, or whose server died, before it."""

    code = "abandoned"


class Expired(Refusal):
    """Not an answer, as Abandoned: the reason of a resumable upload that nobody went on with in time."""

    code = "expired"


class Terminated(Refusal):
    """Not an answer either: its client took the upload back."""

    code = "terminated"


class InvalidLink(Refusal):
    code = "invalid_link"


class Throttled(Refusal):
    code = "throttled"
