"""The errors that clients receive, each with a stable `code`.

The text of an error tells the user what happened and what to do. config/http/error_responses.py maps codes to HTTP
statuses.
"""

from typing import Any, ClassVar

from django.core.exceptions import BadRequest

from .scopes import Scope


class Refusal(BadRequest):
    """The base class: a request that is refused, and why.

    A subclass of BadRequest, so that Django answers with status 4xx when one is raised outside of our views. The CSRF
    check, for example, parses a form before the view runs.
    """

    code: ClassVar[str] = "invalid_request"

    def __init__(self, detail: str, *, retry_after: int | None = None, **more: Any) -> None:
        """`more` are further members of the JSON response, for programs."""
        super().__init__(detail)
        self.detail = detail
        self.retry_after = retry_after
        self.more = more


class InvalidParams(Refusal):
    code = "invalid_params"


class InvalidName(Refusal):
    code = "invalid_name"


class InvalidMetadata(Refusal):
    code = "invalid_metadata"


class MetadataTooLarge(Refusal):
    code = "metadata_too_large"


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
    """The account has the permission, but its token does not have the scope."""

    code = "scope_missing"

    def __init__(self, needed: Scope) -> None:
        names = " or ".join(f"“{word}”" for word in needed.words)
        super().__init__(f"The token lacks a scope. This request needs the scope {names}.", scopes=needed.words)


class TooLarge(Refusal):
    code = "too_large"


class LengthRequired(Refusal):
    code = "length_required"


class EmptyFile(Refusal):
    code = "empty_file"


class ContentRefused(Refusal):
    """The content itself is refused: sending it again does not help. Its bytes are not kept for a next request."""


class UnsupportedMedia(ContentRefused):
    code = "unsupported_media"


class Infected(ContentRefused):
    """The virus scanner found something in the content. Answers name it as `signature`."""

    code = "infected"


class TooLargeToScan(ContentRefused):
    """The content exceeds a limit of the virus scanner."""

    code = "too_large_to_scan"


class ScanUnavailable(Refusal):
    """The virus scanner does not answer."""

    code = "scan_unavailable"


class UnsupportedCoding(Refusal):
    code = "unsupported_coding"


class InvalidDigest(Refusal):
    code = "invalid_digest"


class DigestMismatch(Refusal):
    code = "digest_mismatch"


class ChecksumMismatch(DigestMismatch):
    """A digest of tus does not match. tus has its own status for it."""


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


class NoDirectUploads(Refusal):
    code = "no_direct_uploads"


class NoResumableUploads(Refusal):
    code = "no_resumable_uploads"


class PartsMismatch(Refusal):
    """Parts of a direct upload are missing, or are not those that the client names."""

    code = "parts_mismatch"


class OffsetMismatch(Refusal):
    code = "offset_mismatch"


class AlreadyComplete(OffsetMismatch):
    """A PATCH for a resumable upload that has all of its bytes."""

    def __init__(self, size: int) -> None:
        super().__init__("This upload is complete. It takes no more bytes.")
        self.size = size


class Locked(Refusal):
    code = "locked"


class Gone(Refusal):
    code = "gone"


class UploadComplete(Forbidden):
    """An upload cannot be cancelled after it has become a file. The file can be deleted."""


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
    """The store has lost the bytes of a file."""

    code = "content_lost"


class InFlight(Refusal):
    code = "in_flight"


class KeyReused(Refusal):
    code = "key_reused"


class Abandoned(Refusal):
    """The request or the server ended before the upload was complete. Not a response: stored with the Upload."""

    code = "abandoned"


class Expired(Refusal):
    """A resumable upload was not continued in time. Not a response: stored with the Upload."""

    code = "expired"


class Terminated(Refusal):
    """The client cancelled the upload. Not a response: stored with the Upload."""

    code = "terminated"


class NotChecked(Refusal):
    """The content of a direct upload could not be checked. Not a response: stored with the Upload."""

    code = "not_checked"


class InvalidLink(Refusal):
    code = "invalid_link"


class Throttled(Refusal):
    code = "throttled"
