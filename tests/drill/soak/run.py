"""The soak itself: an installation, its clients, a fault a minute, a sample every few seconds, and the verdict."""

import contextlib
import hashlib
import shutil
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.drill.soak import samples
from tests.drill.soak.clients import THREADS, start_all_threads
from tests.drill.soak.faults import CALM, FAULTS, MIN_FREE, WARN_FREE, at_minute
from tests.drill.soak.ledger import Ledger
from tests.drill.soak.load import Load
from tests.drill.soak.scene import Scene
from tests.drill.stage import Broken, make_film
from tests.support.admin_client import signed_in
from tests.support.mail_server import MailServer, mail_server
from tests.support.processes import descendants
from tests.support.serve_process import Serve
from tests.support.server import ROOT, Server, Template, drop_database, make_template, query
from tests.support.small_disks import MIB, small_disk
from tests.support.waiting import wait_until

EVERY = 2.0  # seconds between samples
DISK = 6 * 1024 * MIB
KEPT_LOG = ROOT / "var/soak.log"
Say = Callable[[str], None]
_UNFINISHED = "SELECT count(*) FROM media_jobs_job WHERE finished_at IS NULL"
_ENDED = "SELECT operation, status, error_code, count(*) FROM media_jobs_job GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
_REASONS = {"insufficient_storage"}  # that a fault gives a job


def soak(folder: Path, base_url: str, broker_url: str, minutes: float, say: Say) -> int:
    """Answers with the number of broken promises."""
    with (
        mail_server() as mails,
        _disk(folder, say) as (place, has_own_disk),
        _template(place, base_url) as template,
        installed(place, template, broker_url, mails) as (serve, server),
    ):
        load = Load(server, signed_in(server, "operator"), make_film(folder, 2), Ledger())
        scene = Scene(serve, load, mails, has_own_disk)
        broken = judge(scene, hurt(scene, minutes * 60, say), say)
        if broken:
            KEPT_LOG.parent.mkdir(exist_ok=True)
            shutil.copy(serve.log, KEPT_LOG)
            say(f"What the processes logged is in {KEPT_LOG.relative_to(ROOT)}.")
        return broken


def hurt(
    scene: Scene, seconds: float, say: Say, faults: Callable[[int], str] = at_minute, every: float = 60.0
) -> list[samples.Sample]:
    """Load, faults and samples, for so long."""
    start_all_threads(scene)
    load, began = scene.load, time.monotonic()
    watch = _Watch(scene, began)
    load.begin()
    watch.begin()
    number = 0
    while (now := time.monotonic() - began) < seconds:
        if now >= every * (number + 0.5):
            name = faults(number)
            try:
                words = FAULTS[name](scene)
            except (Broken, OSError, KeyError) as error:
                words = f"BROKEN: {error!r}"
                load.ledger.complain(f"{name}: {error}")
            say(f"{now:5.0f} s  {name}: {words}")
            number += 1
        time.sleep(0.2)
    load.end()
    watch.end()
    return watch.taken


class _Watch:
    """A thread that samples, and lets the clients' pace follow."""

    def __init__(self, scene: Scene, began: float) -> None:
        self._scene, self._began, self.taken = scene, began, list[samples.Sample]()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go_on, daemon=True)
        self.begin = self._thread.start

    def _go_on(self) -> None:
        while not self._over.wait(EVERY):
            serve = self._scene.serve
            self._scene.load.adjust([serve.pid, *descendants(serve.pid)])
            metrics = self._scene.load.ask("GET", "/metrics")
            with contextlib.suppress(OSError):
                self.taken += samples.take(serve, self._began, metrics.body.decode() if metrics else "")

    def end(self) -> None:
        self._over.set()
        self._thread.join()


def judge(scene: Scene, taken: list[samples.Sample], say: Say, warm_up: float = samples.WARM_UP) -> int:
    ledger, found = scene.load.ledger, samples.trends(taken, warm_up)
    say(f"\n{samples.as_table(found)}\n")
    broken = [f"{each.subject}: {each.figure} grows" for each in found if not each.is_flat]
    broken += ledger.wrong + _alerts(scene, say) + _jobs(scene, say) + _files(scene, say) + _left_over(scene)
    shares, business = (statistics.mean(each or [0.0]) for each in (scene.load.shares, scene.load.business))
    say(f"{ledger.answers.total()} answers, for {shares:.0%} of the machine, which was busy by {business:.0%}")
    for (kind, status), number in sorted(ledger.answers.items()):
        if status >= 400 or not status:
            say(f"  {number:6}  {status or 'cut off'}  {kind}")
    say(f"excused, as faults were on: {dict(ledger.excused) or 'none'}")
    for words in broken:
        say(f"BROKEN: {words}")
    return len(broken)


def _alerts(scene: Scene, say: Say) -> list[str]:
    """The end of an alert is mailed, too, if the soak went on for long enough."""
    broken = []
    for code, ended in scene.ended.items():
        over = scene.is_mailed(code, "resolved")
        waited = time.monotonic() - ended
        say(f"alert {code}: {'its end was mailed' if over else f'its end was not mailed in {waited:.0f} s'}")
        if not over and waited > CALM:
            broken.append(f"the end of the alert {code} was not mailed")
    return broken


def _jobs(scene: Scene, say: Say) -> list[str]:
    try:
        wait_until(lambda: query(scene.load.server, _UNFINISHED) == [(0,)], 240)
    except AssertionError:
        return [f"jobs did not end: {query(scene.load.server, _UNFINISHED)}"]
    ended = query(scene.load.server, _ENDED)
    say(
        "jobs: "
        + "; ".join(f"{number} {operation} {status} {code}".rstrip() for operation, status, code, number in ended)
    )
    return [
        f"{number} jobs {operation} {status}: {code}"
        for operation, status, code, number in ended
        if status != "succeeded" and code not in _REASONS
    ]


def _files(scene: Scene, say: Say) -> list[str]:
    """Every file that was accepted is there, and whole."""
    lost, files = [], dict(scene.load.ledger.files)
    for file, content in files.items():
        answer = scene.load.ask("GET", f"/api/v1/files/{file}/content")
        if answer is None or hashlib.sha256(answer.body).hexdigest() != content.sha256:
            lost.append(f"file {file}: {answer.status if answer else 'cut off'}")
    fsck = scene.load.server.manage("fsck", "--deep", check=False)
    said = fsck.stdout.strip().splitlines()[-1:]
    say(f"files: {len(files) - len(lost)} of {len(files)} are there and whole; fsck --deep: {' '.join(said)}")
    return lost + ([f"fsck --deep: {fsck.stdout}"] if fsck.returncode else [])


def _left_over(scene: Scene) -> list[str]:
    """Without clients and jobs no scratch and no half file remains."""
    home = scene.serve.home
    folders = (home / "work",)
    try:
        wait_until(lambda: not any(any(folder.iterdir()) for folder in folders), 90)
    except AssertionError:
        return [f"left in {folder}: {len(list(folder.iterdir()))} entries" for folder in folders]
    return []


@contextmanager
def installed(
    place: Path, template: Template, broker_url: str, mails: MailServer, **settings: str
) -> Iterator[tuple[Serve, Server]]:
    """`serve` as a person starts it, ready; and a client of it."""
    home = place / "home"
    url = template.copy_to(home)
    settings = {
        "LEASE": "10s", "ATTEMPTS": "9", "THREADS": str(THREADS), "MAX_UPLOADS_PER_USER": "100",
        "MIN_FREE": str(MIN_FREE),
        "WARN_FREE": str(WARN_FREE), "ALERT_EMAIL": "ops@example.com", **settings,
    }  # fmt: skip
    variables = {"EMAIL_URL": f"smtp://127.0.0.1:{mails.port}", "BROKER_URL": broker_url}
    serve = Serve(home, url, settings, variables=variables)
    server = Server(home, template.tokens, url, settings, broker_url, port=serve.port, variables=variables)
    try:
        serve.start()
        yield serve, server
    finally:
        serve.end()
        server.ready.end()
        drop_database(url)


@contextmanager
def _template(place: Path, base_url: str) -> Iterator[Template]:
    template = make_template(place / "template", base_url)
    try:
        yield template
    finally:
        drop_database(template.database_url)


@contextmanager
def _disk(folder: Path, say: Say) -> Iterator[tuple[Path, bool]]:
    """A disk of our own, which can be filled; or a folder, where none can be mounted."""
    with contextlib.ExitStack() as stack:
        try:
            place = stack.enter_context(small_disk(folder, DISK))
        except pytest.skip.Exception as reason:
            say(f"No disk will be filled: {reason}")
            yield folder, False
        else:
            yield place, True
