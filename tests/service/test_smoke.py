"""An upload by each entrance comes back with its hash."""

from tests.support.films import sha256
from tests.support.server import Server, form_end, form_part


def test_a_put_file_comes_back_as_it_went_in(shared_server: Server, clip: bytes) -> None:
    answer = shared_server.put("clip.mp4", clip)
    assert answer.status == 201, answer
    file = answer.json()
    assert (file["size"], file["sha256"], file["media_type"]) == (len(clip), sha256(clip), "video/mp4")
    assert shared_server.get(f"/api/v1/files/{file['id']}/content", user="alice").body == clip


def test_a_form_file_comes_back_as_it_went_in(shared_server: Server, clip: bytes) -> None:
    answer = shared_server.post_form(form_part("file", clip, "clip.mp4") + form_end())
    assert answer.status == 201, answer
    assert answer.json()["sha256"] == sha256(clip)
