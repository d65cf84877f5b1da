"""What Django developers type without reading anything: it works, or it says what to type instead."""

import shutil
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

import pytest

from tests.support.preloaded_processes import ReadyDjango
from tests.support.serve_process import Serve
from tests.support.server import ROOT, environment

BIN = Path(sys.executable).parent
PACKAGED = ("config", "media_jobs", "templates", "uploads")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("usual") / "home"


def typed(home: Path, *command: str, folder: Path = ROOT, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command, cwd=folder, env=environment(home, "") | variables, text=True, capture_output=True, timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("command", "instead"),
    [
        ([sys.executable, "manage.py", "runserver", "0.0.0.0:8080", "--noreload"], "manage.py serve"),
        ([sys.executable, "manage.py", "test", "uploads", "--keepdb"], "make test"),
        ([str(BIN / "celery"), "-A", "config", "worker", "-Q", "heavy", "-c", "4"], "manage.py worker --lane quick"),
        ([str(BIN / "gunicorn"), "--bind", "127.0.0.1:0", "--no-control-socket", "config.wsgi"], "manage.py serve"),
    ],
    ids=lambda value: " ".join(Path(word).name for word in value) if isinstance(value, list) else value,
)
def test_a_command_that_cannot_work_names_the_one_that_does(command: list[str], instead: str, home: Path) -> None:
    refused = typed(home, *command)
    assert refused.returncode != 0
    assert instead in refused.stderr
    assert "Traceback" not in refused.stderr


def test_migrate_createsuperuser_and_shell_work_before_the_first_start(tmp_path: Path) -> None:
    django = ReadyDjango()
    variables = environment(tmp_path / "home", "") | {"DJANGO_SUPERUSER_PASSWORD": "correct horse battery"}
    bob = ("createsuperuser", "--noinput", "--username", "bob", "--email", "bob@example.com")
    try:
        before = django.run(variables, ["manage.py", *bob])
        assert before.returncode != 0
        assert "Run 'python manage.py migrate'" in before.stdout
        shown = ("shell", "-c", "print(User.objects.get().username, MediaFile.objects.count())")
        for words in (("migrate",), bob, shown):
            done = django.run(variables, ["manage.py", *words])
            assert done.returncode == 0, done.stderr
    finally:
        django.end()
    assert done.stdout.splitlines()[-1] == "bob 0"


def test_plain_pytest_runs_from_any_folder_of_the_checkout(home: Path) -> None:
    done = typed(home, str(BIN / "pytest"), "-q", "-n", "0", "unit/test_sizes.py", folder=ROOT / "tests")
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout: building leaves files beside the code."""
    folder = tmp_path_factory.mktemp("source")
    for name in PACKAGED:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("manage.py", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, folder)
    return folder


def pip(*words: str | Path) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, words)]
    done = subprocess.run(command, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def installed(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `pip install .` has put Millrace. What it depends on is there already."""
    folder = tmp_path_factory.mktemp("installed")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, source)
    [wheel] = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    code = {path.relative_to(source) for name in PACKAGED for path in (source / name).rglob("*") if path.is_file()}
    assert packed == {str(path) for path in code} | {"manage.py"}
    pip("install", "--no-deps", "--target", folder / "lib", wheel)
    return folder / "lib"


def test_millrace_runs_where_pip_has_installed_it_and_keeps_its_files_in_the_current_folder(
    installed: Path, tmp_path: Path
) -> None:
    serve = Serve(tmp_path / "var", "", {"SLOTS_HEAVY": "0"}, folder=tmp_path)
    serve.variables["PYTHONPATH"] = str(installed)
    try:
        serve.start("env", "-u", "MILLRACE_HOME", str(installed / "bin/millrace"), "serve")
        for path in ("/admin/login/", "/static/uploads/live.js", "/static/problem.css"):
            with urllib.request.urlopen(f"http://127.0.0.1:{serve.port}{path}") as answer:
                assert answer.status == 200
        assert (tmp_path / "var/millrace.sqlite3").is_file()
    finally:
        serve.end()


def test_an_editable_install_imports_the_checkout(source: Path, tmp_path: Path) -> None:
    pip("install", "--no-deps", "--no-build-isolation", "--prefix", tmp_path, "--editable", source)
    [packages] = tmp_path.glob("lib/python*/site-packages")
    code = f"import site; site.addsitedir({str(packages)!r}); import uploads, manage; print(uploads.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, text=True, capture_output=True, check=True,
    )  # fmt: skip
    assert Path(done.stdout.strip()) == source / "uploads/__init__.py"
