"""The object store of compose.yaml: its command line, tried with the SeaweedFS of the tests."""

import os
import subprocess
import sys
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from tests.deploy_check.compose_file import services
from tests.support.free_ports import free_port
from tests.support.waiting import wait_until

_WEED = Path(sys.executable).with_name("weed")
_KEYS = {"AWS_ACCESS_KEY_ID": "tried-here", "AWS_SECRET_ACCESS_KEY": "tried-here-too"}
_PORTS = ("master", "volume", "filer", "s3")


def problems(scratch: Path) -> list[str]:
    """Start it, make the bucket with the command of compose.yaml, twice, and store and read an object."""
    ports = {name: f"{free_port()}.{free_port()}" for name in _PORTS}
    with (scratch / "log").open("wb") as log:
        process = subprocess.Popen(_server(scratch, ports), env=os.environ | _KEYS, stdout=log, stderr=log)
    try:
        for _ in range(2):
            wait_until(lambda: _responds(_port(ports["s3"])), 60, (scratch / "log").read_text)
            path = {"PATH": f"{_WEED.parent}:{os.environ['PATH']}"}
            subprocess.run(_bucket(ports), env=os.environ | path, check=True, timeout=60, stdout=subprocess.DEVNULL)
        wait_until(lambda: _keeps_an_object(_port(ports["s3"])), 60, (scratch / "log").read_text)
        return ["a wrong key is accepted"] if _keeps_an_object(_port(ports["s3"]), "wrong") else []
    finally:
        process.kill()  # its own end takes 15 s
        process.wait()


def _server(scratch: Path, ports: dict[str, str]) -> list[str]:
    """The command of compose.yaml, on this machine's loopback and in a folder of its own."""
    (scratch / "data").mkdir()
    here = {
        "-dir=/data": f"-dir={scratch / 'data'}",
        "-ip=seaweedfs": "-ip=127.0.0.1",
        "-ip.bind=0.0.0.0": "-ip.bind=127.0.0.1",
        "-s3.port=8333": "",
    }
    words = services()["seaweedfs"]["command"]
    missing = set(here) - set(words)
    assert not missing, missing
    more = [f"-{name}.port={_port(both)}" for name, both in ports.items()]
    more += [f"-{name}.port.grpc={both.partition('.')[2]}" for name, both in ports.items()]
    sockets = [f"-{name}.localSocket={scratch / name}" for name in ("filer", "s3")]
    return [str(_WEED), *filter(None, (here.get(word, word) for word in words)), *more, *sockets]


def _bucket(ports: dict[str, str]) -> list[str]:
    [command] = services()["bucket"]["command"]
    for name, usual in (("master", 9333), ("filer", 8888)):
        assert f"-{name}=seaweedfs:{usual}" in command, command
        command = command.replace(f"seaweedfs:{usual}", f"127.0.0.1:{ports[name]}")
    return [*services()["bucket"]["entrypoint"], command.replace("$$", "$")]


def _port(both: str) -> int:
    """SeaweedFS writes a server's two ports as PORT.GRPC."""
    return int(both.partition(".")[0])


def _responds(port: int) -> bool:
    url = services()["seaweedfs"]["healthcheck"]["test"][-1].replace("8333", str(port))
    return subprocess.run(["curl", "--silent", "--fail", url], capture_output=True).returncode == 0


def _keeps_an_object(port: int, secret: str = _KEYS["AWS_SECRET_ACCESS_KEY"]) -> bool:
    client = boto3.client(
        "s3", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1",
        aws_access_key_id=_KEYS["AWS_ACCESS_KEY_ID"], aws_secret_access_key=secret,
    )  # fmt: skip
    try:
        client.put_object(Bucket="millrace", Key="tried", Body=b"tried")
        return bool(client.get_object(Bucket="millrace", Key="tried")["Body"].read() == b"tried")
    except (BotoCoreError, ClientError):
        return False
