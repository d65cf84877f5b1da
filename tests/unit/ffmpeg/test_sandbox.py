"""The layers of the sandbox: each is tried by a process that tries to break it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from media_jobs.ffmpeg import sandbox as module
from media_jobs.ffmpeg.error_output import ProcessResult
from media_jobs.ffmpeg.process import run
from media_jobs.ffmpeg.sandbox import Layer, Limits, NoIsolation, Sandbox
from tests.support import child_programs
from tests.support.preloaded_processes import ROOT, plain_environment
from tests.support.run import command_for
from tests.support.waiting import wait_until

MB = 1 << 20


def python(code: str, sandbox: Sandbox, folder: Path, limits: Limits | None = None) -> ProcessResult:
    return run([sys.executable, "-c", code], sandbox=sandbox, limits=limits or Limits(), folder=folder)


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine without the tools of the sandbox."""
    module._probe.cache_clear()
    monkeypatch.setattr("shutil.which", lambda name: None)
    yield
    module._probe.cache_clear()


def test_every_layer_says_whether_it_holds_and_why(sandbox: Sandbox) -> None:
    assert [layer.name for layer in sandbox.layers] == [
        "own session", "empty environment", "lower priority", "no network",
        "limits of time, memory and files", "ends when its worker dies", "reads and writes only its own files",
    ]  # fmt: skip
    assert all(layer.why for layer in sandbox.layers)
    assert json.loads(json.dumps(sandbox.as_json()))["level"] == "on"


def test_there_is_no_network_inside(sandbox: Sandbox, tmp_path: Path) -> None:
    if not sandbox.holds("no network"):
        pytest.skip("this machine cannot keep a process from the network")
    with socket.create_server(("127.0.0.1", 0)) as server:
        reach = f"import socket; socket.create_connection(('127.0.0.1', {server.getsockname()[1]}), 2)"
        assert python(reach, sandbox, tmp_path).code == 1
        assert python(reach, Sandbox.probe("off"), tmp_path).code == 0


def test_the_environment_holds_no_secret(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
    result = python("import os, sys; print(sorted(os.environ), file=sys.stderr)", sandbox, tmp_path)
    names = set(result.log.text.strip("[]").replace("'", "").split(", "))
    assert {"HOME", "LANG", "PATH"} <= names
    assert names <= {"HOME", "LANG", "PATH", "PWD", "OLDPWD", "SHLVL", "_", "LC_CTYPE"}


def test_too_much_processor_time_is_told_by_its_signal(sandbox: Sandbox, tmp_path: Path) -> None:
    result = python("while True: pass", sandbox, tmp_path, Limits(cpu_seconds=1))
    assert result.code == -signal.SIGXCPU
    assert result.cpu_seconds > 0.5


def test_too_much_memory_is_refused(sandbox: Sandbox, tmp_path: Path) -> None:
    assert python("bytearray(300 << 20)", sandbox, tmp_path).code == 0
    result = python("bytearray(300 << 20)", sandbox, tmp_path, Limits(address_space=200 * MB))
    assert "MemoryError" in result.log.text


def test_a_file_cannot_grow_beyond_its_limit(sandbox: Sandbox, tmp_path: Path) -> None:
    write = "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_DFL); open('out', 'wb').write(bytes(3 << 20))"
    assert python(write, sandbox, tmp_path, Limits(file_size=MB)).code == -signal.SIGXFSZ
    assert (tmp_path / "out").stat().st_size <= MB


def test_files_cannot_be_opened_without_end(sandbox: Sandbox, tmp_path: Path) -> None:
    result = python("kept = [open('/dev/null') for _ in range(100)]", sandbox, tmp_path, Limits(open_files=50))
    assert "Too many open files" in result.log.text


@pytest.mark.parametrize(
    ("threads", "width", "height", "needed"),  # MB, as measured with the codec that needs the most
    [(2, 320, 180, 100), (8, 320, 180, 180), (2, 1920, 1080, 520), (8, 1920, 1080, 1080),
     (2, 3840, 2160, 1910), (8, 3840, 2160, 3860)],
)  # fmt: skip
def test_memory_is_allowed_by_what_a_picture_needs_and_a_third_more(
    threads: int, width: int, height: int, needed: int
) -> None:
    limits = Limits.of(threads, 60, width * height)
    assert limits.address_space > limits.resident > needed * 1.3 * MB


def test_small_pictures_and_sound_get_less_than_a_gigabyte_and_huge_ones_not_all_there_is() -> None:
    assert Limits.of(8, 60, 320 * 180).resident < 850 * MB
    assert Limits.of(2, 60).resident < 850 * MB
    assert Limits.of(2, 60, 110_000_000).resident == 3072 * MB


def test_it_yields_to_others_and_dumps_no_core(sandbox: Sandbox, tmp_path: Path) -> None:
    say = "import os, resource, sys; print(os.nice(0), resource.getrlimit(resource.RLIMIT_CORE), file=sys.stderr)"
    assert python(say, sandbox, tmp_path).log.text == f"{min(os.nice(0) + 10, 19)} (0, 0)"


def test_kill_9_of_its_parent_ends_it_at_once(sandbox: Sandbox, tmp_path: Path) -> None:
    pid = _orphan([sys.executable, "-c", "import time; time.sleep(60)"])
    _is_gone_in_time(pid)


def test_it_does_not_start_if_its_parent_has_died(sandbox: Sandbox, tmp_path: Path) -> None:
    """A parent that died before setpriv ran sends no signal."""
    touch = [sys.executable, "-c", f"open({str(tmp_path / 'ran')!r}, 'w')"]
    wrapped = sandbox.wrap(touch, Limits())
    mine = str(os.getpid())
    assert mine in wrapped
    result = subprocess.run([word if word != mine else "999999999" for word in wrapped], check=False)
    assert result.returncode != 0
    assert not (tmp_path / "ran").exists()


def _orphan(command: list[str]) -> int:
    """The pid of a sandboxed child of a process that was killed with -9."""
    parent = subprocess.Popen(
        command_for(child_programs.start_in_sandbox, command), cwd=ROOT, env=plain_environment(),
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    time.sleep(0.3)
    assert Path(f"/proc/{pid}").exists()
    parent.kill()
    parent.wait()
    return pid


def _is_gone_in_time(pid: int) -> None:
    wait_until(lambda: not _runs(pid))  # it would run for a minute


def _runs(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_switched_off_it_still_ends_with_its_parent() -> None:
    off = Sandbox.probe("off")
    assert Layer("no network", False, "switched off") in off.layers
    assert off.holds("ends when its worker dies") == Sandbox.probe("on").holds("ends when its worker dies")


@pytest.mark.usefixtures("bare")
def test_where_the_tools_are_missing_fewer_layers_hold_and_it_says_so(tmp_path: Path) -> None:
    poor = Sandbox.probe("on")
    held = {layer.name for layer in poor.layers if layer.holds}
    assert held - {"reads and writes only its own files"} == {"own session", "empty environment"}
    assert "unshare: not installed" in next(layer.why for layer in poor.layers if layer.name == "no network")
    assert poor.wrap(["ffmpeg"], Limits()) == ["ffmpeg"]
    assert python("pass", poor, tmp_path).code == 0


@pytest.mark.usefixtures("bare")
def test_a_required_sandbox_without_network_isolation_is_refused() -> None:
    with pytest.raises(NoIsolation, match="unshare: not installed"):
        Sandbox.probe("require")


def test_an_installed_tool_that_fails_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("unshare", "bwrap"):
        (tmp_path / name).write_text("#!/bin/sh\necho 'unshare failed: Operation not permitted' >&2\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    module._probe.cache_clear()
    try:
        assert not Sandbox.probe("on").holds("no network")
        with pytest.raises(NoIsolation, match="Operation not permitted"):
            Sandbox.probe("require")
    finally:
        module._probe.cache_clear()
