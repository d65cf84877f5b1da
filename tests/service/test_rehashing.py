"""Where SHA-256 cannot be taken up in the middle: what came in several requests is read again, once, at the end.

An object store cannot read it again: there, resumable uploads are refused.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from tests.support.api_client import api_client
from tests.support.films import sha256
from tests.support.local_store import an_owner, own_bucket
from tests.support.object_store import ObjectStore
from tests.support.running_servers import StartServer
from uploads.content import openssl_state
from uploads.errors import NoResumableUploads
from uploads.models import Upload
from uploads.sinks.base import NoSuchKey
from uploads.storage.blobs import new_key
from uploads.system_checks import resumable_uploads
from uploads.transfers.resumable import recovery

Film = Callable[..., bytes]
TUS = {"Tus-Resumable": "1.0.0"}


@pytest.mark.local_disk
@pytest.mark.parametrize("pieces", [1, 2, 5])
def test_an_upload_in_pieces_has_its_hash(start_server: StartServer, film: Film, pieces: int) -> None:
    server = start_server(config="tests.support.gunicorn_configs.no_hash_state")
    content = film(1_000_000)
    created = server.request("POST", "/api/v1/uploads/", headers={**TUS, "Upload-Length": str(len(content))})
    step = -(-len(content) // pieces)
    for start in range(0, len(content), step):
        headers = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": str(start), **TUS}
        answer = server.request("PATCH", created.headers["Location"], content[start : start + step], headers)
        assert answer.status == 204
    [file] = server.get("/api/v1/files/", user="alice").json()["results"]
    assert file["sha256"] == sha256(content)
    assert server.manage("fsck", "--deep").returncode == 0


@pytest.mark.django_db(transaction=True)
def test_an_object_store_takes_no_resumable_uploads_and_keeps_the_bytes_of_earlier_ones(
    settings: Any, object_store: ObjectStore, film: Film, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, key, content = own_bucket(settings, object_store), new_key(), film(6 * 1024**2)
    owner = an_owner()
    earlier = Upload.objects.create(
        pk=key, key=key, owner=owner, name="a.mp4", protocol="tus", sink=place.name, declared_size=len(content),
        offset=len(content) - 1, expires_at=timezone.now() + timedelta(days=1),
    )  # fmt: skip
    with place.create_resumable(key, size=len(content)) as writer:
        writer.write(content[:-1])
        writer.save_checkpoint("of another Python")
        writer.flush()
    assert resumable_uploads() == []

    monkeypatch.setattr(openssl_state, "is_available", False)
    assert [warning.id for warning in resumable_uploads()] == ["uploads.W006"]
    answer = api_client(owner).post("/api/v1/uploads/", headers={**TUS, "Upload-Length": "9"})
    assert (answer.status_code, answer.json()["code"]) == (409, "no_resumable_uploads")
    assert Upload.objects.count() == 1
    with pytest.raises(NoResumableUploads, match="Send the file in one request"):
        recovery.read_offset(earlier)
    assert place.offset(key) == len(content) - 1
    recovery.terminate(earlier)
    with pytest.raises(NoSuchKey):
        place.offset(key)
