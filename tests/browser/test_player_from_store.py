"""The player of the admin in a real Chromium, with a film that the store sends by itself."""

import subprocess
from collections.abc import Iterator

import imageio_ffmpeg
import pytest
from playwright.sync_api import Browser

from tests.support.browser_staff import signed_in
from tests.support.object_store import ObjectStore
from tests.support.running_servers import running
from tests.support.server import Server, Template

VIDEO = "document.querySelector('#mr-player video')"
LASTS = 5  # seconds that a URL of the store works


@pytest.fixture(scope="module")
def server(
    template: Template, tmp_path_factory: pytest.TempPathFactory, object_store: ObjectStore
) -> Iterator[Server]:
    with running(
        template, tmp_path_factory, store=object_store, DOWNLOADS="redirect", DOWNLOAD_EXPIRY=f"{LASTS}s"
    ) as server:
        yield server


@pytest.fixture(scope="module")
def noisy_film(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A minute of noise: so large that a browser does not load all of it before it is played."""
    path = tmp_path_factory.mktemp("noise") / "film.mp4"
    source = ["-f", "lavfi", "-i", "color=gray:size=640x360:rate=10:duration=60,noise=alls=100:allf=t"]
    options = ["-pix_fmt", "yuv420p", "-preset", "ultrafast", "-crf", "20", "-g", "10", "-movflags", "+faststart"]
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *source, *options, str(path)], check=True)
    return path.read_bytes()


def test_the_player_plays_from_the_store_and_goes_on_when_its_url_has_expired(
    browser: Browser, server: Server, object_store: ObjectStore, noisy_film: bytes
) -> None:
    assert len(noisy_film) > 20_000_000
    pk = server.put("film.mp4", noisy_film, user="operator").json()["id"]
    content = f"{server.url}/api/v1/files/{pk}/content"
    with signed_in(browser, server, may_ask=object_store.url) as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{server.url}/admin/uploads/mediafile/{pk}/change/")
        page.wait_for_function(f"{VIDEO}.readyState >= 2")
        assert asked.count(content) == 1
        assert any(url.startswith(object_store.url) for url in asked)
        page.wait_for_timeout(1000 * (LASTS + 1))
        page.evaluate(f"{VIDEO}.currentTime = 55")
        page.wait_for_function(f"{VIDEO}.readyState >= 2 && !{VIDEO}.seeking && {VIDEO}.currentTime >= 55")
        assert asked.count(content) == 2
