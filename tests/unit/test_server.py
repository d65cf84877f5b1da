import pytest

from config.web_server.gunicorn_config import max_connections


@pytest.mark.parametrize(
    ("threads", "files", "found"),
    [(512, 1_000_000, 4096), (512, 4096, 1536), (512, 1024, 1024), (8, 1024, 64)],
)
def test_there_are_places_for_as_many_as_there_are_descriptors(threads: int, files: int, found: int) -> None:
    assert max_connections(threads, files) == found
