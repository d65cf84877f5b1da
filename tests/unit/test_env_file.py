"""The file of settings, and the example of one."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from config import env
from tests.support import child_programs
from tests.support.env_example import EXAMPLE, ROOT, render
from tests.support.preloaded_processes import plain_environment
from tests.support.run import command_for, result_of


def read_settings(home: Path, root: Path | None, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Let a new process read the settings, with `root` in the place of the folder of manage.py if it is given."""
    kept = {name: value for name, value in plain_environment().items() if not name.endswith("_URL")}
    return subprocess.run(
        command_for(child_programs.settings_and_known_names, None if root is None else str(root)),
        cwd=ROOT, text=True, capture_output=True,
        env=kept | {"MILLRACE_HOME": str(home), "MILLRACE_SECRET_KEY": "x", "PYTHONHASHSEED": "0"} | variables,
    )  # fmt: skip


def settings_with(file: Path, **variables: str) -> dict[str, dict[str, str]]:
    done = read_settings(file.parent, None, MILLRACE_ENV_FILE=str(file), **variables)
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, str]] = result_of(done.stdout)
    return found


def test_the_example_is_what_the_table_of_settings_says() -> None:
    assert EXAMPLE.read_text() == render((ROOT / "README.md").read_text())


def test_the_table_names_every_setting_and_its_defaults_are_the_true_ones(tmp_path: Path) -> None:
    example, file = EXAMPLE.read_text(), tmp_path / "settings"
    file.write_text("")
    plain = settings_with(file)
    named = {f"MILLRACE_{name}" for name in ("ENV_FILE",)} | set(
        re.findall(r"^#(MILLRACE_\w+)=", example, re.MULTILINE)
    )
    assert named == set(plain["known"])
    defaults = re.sub(r"^#(MILLRACE_\w+=.)", r"\1", example, flags=re.MULTILINE)
    assert defaults.count("\nMILLRACE_") > 15
    file.write_text(defaults.replace("\nMILLRACE_HOME=", "\n#MILLRACE_HOME="))
    explicit = settings_with(file)["settings"]
    assert {name: (said, explicit[name]) for name, said in plain["settings"].items() if said != explicit[name]} == {}


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "settings"
    file.write_text('# ours\n\nexport MILLRACE_PORT=8123\nMILLRACE_QUOTA="3GB"\nDATABASE_URL=postgres://there/x\n')
    found = settings_with(file, MILLRACE_PORT="8124")["settings"]
    assert found["PORT"] == "8124"
    assert "quota=3000000000" in found["UPLOADS"]
    assert "postgresql" in found["DATABASES"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("MILLRACE_PORT=http", "MILLRACE_PORT='http' is not valid"),
        ("MILLRACE_PROT=8123", "There is no setting MILLRACE_PROT"),
        ("DATABASE_URL=nonsense", "DATABASE_URL"),
    ],
)
def test_a_wrong_value_in_it_stops_the_start(content: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "settings"
    file.write_text(content)
    done = read_settings(tmp_path, None, MILLRACE_ENV_FILE=str(file))
    assert done.returncode != 0
    assert words in done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"MILLRACE_PORT 8123", "Line 1 of .* is not a setting"),
        (b"# fine\n\nMILLRACE_PORT: 8123", "Line 3 of .* is not a setting"),
        (b"MILLRACE_ADMIN_PASSWORD=\xff", "cannot be read"),
        (None, "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_understood_is_refused(
    content: bytes | None, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "settings"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setenv("MILLRACE_ENV_FILE", str(file))
    with pytest.raises(ImproperlyConfigured, match=words):
        env.read_file()


def test_it_is_read_beside_manage_py_and_only_if_it_is_there(tmp_path: Path) -> None:
    def port(file: str) -> str:
        return str(result_of(read_settings(tmp_path, tmp_path, MILLRACE_ENV_FILE=file).stdout)["settings"]["PORT"])

    assert port("") == "8000"
    (tmp_path / ".env").write_text("MILLRACE_PORT=8123\n")
    assert port("") == "8123"
    assert port("none") == "8000"


def test_the_tests_do_not_read_the_settings_of_whoever_works_here() -> None:
    assert os.environ["MILLRACE_ENV_FILE"] == plain_environment()["MILLRACE_ENV_FILE"] == "none"
    assert "MILLRACE_ENV_FILE" in env.known
