import hashlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imageio_ffmpeg
from django.core.management.base import CommandError
from tqdm import tqdm

from config.processes.supervisor import manage
from uploads.management.terminal_command import TerminalCommand
from uploads.text.terminal_safety import printable

_PIECE = 256 * 1024
_READY_WITHIN = 60.0
_SHOWN = ("codec", "width", "height", "fps", "sample_rate", "layout")
_JOB_BAR = "{percentage:3.0f}%|{bar:30}| {desc}"


class Command(TerminalCommand):
    help = (
        "Start a second Millrace in a temporary folder, make a clip, upload, inspect and convert it, and download it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--seconds", type=int, default=20, help="length of the clip (%(default)s)")
        parser.add_argument(
            "--keep", type=Path, metavar="FILE", help="keep the clip under this name, to try things with"
        )

    def handle(self, *args: Any, seconds: int, keep: Path | None, **options: Any) -> None:
        if keep is not None and keep.exists():
            raise CommandError(f"{keep} exists. Choose another name.")
        with tempfile.TemporaryDirectory(prefix="millrace-demo-") as home:
            clip = self._make_clip(Path(home) / "demo.mp4", seconds)
            if keep is not None:
                shutil.copyfile(clip, keep)
                self.stdout.write(f"The clip is kept as {keep}.")
            port = _free_port()
            environment = os.environ | {
                "MILLRACE_HOME": home,
                "MILLRACE_PORT": str(port),
                "MILLRACE_ENV_FILE": "none",
            }
            environment.pop("DATABASE_URL", None)
            with (Path(home) / "server.log").open("wb") as log:
                server = subprocess.Popen(  # noqa: S603  # our own command
                    manage("serve", "--with-parent"), env=environment, stdout=log, stderr=log
                )
            try:
                self._walk(port, clip, environment)
            finally:
                server.terminate()
                server.wait()

    def _walk(self, port: int, clip: Path, environment: dict[str, str]) -> None:
        self._wait(port)
        token = subprocess.check_output(  # noqa: S603  # our own command
            manage("token", "admin"), env=environment, text=True, stderr=subprocess.DEVNULL
        ).strip()
        self._client = (port, {"Authorization": f"Bearer {token}"})
        file = self._upload(clip)
        for name in ("id", "media_type", "size", "sha256"):
            self.stdout.write(f"  {name:11} {file[name]}")
        if self._download(file) != hashlib.sha256(clip.read_bytes()).hexdigest():
            raise CommandError("The downloaded file differs from the uploaded one.")
        self.stdout.write("The downloaded file is identical to the uploaded one.", self.style.SUCCESS)
        self._show_facts(file)
        self._run("thumbnail", file, at="50%", width=640)
        for made in self._run("transcode", file, codec="h264", height=360):
            if self._download(made) != made["sha256"]:
                raise CommandError("The downloaded file differs from the result of the job.")
        self.stdout.write("The results were verified and downloaded, with the right SHA-256.", self.style.SUCCESS)

    def _show_facts(self, file: dict[str, Any]) -> None:
        """What the job found out that inspects every file."""
        [inspection] = self._get(f"/api/v1/jobs/?operation=inspect&file={file['id']}")["results"]
        self._finish(inspection)
        facts = self._get(f"/api/v1/files/{file['id']}/")["facts"]
        for kind in ("video", "audio"):
            for stream in facts[kind]:
                said = (f"{name} {stream[name]}" for name in _SHOWN if stream.get(name) is not None)
                self.stdout.write(f"  {kind:11} {', '.join(said)}")
        self.stdout.write(f"  {'duration':11} {facts['duration']:.1f} s")

    def _run(self, operation: str, file: dict[str, Any], **params: Any) -> list[dict[str, Any]]:
        order = {"operation": operation, "params": params, "file": file["id"]}
        answer = self._ask("POST", "/api/v1/jobs/", json.dumps(order), **{"Content-Type": "application/json"})
        made = self._finish(json.load(answer))
        return [self._get(f"/api/v1/files/{artifact['file']}/") for artifact in made["artifacts"]]

    def _finish(self, job: dict[str, Any]) -> dict[str, Any]:
        """Watch a job to its end."""
        with tqdm(total=1, desc=job["operation"], bar_format=_JOB_BAR, file=sys.stdout) as bar:
            while not job["finished_at"]:
                job = self._get(f"/api/v1/jobs/{job['id']}/?wait=0.5")
                bar.n = job["progress"]
                message = f"waits for: {job['waiting_for']}" if job["waiting_for"] else job["message"]
                bar.set_description_str(printable(f"{job['operation']}: {message}", one_line=True))
        if job["status"] != "succeeded":
            raise CommandError(f"{job['operation']}: {job['message']}")
        for artifact in job["artifacts"]:
            size = self._get(f"/api/v1/files/{artifact['file']}/")["size"]
            self.stdout.write(f"  {artifact['name']:13} {size} bytes")
        return job

    def _get(self, path: str) -> Any:
        return json.load(self._ask("GET", path))

    def _make_clip(self, path: Path, seconds: int) -> Path:
        self.stdout.write(f"Making a clip of {seconds} s …")
        source = ["-f", "lavfi", "-i", f"testsrc2=size=1280x720:duration={seconds}"]
        sound = ["-f", "lavfi", "-i", f"sine=duration={seconds}"]
        encode = ["-pix_fmt", "yuv420p", "-preset", "ultrafast", "-crf", "12", str(path)]
        ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
        subprocess.run([ffmpeg, "-v", "error", *source, *sound, *encode], check=True)  # noqa: S603
        return path

    def _wait(self, port: int) -> None:
        deadline = time.monotonic() + _READY_WITHIN
        while time.monotonic() < deadline:
            connection = http.client.HTTPConnection("127.0.0.1", port)
            try:
                connection.request("GET", "/readyz")
                if connection.getresponse().status == http.HTTPStatus.OK:
                    return
            except ConnectionError:
                time.sleep(0.1)
            finally:
                connection.close()
        raise CommandError("The server did not become ready. `make run` shows why.")

    def _ask(self, method: str, path: str, body: Any = None, **headers: str) -> http.client.HTTPResponse:
        port, authorization = self._client
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request(method, path, body=body, headers=authorization | headers)
        answer = connection.getresponse()
        if answer.status >= http.HTTPStatus.BAD_REQUEST:
            raise CommandError(f"{method} {path}: {answer.read().decode()}")
        return answer

    def _upload(self, clip: Path) -> dict[str, Any]:
        size = clip.stat().st_size
        with self._bar("Uploading", size) as bar:
            answer = self._ask(
                "PUT", f"/api/v1/upload/{clip.name}", _pieces(clip, bar), **{"Content-Length": str(size)}
            )
        found: dict[str, Any] = json.load(answer)
        return found

    def _download(self, file: dict[str, Any]) -> str:
        digest = hashlib.sha256()
        answer = self._ask("GET", f"/api/v1/files/{file['id']}/content")
        with self._bar("Downloading", file["size"]) as bar:
            while piece := answer.read(_PIECE):
                digest.update(piece)
                bar.update(len(piece))
        return digest.hexdigest()

    def _bar(self, what: str, size: int) -> Any:
        return tqdm(total=size, desc=what, unit="B", unit_scale=True, file=sys.stdout)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _pieces(path: Path, bar: Any) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece
            bar.update(len(piece))
