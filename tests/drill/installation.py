"""A Millrace with files of several owners, made in every way there is, and what must still be true of each later."""

import hashlib
import json
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.drill import in_server
from tests.drill.stage import Broken
from tests.support.preloaded_processes import AnyProcess
from tests.support.server import (
    ROOT,
    Answer,
    Server,
    Template,
    drop_database,
    form_end,
    form_part,
    query,
)
from tests.support.tus_client import Client
from tests.support.tus_client import metadata as tus_metadata
from tests.support.waiting import wait_until

_SERVE = [sys.executable, str(ROOT / "manage.py"), "serve"]
_FILES = """SELECT f.id, f.name, u.username, b.sha256, b.key
FROM uploads_mediafile f JOIN uploads_blob b ON b.id = f.blob_id
JOIN auth_user u ON u.id = f.owner_id"""


@dataclass(frozen=True)
class Kept:
    """A file as it was promised, by an answer of 201 or as the artifact of a job that succeeded."""

    file: str
    name: str
    owner: str
    sha256: str


@dataclass
class Installation:
    server: Server
    film: bytes  # a real one, of which every file here is a variant
    kept: dict[str, Kept] = field(default_factory=dict)
    content: dict[str, bytes] = field(default_factory=dict)  # by its hash
    keys: dict[str, str] = field(default_factory=dict)  # of each file's bytes
    deleted: set[str] = field(default_factory=set)
    _worker: AnyProcess | None = None

    # Making files

    def unseen(self) -> bytes:
        more = uuid.uuid4().bytes
        content = self.film + (8 + len(more)).to_bytes(4, "big") + b"free" + more
        self.content[_sha256(content)] = content
        return content

    def put(self, owner: str, name: str, content: bytes = b"") -> str:
        return self._promise(self.server.put(name, content or self.unseen(), user=owner))

    def form(self, owner: str, name: str) -> str:
        body = form_part("file", self.unseen(), name) + form_end()
        return self._promise(self.server.post_form(body, user=owner))

    def tus(self, owner: str, name: str) -> str:
        path, content = self.half_tus(owner, name)
        return self.finish_tus(owner, path, content)

    def half_tus(self, owner: str, name: str) -> tuple[str, bytes]:
        client, content = Client(self.server, owner), self.unseen()
        path = client.new(len(content), tus_metadata(filename=name))
        client.patch(path, 0, content[: len(content) // 2])
        return path, content

    def finish_tus(self, owner: str, path: str, content: bytes) -> str:
        client = Client(self.server, owner)
        offset = client.offset(path)
        client.patch(path, offset, content[offset:])
        file = client.look(path)["file"]
        return self._promise(self.server.get(f"/api/v1/files/{file}/", user=owner), 200)

    def rename(self, file: str, name: str) -> None:
        owner = self.kept[file].owner
        body, headers = json.dumps({"name": name}).encode(), {"Content-Type": "application/json"}
        self._promise(self.server.request("PATCH", f"/api/v1/files/{file}/", body, headers, user=owner), 200)

    def delete(self, file: str) -> None:
        before = self._rows().keys()
        answer = self.server.request("DELETE", f"/api/v1/files/{file}/", user=self.kept[file].owner)
        assert answer.status == 204, answer
        gone = before - self._rows().keys()  # what jobs had made of it goes with it
        self.deleted |= gone
        self.kept = {key: kept for key, kept in self.kept.items() if key not in gone}

    def submit(self, file: str, operation: str = "thumbnail", **params: object) -> str:
        order = json.dumps({"operation": operation, "params": params, "file": file}).encode()
        headers = {"Content-Type": "application/json"}
        answer = self.server.request("POST", "/api/v1/jobs/", order, headers, user=self.kept[file].owner)
        assert answer.status in {200, 202}, answer
        return str(answer.json()["id"])

    def _promise(self, answer: Answer, status: int = 201) -> str:
        assert answer.status == status, answer
        said = answer.json()
        self.kept[said["id"]] = Kept(said["id"], said["name"], said["owner"], said["sha256"])
        return str(said["id"])

    def settle(self) -> None:
        """Wait until all jobs have ended and every sidecar is written."""
        unfinished = "SELECT count(*) FROM media_jobs_job WHERE finished_at IS NULL"
        for statement in (unfinished, "SELECT count(*) FROM uploads_sidecarchange"):
            self.wait_for(lambda statement=statement: query(self.server, statement) == [(0,)], statement)  # type: ignore[misc]

    def note(self) -> None:
        """What jobs have made was promised, too."""
        self.settle()
        for file, key in self._rows().values():
            self.keys[file.file] = key
            if self.kept.setdefault(file.file, file) != file:
                raise Broken(f"{file} should be {self.kept[file.file]}")
            if file.sha256 not in self.content:
                self.content[file.sha256] = self._download(file)

    def _rows(self) -> dict[str, tuple[Kept, str]]:
        """Every file that the database knows, and the key of its bytes."""
        files = {str(uuid.UUID(str(row[0]))): row for row in query(self.server, _FILES)}
        return {file: (Kept(file, *row[1:4]), row[4]) for file, row in files.items()}

    def wait_for(self, happened: Callable[[], object], what: str) -> None:
        try:
            wait_until(happened, 90)
        except AssertionError:
            raise Broken(f"waited 90 s in vain for: {what}") from None

    # What must hold

    def bytes_there(self) -> set[str]:
        """The hashes of all content, half uploads too, in its place or in quarantine."""
        stored = [path for path in self.server.local_files() if path.suffix != ".note"]
        return {_sha256(path.read_bytes()) for path in [*stored, *self.server.quarantined()]}

    def hours_pass(self) -> None:
        self.server.manage("housekeeping", "--now")
        self.server.call(in_server.delete_bytes_hours_later)

    def check_files(self, but: frozenset[str] = frozenset()) -> int:
        """Every file is back with its id, name, owner and bytes; except those, of which only the bytes are lost."""
        rows = {file: kept for file, (kept, _) in self._rows().items()}
        for file in self.kept.values():
            if rows.get(file.file) != file:
                raise Broken(f"{file} is {rows.get(file.file)} now")
            if file.file not in but and _sha256(self._download(file)) != file.sha256:
                raise Broken(f"{file.name} has other bytes")
        if back := self.deleted & rows.keys() - but:
            raise Broken(f"deleted files are back: {back}")
        return len(self.kept)

    def _download(self, file: Kept) -> bytes:
        answer = self.server.get(f"/api/v1/files/{file.file}/content", user=file.owner)
        if answer.status != 200:
            raise Broken(f"{file.name} of {file.owner} cannot be downloaded: {answer.status} {answer.body[:200]!r}")
        return answer.body

    def fsck(self, *words: str) -> tuple[bool, str]:
        """Whether it says that all is well, and everything that it says."""
        done = self.server.manage("fsck", *words, check=False)
        is_well = done.returncode == 0
        if is_well != ("no problems found" in done.stdout):
            raise Broken(f"fsck ends with {done.returncode} and says: {done.stdout + done.stderr}")
        return is_well, done.stdout + done.stderr

    def check_fsck(self) -> None:
        is_well, said = self.fsck("--deep", "--grace", "0")
        if not is_well:
            raise Broken(f"fsck --deep: {said}")

    # Running

    def start(self) -> None:
        self.server.start()
        self.server.run_beside("housekeeping")
        self.start_worker()

    def start_worker(self) -> None:
        self._worker = self.server.start_worker()

    def stop_worker(self) -> None:
        if self._worker is not None:
            self._worker.terminate()
            self._worker.wait(60)

    def renew_tokens(self) -> None:
        """What an administrator does after a rebuild: activate the accounts, and give their owners new tokens."""
        self.server.call(in_server.activate_accounts)
        for owner in {file.owner for file in self.kept.values()}:
            self.server.tokens[owner] = self.server.manage("token", owner).stdout.split()[-1]

    def serve(self) -> str:
        """Start `manage.py serve`. Answers with its refusal, or nothing when it runs, and is stopped again."""
        with tempfile.TemporaryFile("w+") as output:
            process = subprocess.Popen(
                _SERVE, cwd=ROOT, env=self.server.environment, stdout=output, stderr=output, start_new_session=True
            )
            try:
                wait_until(lambda: process.poll() is not None or self._is_ready(), 90)
                output.seek(0)
                return output.read() if process.poll() is not None else ""
            finally:
                process.terminate()
                process.wait(60)

    def _is_ready(self) -> bool:
        with suppress(OSError):
            return self.server.get("/readyz").status == 200
        return False

    def check_refused(self, *words: str) -> str:
        said = self.serve()
        if not said:
            raise Broken("serve started")
        if missing := [word for word in words if word not in said]:
            raise Broken(f"serve refused without speaking of {missing}: {said}")
        return said


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@contextmanager
def installations(template: Template, folder: Path, film: bytes) -> Iterator[Callable[[], Installation]]:
    """Call it for a new home, and on PostgreSQL a new database, with web, housekeeping and a worker running."""
    servers: list[Server] = []
    databases: set[str] = set()

    def begin() -> Installation:
        home = folder / f"home-{uuid.uuid4().hex[:8]}"
        server = Server(
            home,
            dict(template.tokens),
            template.copy_to(home),
            {"LEASE": "3s", "SLOTS_BULK": "0", "SLOTS_HEAVY": "0", "SLOTS_QUICK": "0"},
        )
        servers.append(server)
        databases.add(server.database_url)
        made = Installation(server, film)
        server.call(in_server.give_storage_an_identity)
        made.start()
        return made

    try:
        yield begin
    finally:
        for server in servers:
            databases.add(server.database_url)
            server.end()
        for url in databases:
            drop_database(url)


def furnish(made: Installation) -> tuple[str, bytes]:
    """Files of three owners. Answers with the half upload: its path and all its bytes."""
    first = made.put("alice", "alpha.mp4")
    made.form("bob", "beta.mp4")
    made.tus("alice", "gamma.mp4")
    made.put("bob", "alpha too.mp4".replace(" ", "%20"), made.content[made.kept[first].sha256])
    made.put("admin", "of the administrator.mp4".replace(" ", "%20"))
    made.rename(made.put("bob", "old.mp4"), "größer.mp4")
    made.submit(first, width=160)
    doomed = made.put("alice", "doomed.mp4")
    made.note()
    made.delete(doomed)
    half = made.half_tus("alice", "half.mp4")
    made.note()
    return half
