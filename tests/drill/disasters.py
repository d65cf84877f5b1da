"""What may happen to a database, a store or a secret key; then what README says to do; and nothing may be lost.

Between the disaster and the way out housekeeping runs, as if hours went by: no byte may be deleted meanwhile.
"""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.drill import in_server
from tests.drill.installation import Installation, furnish, installations
from tests.drill.outcomes import Outcome
from tests.drill.stage import Broken
from tests.support.admin_client import signed_in
from tests.support.server import Template, sql

ADOPT = ("manage.py adopt-storage", "manage.py rebuild", "manage.py restore")


@dataclass
class Scene:
    """What a disaster works with: an installation with files, and the means to make another."""

    here: Installation
    half: tuple[str, bytes]
    another: Callable[[], Installation]
    outcome: Outcome

    def wait_for_hours(self, before: set[str]) -> None:
        """Housekeeping does all that it would do in hours, and deletes none of these bytes."""
        self.here.hours_pass()
        gone = before - self.here.bytes_there()
        self.outcome.deleted += len(gone)
        if gone:
            whose = [file.name for file in self.here.kept.values() if file.sha256 in gone]
            raise Broken(f"bytes were deleted, among them those of {whose}: {gone}")


Disaster = Callable[[Scene], str]  # answers with what was done, and what it led to


def lose_database(scene: Scene) -> str:
    here, before = scene.here, scene.here.bytes_there()
    here.server.kill()
    take_database_away(here)
    here.check_refused(*ADOPT)
    scene.outcome.refused = "yes"
    scene.wait_for_hours(before)
    here.server.manage("adopt-storage", "--yes")
    scene.wait_for_hours(before)
    here.server.manage("rebuild")
    scene.wait_for_hours(before)
    if said := here.serve():
        raise Broken(f"serve does not start after rebuild: {said}")
    here.start()
    here.renew_tokens()
    return f"adopt-storage, rebuild: {_all_back(scene)}"


def restore_older_database(scene: Scene) -> str:
    here = scene.here
    changed, doomed, lost = (here.put("alice", f"{name}.mp4") for name in ("changed", "doomed", "lost"))
    here.note()
    lost_sha256 = here.kept[lost].sha256
    _bytes_of(here, lost).unlink()
    here.fsck("--repair")
    here.stop_worker()
    job = here.submit(changed, width=200)
    snapshot = here.server.manage("backup", str(here.server.home / "mine")).stdout.split(": the database")[0]
    newer = _go_on_after_snapshot(scene, changed, doomed, lost_sha256)
    token, before = _token_of(here, job), here.bytes_there()
    here.server.kill()

    told = here.server.manage("restore", snapshot).stdout
    if "manage.py rebuild" not in told:
        raise Broken(f"restore does not tell of the newer files: {told}")
    sha256 = here.kept[newer].sha256
    here.server.call(in_server.catch_half_way, job, token, here.keys[newer], sha256, len(here.content[sha256]))
    scene.outcome.refused = "no"
    here.start()
    scene.wait_for_hours(before)
    here.settle()  # the job runs again
    here.delete(changed)  # its bytes are those of a newer file, which the database does not know
    scene.wait_for_hours(before)
    here.server.manage("rebuild")
    scene.wait_for_hours(before)
    here.fsck("--repair", "--grace", "0")  # writes the sidecars of files that were deleted after the snapshot
    here.note()
    files = here.check_files(but=frozenset(here.deleted))
    _, said = here.fsck("--deep", "--grace", "0")
    wrong = [line for line in said.splitlines() if " bytes)" in line]
    if not wrong or any(f"bytes are missing: {here.keys[doomed]}" not in line for line in wrong):
        raise Broken(f"fsck speaks of more than the file that was deleted after the snapshot: {said}")
    return f"restore, rebuild, fsck --repair: {files} of {files} files; fsck names the one deleted after the snapshot"


def _go_on_after_snapshot(scene: Scene, changed: str, doomed: str, lost_sha256: str) -> str:
    """All that the snapshot does not know. Answers with a file that is new."""
    here = scene.here
    here.start_worker()
    here.finish_tus("alice", *scene.half)
    newer = here.put("bob", "newer.mp4")
    here.put("bob", "shared.mp4", here.content[here.kept[changed].sha256])
    here.put("bob", "sent again.mp4".replace(" ", "%20"), here.content[lost_sha256])  # which heals the other
    here.submit(newer, width=240)
    here.rename(changed, "changed since.mp4")
    here.note()
    here.delete(doomed)
    here.note()
    return newer


def mount_another_store(scene: Scene) -> str:
    here, other = scene.here, scene.another()
    furnish(other)
    before, others = here.bytes_there(), other.bytes_there()
    aside = here.server.home / "aside"
    here.server.media.rename(aside)
    other.server.media.rename(here.server.media)  # while both run
    aside.rename(other.server.media)
    for each in (here, other):
        _check_takes_nothing(each)
        each.hours_pass()
        each.server.kill()
        each.check_refused("another installation", *ADOPT)
        each.hours_pass()
    scene.outcome.refused = "yes, both"
    here.server.media.rename(aside)
    other.server.media.rename(here.server.media)
    aside.rename(other.server.media)
    for each, had in ((here, before), (other, others)):
        gone = had - each.bytes_there()
        scene.outcome.deleted += len(gone)
        each.start()
        each.check_files()
        each.check_fsck()
    scene.wait_for_hours(before)
    return f"mounted again: {_all_back(scene)}, and {len(other.kept)} of {len(other.kept)} of the other"


def empty_store(scene: Scene) -> str:
    here, before = scene.here, scene.here.bytes_there()
    aside = here.server.home / "unmounted"
    here.server.media.rename(aside)
    here.server.media.mkdir()
    _check_takes_nothing(here)
    here.hours_pass()
    here.server.kill()
    here.check_refused("the store is empty", *ADOPT)
    scene.outcome.refused = "yes"
    here.hours_pass()
    if left := list(here.server.media.iterdir()):
        raise Broken(f"something was written to the empty mount point: {left}")
    here.server.media.rmdir()
    aside.rename(here.server.media)
    here.start()
    scene.wait_for_hours(before)
    return f"mounted again: {_all_back(scene)}"


def lose_half_of_the_store(scene: Scene) -> str:
    here = scene.here
    here.server.kill()
    paths = [path for path in here.server.local_files() if path.parent.name != "partial"]
    lost = {path.name for path in paths[::2]}
    for path in paths[::2]:
        path.unlink()
    before = here.bytes_there()
    here.start()
    scene.outcome.refused = "no"
    scene.wait_for_hours(before)
    for words in ((), ("--deep",), ("--repair",), ("--repair", "--yes")):
        is_well, said = here.fsck(*words)
        named = {key for key in lost if f"bytes are missing: {key}" in said}
        if is_well or named != lost:
            raise Broken(f"fsck {' '.join(words)} does not name {lost - named}: {said}")
    scene.wait_for_hours(before)
    gone = [file for file in here.kept.values() if here.keys[file.file] in lost]
    here.check_files(but=frozenset(file.file for file in gone))
    for content in {file.sha256: here.content[file.sha256] for file in gone}.values():
        here.put("bob", "again.mp4", content)
    return f"sent again, {len(lost)} lost contents: {_all_back(scene)}"


def lose_secret_key(scene: Scene) -> str:
    here, before = scene.here, scene.here.bytes_there()
    browser = signed_in(here.server, "operator")
    here.server.kill()
    (here.server.home / "secret_key").unlink()
    here.server.ready.end()  # which has read it
    here.start()
    scene.outcome.refused = "no"
    scene.wait_for_hours(before)
    if browser.request("GET", "/admin/").status != 302:
        raise Broken("a session outlives the secret key")
    here.server.cookies.clear()
    signed_in(here.server, "operator")
    return f"tokens work, sessions ended: {_all_back(scene)}"


DISASTERS: dict[str, Disaster] = {
    "disasters: database lost": lose_database,
    "disasters: older database restored over a newer store": restore_older_database,
    "disasters: another installation's store mounted": mount_another_store,
    "disasters: store emptied": empty_store,
    "disasters: half of the store gone": lose_half_of_the_store,
    "disasters: secret key lost": lose_secret_key,
}


def play(name: str, template: Template, folder: Path, film: bytes) -> Outcome:
    outcome = Outcome()
    began = time.monotonic()
    with installations(template, folder, film) as begin:
        try:
            here = begin()
            half = furnish(here)
            outcome.files = len(here.kept)
            outcome.after = DISASTERS[name](Scene(here, half, begin, outcome))
        except (Broken, AssertionError) as error:
            outcome.verdict = f"BROKEN: {error}"
    outcome.after += f" ({time.monotonic() - began:.0f} s)"
    return outcome


def _all_back(scene: Scene) -> str:
    files = scene.here.check_files()
    scene.here.check_fsck()
    return f"{files} of {files} files, fsck --deep is clean"


def _check_takes_nothing(here: Installation) -> None:
    ready, taken = here.server.get("/readyz").status, here.server.put("more.mp4", here.unseen())
    if (ready, taken.status) != (503, 503):
        raise Broken(f"with the wrong store /readyz says {ready}, and an upload is answered by {taken.status}")


def take_database_away(here: Installation) -> None:
    if here.server.database_url:
        base = here.server.database_url.rpartition("/")[0]
        here.server.database_url = f"{base}/millrace_{uuid.uuid4().hex[:12]}"
        sql(here.server.database_url, f'CREATE DATABASE "{here.server.database_url.rpartition("/")[2]}"')
        return
    for path in here.server.home.glob("*.sqlite3*"):
        path.rename(path.with_name(f"lost-{path.name}.away"))


def _bytes_of(here: Installation, file: str) -> Path:
    return here.server.media / here.keys[file][:2] / here.keys[file]


def _token_of(here: Installation, job: str) -> str:
    """Of the attempt that made its artifact, whose key begins with it."""
    artifact = here.server.get(f"/api/v1/jobs/{job}/", user="alice").json()["artifacts"][0]
    return here.keys[artifact["file"]].partition(".")[0]
