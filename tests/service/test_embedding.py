"""The project of docs/embedding.md, as it stands there: another Django site with our upload handler and jobs."""

import http.client
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.preloaded_processes import ROOT, ReadyDjango, plain_environment
from tests.support.waiting import wait_until

PAGE = (ROOT / "docs" / "embedding.md").read_text()
MANAGE = [sys.executable, "-m", "django"]


@pytest.fixture(scope="module")
def django() -> Iterator[ReadyDjango]:
    made = ReadyDjango()
    yield made
    made.end()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, django: ReadyDjango) -> Path:
    """The modules that the page shows, under the names that it gives them."""
    folder = tmp_path_factory.mktemp("project")
    for name, code in re.findall(r"^`(shop/\w+\.py)`\n+```python\n(.*?)```", PAGE, re.MULTILINE | re.DOTALL):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(code)
    (folder / "shop" / "__init__.py").touch()
    for command in re.findall(r"^    (mkdir .+|python manage\.py .+)$", PAGE, re.MULTILINE):
        words = shlex.split(command)
        if words[0] == "mkdir":
            (folder / words[1]).mkdir()
        elif words[2] == "migrate":  # in a new Python: what it imports must be all that it needs
            done = subprocess.run(
                [*MANAGE, "migrate"], cwd=folder, env=environment(folder), text=True, capture_output=True, timeout=120
            )
            assert done.returncode == 0, done.stdout + done.stderr
        elif words[2] != "token":  # each test makes its own
            manage(django, folder, *words[2:])
    return folder


def environment(project: Path) -> dict[str, str]:
    return plain_environment() | {
        "PYTHONPATH": f"{project}{os.pathsep}{ROOT}", "DJANGO_SETTINGS_MODULE": "shop.settings",
    }  # fmt: skip


def manage(django: ReadyDjango, project: Path, *words: str) -> str:
    done = django.run(environment(project), [*MANAGE[1:], *words])
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def port(project: Path) -> Iterator[int]:
    """A gunicorn of the project, started as the page advises, in a new Python as well."""
    gunicorn = [sys.executable, "-m", "gunicorn", "--worker-class", "gthread", "--threads", "8", "--timeout", "0"]
    with (project / "log").open("wb") as log:
        server = subprocess.Popen(
            [*gunicorn, "--no-control-socket", "--bind", "127.0.0.1:0", "django.core.wsgi:get_wsgi_application()"],
            cwd=project, env=environment(project), stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield wait_until(lambda: listening_port(project), 60, lambda: output(project))
    finally:
        server.terminate()
        server.wait()


def output(project: Path) -> str:
    return (project / "log").read_text()


def listening_port(project: Path) -> int:
    found = re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", output(project))
    return int(found[1]) if found else 0


def test_another_django_project_receives_a_file_with_progress_and_makes_a_job(
    django: ReadyDjango, project: Path, port: int, clip: bytes
) -> None:
    token = manage(django, project, "token", "admin").split()[-1]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="movie.mp4"\r\n\r\n'
    body = head + clip + bytes(4_000_000) + b"\r\n--b--\r\n"  # more than such a server reads at once
    connection.putrequest("POST", "/receive/")
    connection.putheader("Authorization", f"Bearer {token}")
    connection.putheader("Content-Type", "multipart/form-data; boundary=b")
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body[: len(body) // 2])
    wait_until(lambda: re.search(r"[1-9]\d* of \d+ bytes", output(project)), 30, lambda: output(project))
    connection.send(body[len(body) // 2 :])
    answer = connection.getresponse()
    found = json.loads(answer.read())
    assert answer.status == 201, found
    assert (project / "media").is_dir()
    shown = manage(
        django, project, "shell", "-c",
        "from media_jobs.models import Job; from media_jobs.queue.cancel_and_retry import cancel; "
        "from shop.excerpts import last_bytes; from uploads.models import MediaFile; "
        f"job = Job.objects.get(pk='{found['job']}'); print(job.status, job.operation, job.file_id); cancel(job); "
        f"file = MediaFile.objects.get(pk='{found['file']}'); print(last_bytes(file, {4_000_000 + 8}).hex()[:20])",
    )  # fmt: skip
    assert f"queued thumbnail {found['file']}" in shown
    assert "thumbnail cancelled" in shown
    assert (clip[-8:] + bytes(2)).hex() in shown
    assert "stored movie.mp4" in output(project)  # its subscriber


def test_another_django_project_refuses_a_file_from_an_anonymous_client(
    project: Path, port: int, clip: bytes
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    body = b'--b\r\nContent-Disposition: form-data; name="file"; filename="m.mp4"\r\n\r\n' + clip + b"\r\n--b--\r\n"
    connection.request("POST", "/receive/", body, {"Content-Type": "multipart/form-data; boundary=b"})
    assert connection.getresponse().status == 400, output(project)
    assert not [path for path in (project / "media").rglob("*") if path.stat().st_size == len(clip)]
