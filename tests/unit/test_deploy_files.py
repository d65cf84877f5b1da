"""What is in deploy/, as far as it can be checked in a moment. `make deploy-check` does more."""

import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

from config import env, settings
from media_jobs.understanding.extras import EXTRAS
from tests.deploy_check import compose_file, dockerfile, units
from tests.support.preloaded_processes import ROOT, plain_environment

DEPLOY = ROOT / "deploy"


def test_compose_follows_its_schema_and_names_what_there_is() -> None:
    assert compose_file.problems() == []


def test_a_misspelt_key_in_compose_is_seen(tmp_path: Path) -> None:
    wrong = tmp_path / "compose.yaml"
    wrong.write_text((DEPLOY / "compose.yaml").read_text().replace("read_only: true", "readonly: true"))
    assert "readonly" in compose_file.schema_problems(wrong)[0]


def test_compose_sets_what_are_settings() -> None:
    assert settings.HOME
    assert compose_file.settings() <= env.known


@pytest.mark.parametrize("role", sorted(compose_file.commands()))
def test_each_role_is_a_command_of_the_image(role: str) -> None:
    name, *arguments = compose_file.commands()[role]
    command = load_command_class(get_commands()[name], name)
    assert command.create_parser("manage.py", name).parse_args(arguments)


def test_the_image_runs_the_command_that_the_roles_are_arguments_of() -> None:
    [image] = dockerfile.stages()[-1:]
    entry, user = image.last("ENTRYPOINT"), image.last("USER")
    assert entry is not None
    assert entry.words == [".venv/bin/python", "manage.py"]
    assert user is not None
    assert user.words not in ([], ["root"], ["0"])
    assert image.last("HEALTHCHECK") is not None


def test_the_image_of_the_lane_inference_has_extras_that_there_are() -> None:
    wanted = compose_file.services()["worker-inference"]["build"]["args"]["EXTRAS"]
    names = compose_file.filled(wanted, {}).split()
    assert "speech" in names
    assert set(names) <= EXTRAS.keys()
    assert all((ROOT / "extras" / f"{name}.lock").exists() for name in EXTRAS)


def test_the_steps_of_the_image_copy_what_there_is() -> None:
    assert dockerfile.problems() == []


@pytest.mark.parametrize("line", ["ADD a b", "RUN x\nFROM", "STOPSIGNAL 9", 'SHELL ["bash"]'])
def test_an_unknown_instruction_is_an_error(line: str) -> None:
    with pytest.raises(dockerfile.NotUnderstood):
        dockerfile.stages(f"FROM debian\n{line}\n")


def test_lines_are_joined_and_comments_left_out() -> None:
    [stage] = dockerfile.stages('FROM debian AS base\nRUN a \\\n # why\n && b\nCMD ["x y"]\n')
    assert (stage.base, stage.name) == ("debian", "base")
    assert [step.rest for step in stage.steps] == ["a && b", '["x y"]']
    assert stage.steps[1].words == ["x y"]


@pytest.mark.skipif(units.ANALYZE is None, reason="systemd is not installed")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    assert units.problems(tmp_path) == []
    assert units.too_exposed() == []


@pytest.mark.skipif(units.ANALYZE is None, reason="systemd is not installed")
def test_a_misspelt_line_in_a_unit_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wrong").mkdir()
    (tmp_path / "copies").mkdir()
    for unit in units.FOLDER.iterdir():
        (tmp_path / "wrong" / unit.name).write_text(unit.read_text().replace("ProtectHome", "ProtectHouse"))
    monkeypatch.setattr(units, "FOLDER", tmp_path / "wrong")
    found = "\n".join(units.problems(tmp_path / "copies"))
    assert all(f"millrace-{name}.service:" in found for name in ("web", "worker@", "housekeeping"))
    assert "ProtectHouse" in found


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """make-env, in a folder of its own."""
    copy = tmp_path / "make-env"
    copy.write_bytes((DEPLOY / "make-env").read_bytes())
    return copy


def written_by(script: Path) -> dict[str, str]:
    subprocess.run(["sh", script, "media.example.com"], check=True)
    lines = script.with_name(".env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if not line.startswith("#"))


def test_new_secrets_are_long_unlike_and_never_overwritten(script: Path) -> None:
    found = written_by(script)
    secrets = [found[name] for name in ("SECRET_KEY", "POSTGRES_PASSWORD", "REDIS_PASSWORD", "S3_SECRET_KEY")]
    assert len(set(secrets)) == len(secrets)
    assert min(map(len, secrets)) == 48
    file = script.with_name(".env")
    assert file.stat().st_mode & 0o077 == 0
    before = file.read_bytes()
    assert subprocess.run(["sh", script, "other.example.com"], capture_output=True).returncode == 1
    assert file.read_bytes() == before


def test_millrace_accepts_the_environment_of_compose(script: Path, tmp_path: Path) -> None:
    """The health check, of a container in which nothing runs yet, reads all settings."""
    given = compose_file.environment(written_by(script))
    assert given["MILLRACE_PUBLIC_URL"] == "https://media.example.com"
    its = {**plain_environment(), **given, "MILLRACE_HOME": str(tmp_path / "home"), "MILLRACE_ENV_FILE": "none"}
    done = subprocess.run(
        [sys.executable, "-m", "config.processes.health_check"], cwd=ROOT, env=its, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
