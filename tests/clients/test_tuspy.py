"""tuspy, the client in Python: long films, over wires that fail."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tusclient.client import TusClient
from tusclient.exceptions import TusUploadFailed
from tusclient.storage.filestorage import FileStorage
from tusclient.uploader.uploader import Uploader

from tests.support.films import LONG, UNDISTURBED, LongFilm
from tests.support.network_relay import Relay
from tests.support.server import Server
from tests.support.stored_file_checks import check_arrived

Films = Callable[[], LongFilm]
HALF = LONG // 2


def uploader(server: Server, url: str, film: LongFilm, **options: Any) -> Uploader:
    client = TusClient(f"{url}/api/v1/uploads/", headers={"Authorization": f"Bearer {server.tokens['alice']}"})
    return client.uploader(str(film.path), metadata={"filename": film.path.name}, **options)


def patient(server: Server, url: str, film: LongFilm) -> Uploader:
    return uploader(server, url, film, retries=240, retry_delay=0.5)


def remembering(folder: Path) -> dict[str, Any]:
    storage = FileStorage(str(folder / "uploads.json"))  # type: ignore[no-untyped-call]
    return {"store_url": True, "url_storage": storage}


def check(server: Server, sent: Uploader, film: LongFilm) -> None:
    assert sent.url is not None
    check_arrived(server, sent.url, film)


def test_a_film_arrives(server: Server, undisturbed_film: Films) -> None:
    film = undisturbed_film()
    sending = uploader(server, server.url, film)
    sending.upload()
    check(server, sending, film)


def test_a_film_arrives_in_chunks_with_checksums(server: Server, undisturbed_film: Films) -> None:
    film = undisturbed_film()
    sending = uploader(server, server.url, film, chunk_size=UNDISTURBED // 3, upload_checksum=True)
    sending.upload()
    check(server, sending, film)


def test_a_chunk_that_was_damaged_on_its_way_is_refused_and_can_be_sent_again(
    server: Server, relay: Relay, long_film: Films
) -> None:
    film = long_film()
    sending = uploader(server, relay.url, film, chunk_size=HALF, upload_checksum=True)
    sending.upload(stop_at=HALF)
    relay.damage_at(HALF * 3 // 2)
    with pytest.raises(TusUploadFailed) as refusal:
        sending.upload()
    assert refusal.value.status_code == 460
    assert sending.get_offset() == HALF
    sending.upload()
    check(server, sending, film)


def test_an_upload_that_broke_off_goes_on_in_another_process(
    server: Server, relay: Relay, long_film: Films, tmp_path: Path
) -> None:
    film = long_film()
    storage = remembering(tmp_path)
    relay.do_at(HALF, relay.cut)
    broken = uploader(server, relay.url, film, **storage)
    with pytest.raises(TusUploadFailed):
        broken.upload()
    sending = uploader(server, relay.url, film, **storage)
    assert sending.url == broken.url
    assert HALF * 0.5 < sending.offset <= HALF * 1.1
    sending.upload()
    check(server, sending, film)


@pytest.mark.parametrize("trouble", ["cut", "lost", "killed"])
def test_an_upload_goes_on_by_itself(server: Server, relay: Relay, long_film: Films, trouble: str) -> None:
    """After its connection was cut; was lost, of which nobody told the server; after the server was killed."""
    film = long_film()
    relay.do_at(HALF, {"cut": relay.cut, "lost": relay.lose, "killed": server.restart}[trouble])
    sending = patient(server, relay.url, film)
    sending.upload()
    check(server, sending, film)
    assert HALF < relay.sent < film.size * 1.25
