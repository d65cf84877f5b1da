"""What `ingest` must never do: take away the last good copy of a file, or anything that is not to be taken."""

import io
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from uploads.errors import InvalidParams
from uploads.models import Blob, MediaFile
from uploads.storage.blobs import local_path
from uploads.storage.marker import adopt
from uploads.storage.stores import sink
from uploads.transfers.ingest.files import Mode, ingest_file
from uploads.transfers.ingest.storing import Outcome

pytestmark = pytest.mark.django_db
Film = Callable[..., bytes]
MODES = ["copy", "move", "link"]


@pytest.fixture(autouse=True)
def home(settings: Any, tmp_path: Path) -> Path:
    """A home with a store of its own, and what else Millrace keeps there."""
    made = tmp_path / "home"
    (made / "work").mkdir(parents=True)
    (made / "secret_key").write_text("secret")
    private = (made / "work", made / "secret_key")
    settings.UPLOADS = replace(settings.UPLOADS, media_root=made / "media", private=private, accept=None)
    User.objects.create(username="alice")
    adopt(sink())
    return made


@pytest.fixture
def source(tmp_path: Path, film: Film) -> Path:
    made = tmp_path / "film.mp4"
    made.write_bytes(film())
    return made


def run(*words: str | Path, mode: str = "copy") -> tuple[str, str]:
    """The summary of `manage.py ingest`, and its complaints."""
    out, complaints = io.StringIO(), io.StringIO()
    options = [] if mode == "copy" else [f"--{mode}"]
    try:
        call_command("ingest", "--owner", "alice", *options, *map(str, words), stdout=out, stderr=complaints)
    except CommandError as error:
        assert "refused" in str(error)  # noqa: PT017  # the summary says of what
    return out.getvalue().strip(), complaints.getvalue()


def stored() -> Path:
    """Where the bytes of the only file are."""
    path = local_path(MediaFile.objects.get().blob)
    assert path is not None
    return path


def lose(how: str) -> None:
    match how:
        case "gone":
            stored().unlink()
        case "cut short":
            content = stored().read_bytes()[:1000]
            stored().unlink()  # it may be a link to the source
            stored().write_bytes(content)
        case "given up by fsck":
            stored().unlink()
            Blob.objects.update(state=Blob.State.MISSING)


# Bytes that the storage has lost


@pytest.mark.parametrize("how", ["gone", "cut short", "given up by fsck"])
@pytest.mark.parametrize("again", MODES)
def test_a_file_whose_bytes_are_lost_is_healed_by_its_source(source: Path, again: str, how: str) -> None:
    content = source.read_bytes()
    assert run(source) == ("1 ingested, 0 already stored, 0 refused.", "")
    before = MediaFile.objects.values().get()
    lose(how)
    assert run(source, mode=again) == ("0 ingested, 0 already stored, 1 restored, 0 refused.", "")
    assert MediaFile.objects.values().get() == before
    assert (stored().read_bytes(), source.exists()) == (content, again != "move")
    assert Blob.objects.get().state == Blob.State.STORED
    assert [path for path in sink().walk() if path.key != stored().name] == []


def test_a_move_takes_away_what_is_in_already(source: Path) -> None:
    content = source.read_bytes()
    run(source, mode="link")
    assert run(source, mode="move") == ("0 ingested, 1 already stored, 0 refused.", "")
    assert (stored().read_bytes(), source.exists()) == (content, False)


def test_lost_bytes_are_not_replaced_by_others(source: Path, film: Film) -> None:
    run(source)
    lose("gone")
    found = source.stat()
    source.write_bytes(film())
    os.utime(source, ns=(found.st_atime_ns, found.st_mtime_ns))  # whoever looks at size and date is deceived
    said, complaint = run(source, mode="move")
    assert said == "0 ingested, 0 already stored, 1 refused."
    assert "different content" in complaint
    assert (source.exists(), stored().exists(), list(sink().walk())) == (True, False, [])


def test_a_full_quota_keeps_no_file_from_being_healed(source: Path, settings: Any) -> None:
    run(source)
    lose("gone")
    settings.UPLOADS = replace(settings.UPLOADS, quota=source.stat().st_size)
    assert run(source)[0] == "0 ingested, 0 already stored, 1 restored, 0 refused."


def test_nothing_is_healed_on_a_disk_that_is_not_ours(home: Path, source: Path) -> None:
    run(source)
    (home / "media").rename(home / "unmounted")
    (home / "media").mkdir()
    said, complaint = run(source, mode="move")
    assert (said, source.exists()) == ("0 ingested, 0 already stored, 1 refused.", True)
    assert "cannot reach its storage" in complaint


# Symbolic links


def test_a_symbolic_link_is_copied_as_what_it_leads_to(source: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.mp4"
    link.symlink_to(source)
    assert run(link)[0] == "1 ingested, 0 already stored, 0 refused."
    assert (MediaFile.objects.get().name, stored().read_bytes()) == ("link.mp4", source.read_bytes())
    assert not stored().is_symlink()


@pytest.mark.parametrize("mode", ["move", "link"])
def test_a_symbolic_link_is_neither_moved_nor_linked(source: Path, tmp_path: Path, mode: str) -> None:
    link = tmp_path / "link.mp4"
    link.symlink_to(source)
    said, complaint = run(link, mode=mode)
    assert (said, "symbolic link" in complaint) == ("0 ingested, 0 already stored, 1 refused.", True)
    assert (link.is_symlink(), source.exists(), list(sink().walk())) == (True, True, [])


@pytest.mark.parametrize("mode", ["move", "link"])
@pytest.mark.parametrize("by", ["another file", "a symbolic link"])
def test_a_file_that_is_replaced_while_it_is_read_is_not_taken(
    source: Path, tmp_path: Path, film: Film, mode: str, by: str
) -> None:
    moved = tmp_path / "moved.mp4"

    def swap(_: int) -> None:
        if moved.exists():
            return
        source.rename(moved)
        if by == "a symbolic link":
            source.symlink_to(moved)  # to the same bytes
        else:
            source.write_bytes(film())

    with pytest.raises(InvalidParams, match="changed"):
        ingest_file(source, User.objects.get(), Mode(mode), swap)
    assert (os.path.lexists(source), moved.exists()) == (True, True)
    assert (MediaFile.objects.count(), list(sink().walk())) == (0, [])


# What is Millrace's own


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("way", ["the file", "its folder", "a link to the store"])
def test_nothing_of_the_store_is_taken_in(home: Path, source: Path, tmp_path: Path, mode: str, way: str) -> None:
    run(source)
    source.unlink()
    (tmp_path / "link").symlink_to(home / "media")
    path = {"the file": stored(), "its folder": stored().parent, "a link to the store": tmp_path / "link"}[way]
    said, complaint = run(path, mode=mode)
    assert said == "0 ingested, 0 already stored, 1 refused."
    assert "belongs to Millrace itself" in complaint
    assert (MediaFile.objects.count(), stored().exists()) == (1, True)


@pytest.mark.parametrize("linked", [False, True], ids=["plain", "by a linked folder"])
def test_what_millrace_keeps_is_left_out_of_a_folder_around_it(
    home: Path, source: Path, tmp_path: Path, linked: bool
) -> None:
    run(source)
    shutil.move(source, home / "film.mp4")
    (home / "work" / "half.mp4").write_bytes(b"half")
    named = home
    if linked:
        named = tmp_path / "linked"
        named.symlink_to(home)
    said, complaint = run(named, mode="move")
    assert said == "1 ingested, 0 already stored, 0 refused."
    assert sorted(line.partition(":")[0] for line in complaint.splitlines()) == [
        str(named / "media"), str(named / "secret_key"), str(named / "work"),
    ]  # fmt: skip
    assert (home / "secret_key").exists()
    assert (home / "work" / "half.mp4").exists()
    assert not (home / "film.mp4").exists()


# What is no file


def test_odd_sources_are_refused_one_by_one_and_the_others_go_on(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    shutil.move(source, folder / "film.mp4")
    os.mkfifo(folder / "pipe")
    said, complaint = run(folder, Path("/dev/zero"), mode="move")
    assert said == "1 ingested, 0 already stored, 2 refused."
    assert complaint.splitlines() == [
        f"{path}: This is not a regular file." for path in (folder / "pipe", "/dev/zero")
    ]
    assert (folder / "pipe").exists()


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Path]:
    """A folder that this process may not look into."""
    folder = Path(tempfile.mkdtemp())  # the folders above tmp_path are closed, too
    (folder / "film.mp4").touch()
    folder.chmod(0)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    yield folder
    if root:
        os.seteuid(0)
    folder.chmod(0o700)
    shutil.rmtree(folder)


def test_what_cannot_be_read_is_refused(closed: Path) -> None:
    said, complaint = run(closed, closed / "film.mp4")
    assert said == "0 ingested, 0 already stored, 2 refused."
    assert complaint.splitlines() == [
        f"{closed}: This is a folder that cannot be read.",
        f"{closed / 'film.mp4'}: Permission denied",
    ]


def test_the_outcome_is_told(source: Path) -> None:
    owner = User.objects.get()
    outcomes = [ingest_file(source, owner, Mode.COPY, lambda _: None)[1] for _ in range(2)]
    assert outcomes == [Outcome.INGESTED, Outcome.SKIPPED]
