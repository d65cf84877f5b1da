"""The finds of detect on the page of a file, in a real Chromium: time line, boxes over the picture, table, search."""

from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from media_jobs.queue import texts
from tests.support.browser_pages import is_wider_than_its_window, looks_of, photograph, wait_for
from tests.support.detections import plate, scenes, write_detections
from tests.support.file_page import MEDIA, open_file, seek
from tests.support.in_server import finished_jobs
from tests.support.job_requests import submit
from tests.support.server import Server
from tests.support.troubled_clips import clip, ffmpeg

PLATES = "Number plates"
HOSTILE = "<img src=x onerror=alert(1)>"
USER = "operator"
MANY = 3000


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return clip("faststart.mp4", tmp_path_factory.mktemp("clips")).read_bytes()


@pytest.fixture(scope="module")
def film(server: Server, content: bytes, tmp_path_factory: pytest.TempPathFactory) -> str:
    """14 seconds with three plates and three scenes, by two jobs."""
    pk = sent(server, content)
    folder = tmp_path_factory.mktemp("finds")
    old = [plate("OLD", 1, 2), *scenes(0, 5, 9.5, duration=14)]
    new = [
        plate("AB123CD", 2, 4, confidence=0.93),
        plate(HOSTILE, 6, 8, confidence=0.41, crop=1),
        plate("EF-456 GH", 7, 10, confidence=0.75, crop=2),
    ]
    for name, detectors, finds in (("old", ["plates", "scenes"], old), ("new", ["plates"], new)):
        write_detections(folder / name, detectors, finds)
        server.call(finished_jobs.finish_job, pk, "detect", str(folder / name), detectors=detectors)
    return pk


def sent(server: Server, content: bytes) -> str:
    return str(server.put("film.mp4", content, user=USER).json()["id"])


def open_page(page: Page, server: Server, pk: str) -> Locator:
    open_file(page, server, pk)
    return page.locator(".mr-finds tbody tr")


def time_of(page: Page) -> float:
    return float(page.evaluate(f"{MEDIA}.currentTime"))


def lane(page: Page, name: str) -> Locator:
    return page.get_by_role("slider", name=name)


def names(rows: Locator) -> list[str]:
    return rows.locator("a").all_inner_texts()


def test_the_newest_finds_of_each_detector_are_in_one_table_whose_rows_lead_to_them(
    page: Page, server: Server, film: str
) -> None:
    rows = open_page(page, server, film)
    expect(rows).to_have_count(6)
    assert names(rows) == ["Scene 1", "AB123CD", "Scene 2", HOSTILE, "EF-456 GH", "Scene 3"]
    expect(rows.nth(1).locator("td")).to_contain_text(["", "AB123CD", "93 %", "0:02.0", "0:04.0"])
    expect(rows.nth(3).locator(".mr-preview-picture")).to_have_css("background-position", "-120px 0px")
    rows.nth(4).locator("td").last.click()
    assert time_of(page) == pytest.approx(7, abs=0.01)
    page.keyboard.press("ArrowDown")
    expect(rows.nth(5).locator("a")).not_to_be_focused()  # it was a click: the keys are for the page
    rows.nth(4).locator("a").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert time_of(page) == pytest.approx(9.5, abs=0.01)
    assert page.locator(".mr-finds [tabindex='0']").count() == 1
    seek(page, 7.5)
    expect(page.locator(".mr-finds tr[aria-current] a")).to_have_text(["Scene 2", HOSTILE, "EF-456 GH"])
    for look in looks_of(page):
        photograph(page, f"finds-{look}")
        assert not is_wider_than_its_window(page)
    head = page.locator("[data-panel=finds] .mr-panel-head")
    expect(head.locator("p")).to_have_text(["Number platesJSONVTTCSV", "ScenesJSONVTTCSV"])
    with page.expect_download() as download:
        head.locator("a[download]", has_text="CSV").first.click()
    assert download.value.suggested_filename == "detections.csv"


def test_lanes_are_clicked_pointed_at_and_used_by_keys_and_follow_the_player(
    page: Page, server: Server, film: str
) -> None:
    rows = open_page(page, server, film)
    expect(rows).to_have_count(6)
    plates = lane(page, PLATES)
    box = plates.locator("canvas").bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 3.5 / 14, middle)
    preview = page.locator(".mr-find-lanes .mr-preview")
    expect(preview.locator(".mr-preview-time")).to_have_text("AB123CD · 93 % · 0:02–0:04")
    expect(preview.locator(".mr-preview-picture")).to_be_visible()
    photograph(page, "finds-pointed-at")
    page.mouse.down()
    page.mouse.up()
    assert time_of(page) == pytest.approx(2, abs=0.01)
    page.mouse.move(box["x"] + box["width"] * 12 / 14, middle)
    expect(preview).to_be_hidden()
    page.mouse.down()
    page.mouse.up()
    assert time_of(page) == pytest.approx(12, abs=0.1)
    scenes_lane = lane(page, "Scenes")
    expect(scenes_lane).to_have_attribute("aria-valuetext", "Scene 3, 0:09–0:14, 3 of 3")
    scenes_lane.focus()
    for key, time in (("Home", 0), ("ArrowRight", 5), ("End", 9.5), ("ArrowLeft", 5)):
        page.keyboard.press(key)
        assert time_of(page) == pytest.approx(time, abs=0.01)
    expect(scenes_lane).to_have_attribute("aria-valuenow", "2")
    inked = """() => {
      const drawn = document.querySelector('[data-detector=plates] canvas'), copy = document.createElement('canvas');
      Object.assign(copy, { width: drawn.width, height: drawn.height });
      const paper = copy.getContext('2d', { willReadFrequently: true });
      paper.drawImage(drawn, 0, 0);
      return [3, 5, 9].map((second) => paper.getImageData(drawn.width * second / 14, 5, 1, 1).data[3]);
    }"""
    assert page.evaluate(inked) == [255, 0, 255]


def test_one_filter_by_detector_text_and_confidence_is_for_lanes_boxes_and_table(
    page: Page, server: Server, film: str
) -> None:
    rows = open_page(page, server, film)
    count = page.locator("[name=count]")
    field = page.get_by_role("searchbox", name="Search in the finds")
    field.fill("ef456")
    expect(rows.locator("a")).to_have_text(["EF-456 GH"])
    expect(count).to_have_text("1 of 6")
    expect(lane(page, PLATES).locator("small")).to_have_text("1")
    field.fill("")
    page.get_by_label("Least confidence").fill("80")
    expect(rows.locator("a")).to_have_text(["Scene 1", "AB123CD", "Scene 2", "Scene 3"])
    page.get_by_role("checkbox", name="Scenes").uncheck()
    expect(rows.locator("a")).to_have_text(["AB123CD"])
    expect(lane(page, "Scenes")).to_be_hidden()
    seek(page, 7)
    expect(page.locator(".mr-box")).to_have_count(0)
    page.get_by_label("Least confidence").fill("0")
    expect(page.locator(".mr-box")).to_have_text([HOSTILE, "EF-456 GH"])
    field.fill("nobody")
    expect(rows).to_have_count(0)
    expect(count).to_have_text("0 of 6")


def test_a_box_is_where_the_find_is_in_the_picture_and_can_be_hidden(page: Page, server: Server, film: str) -> None:
    open_page(page, server, film)
    seek(page, 3)  # in the middle of its path
    box = page.locator(".mr-box")
    expect(box).to_have_text("AB123CD")
    picture, found = page.locator(".mr-boxes").bounding_box(), box.bounding_box()
    assert picture is not None
    assert found is not None
    assert found["x"] - picture["x"] == pytest.approx(0.4 * picture["width"], abs=0.03 * picture["width"])
    assert found["y"] - picture["y"] == pytest.approx(0.5 * picture["height"], abs=2)
    assert picture["width"] / picture["height"] == pytest.approx(16 / 9, rel=0.01)
    photograph(page, "finds-box")
    page.get_by_label("Boxes over the picture").uncheck()
    expect(box).to_have_count(0)
    page.get_by_label("Boxes over the picture").check()
    expect(box).to_have_count(1)
    seek(page, 5)
    expect(box).to_have_count(0)


def test_thousands_appear_on_an_open_page_as_a_piece_that_follows_the_player(
    page: Page, server: Server, content: bytes, tmp_path: Path
) -> None:
    pk = sent(server, content)
    rows = open_page(page, server, pk)
    expect(page.locator("[data-panel=finds]")).to_be_hidden()
    step = 14 / MANY
    finds = [plate(f"P{number}", number * step, number * step + 0.1, crop=number % 10) for number in range(MANY)]
    write_detections(tmp_path / "many", ["plates"], finds)
    server.call(finished_jobs.finish_job, pk, "detect", str(tmp_path / "many"), detectors=["plates"])
    page.evaluate("document.dispatchEvent(new Event('mr-finished'))")  # as the page does when a job has ended
    expect(rows).to_have_count(100)
    expect(lane(page, PLATES).locator("small")).to_have_text(str(MANY))
    page.get_by_role("button", name=f"Show 100 more of {MANY - 100}").click()
    expect(rows).to_have_count(200)
    page.locator("h2", has_text="Finds").click()  # out of the table
    page.mouse.move(0, 0)
    wait_for(page, "!document.querySelector('.mr-finds').matches(':hover, :focus-within')")
    seek(page, 7)
    expect(page.locator(".mr-finds tr[aria-current]").last.locator("a")).to_have_text(f"P{MANY // 2}")
    expect(rows).to_have_count(100)
    page.get_by_role("button", name="earlier ones").click()
    expect(rows).to_have_count(200)
    expect(page.locator(".mr-box")).to_have_count(40)  # not more, however many there are
    write_detections(tmp_path / "scenes", ["scenes"], scenes(0, 7, duration=14))
    server.call(finished_jobs.finish_job, pk, "detect", str(tmp_path / "scenes"), detectors=["scenes"])
    page.evaluate("document.dispatchEvent(new Event('mr-finished'))")
    expect(lane(page, "Scenes").locator("small")).to_have_text("2")
    expect(lane(page, PLATES).locator("small")).to_have_text(str(MANY))


def test_what_is_read_is_found_by_the_search_which_leads_to_its_second(page: Page, server: Server, film: str) -> None:
    server.call(texts.index_waiting)  # as housekeeping does
    page.goto(f"{server.url}/admin/uploads/mediafile/search/?q=ef+456")
    hit = page.locator(".mr-hits li")
    expect(hit).to_have_count(1)
    expect(hit).to_contain_text("plates, operator")
    expect(hit.locator("mark")).to_have_text(["EF", "456"])
    hit.get_by_role("link", name="film.mp4 at 0:07").click()
    wait_for(page, f"{MEDIA}?.readyState >= 1 && {MEDIA}.currentTime >= 7")
    expect(page.locator(".mr-finds tr[aria-current]").last).to_contain_text("EF-456 GH")


def test_what_cannot_be_read_says_so_and_what_is_empty_too(
    page: Page, server: Server, content: bytes, tmp_path: Path
) -> None:
    pk = sent(server, content)
    detectors = ["plates", "onnx:boats", "of a plug-in"]
    write_detections(tmp_path / "none", detectors, [])
    server.call(finished_jobs.finish_job, pk, "detect", str(tmp_path / "none"), detectors=detectors)
    open_page(page, server, pk)
    titles = ["Number plates none", "onnx:boats none", "of a plug-in none"]
    expect(page.locator(".mr-find-lane span")).to_have_text(titles)
    expect(page.locator("[data-panel=finds] [data-state]")).to_have_text("Nothing was found.")
    expect(lane(page, PLATES).locator("small")).to_have_text("none")
    (tmp_path / "none/detections.json").write_text("no JSON")
    server.call(finished_jobs.finish_job, pk, "detect", str(tmp_path / "none"), detectors=["plates"])
    page.evaluate("document.dispatchEvent(new Event('mr-finished'))")
    expect(page.locator("[data-panel=finds] [data-state]")).to_have_text("The finds cannot be read.")


def test_a_job_that_ends_while_the_page_is_shown_fills_it_with_its_scenes(
    page: Page, server: Server, tmp_path: Path
) -> None:
    pictures = "testsrc2=s=160x90:r=25:d=2[a];mandelbrot=s=160x90:r=25:end_pts=50,trim=duration=2[b];[a][b]concat"
    ffmpeg("-filter_complex", pictures, "-c:v", "libx264", "-pix_fmt", "yuv420p", str(tmp_path / "two.mp4"))
    pk = sent(server, (tmp_path / "two.mp4").read_bytes())
    submit(server, pk, "detect", USER, detectors=["scenes"])
    rows = open_page(page, server, pk)
    expect(rows).to_have_count(0)
    server.start_worker("heavy")
    expect(rows.locator("a")).to_have_text(["Scene 1", "Scene 2"])
    expect(lane(page, "Scenes").locator("small")).to_have_text("2")
    expect(page.locator("[data-panel=jobs]")).to_contain_text("(2 scenes)")
    rows.nth(1).locator("a").click()
    assert time_of(page) == pytest.approx(2, abs=0.05)
