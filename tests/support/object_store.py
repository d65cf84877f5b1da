"""A real S3 server for tests: SeaweedFS, one process, with a bucket of its own for each caller."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.support.free_ports import free_port
from tests.support.shared_process import Facts, end_shared
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

KEYS = ACCESS_KEY, SECRET_KEY = "AKIAMILLRACE", "millrace-secret-key-000"
READER_KEYS = "AKIAREADER", "reader-secret-key-00000"  # of an account that may write nothing
_ACTIONS = ["Admin", "Read", "Write", "List", "Tagging"]
# Each bucket has volumes of its own: one at first, not seven. Free disk space does not limit their number.
_ENVIRONMENT = {"GOMEMLIMIT": "512MiB", "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"}
_MOST_VOLUMES = 5000
_SERVICES = ("master", "volume", "filer", "s3")


def _identity(access_key: str, secret_key: str, actions: list[str]) -> dict[str, Any]:
    credentials = [{"accessKey": access_key, "secretKey": secret_key}]
    return {"name": access_key, "credentials": credentials, "actions": actions}


@dataclass(eq=False)
class ObjectStore:
    folder: Path
    process: "subprocess.Popen[bytes] | None" = None
    ports: dict[str, int] = field(default_factory=dict)

    def start(self) -> None:
        """Start it, again on the same ports and with the same content, and wait until it takes and gives bytes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ports = self.ports or {
            f"{name}{kind}": free_port() for name in _SERVICES for kind in (".port", ".port.grpc")
        }
        identities = [_identity(*KEYS, _ACTIONS), _identity(*READER_KEYS, ["Read", "List"])]
        (self.folder / "s3.json").write_text(json.dumps({"identities": identities}))
        (self.folder / "data").mkdir(exist_ok=True)
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self._command(), stdout=log, stderr=log, env=os.environ | _ENVIRONMENT,
                start_new_session=True,
            )  # fmt: skip
        wait_until(self._works, 120)

    def _command(self) -> list[str]:
        ports = [f"-{name}={port}" for name, port in self.ports.items()]
        return [
            str(Path(sys.executable).parent / "weed"), "-logtostderr=true", "server", "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1", f"-dir={self.folder / 'data'}", "-master.telemetry=false",
            "-master.electionTimeout=1s", "-master.heartbeatInterval=150ms", "-master.volumeSizeLimitMB=1024",
            "-master.garbageThreshold=0.1", "-master.vacuumIntervalSeconds=30", f"-volume.max={_MOST_VOLUMES}",
            "-volume.preStopSeconds=0", "-filer", f"-filer.localSocket={self.folder / 'filer.sock'}", "-s3",
            f"-s3.localSocket={self.folder / 's3.sock'}", f"-s3.config={self.folder / 's3.json'}",
            "-s3.autoCreateBucket=false", "-s3.port.iceberg=0", "-s3.port.lance=0", *ports,
        ]  # fmt: skip

    def _works(self) -> bool:
        """An open port is not enough: it takes requests before it has a place for bytes."""
        assert self.process is not None
        if self.process.poll() is not None:
            raise RuntimeError(f"SeaweedFS ended: {(self.folder / 'log').read_text()[-2000:]}")
        try:
            self.make_bucket("ready")
            self.client().put_object(Bucket="ready", Key="ready", Body=b"ready")
            return bool(self.client().get_object(Bucket="ready", Key="ready")["Body"].read() == b"ready")
        except (BotoCoreError, ClientError):
            return False

    @property
    def port(self) -> int:
        return self.ports["s3.port"]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The AWS SDK's own variables, for a Millrace that uses this store."""
        return {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_S3": self.url,
        }

    def client(self) -> "S3Client":
        """A client beside Millrace's, which tests look into the bucket with."""
        return boto3.client(
            "s3", endpoint_url=self.url, aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY,
            region_name="us-east-1", config=Config(signature_version="s3v4", retries={"total_max_attempts": 1}),
        )  # fmt: skip

    def make_bucket(self, name: str = "") -> str:
        """Make a bucket, unless it is there."""
        name = name or f"test-{uuid.uuid4().hex}"
        client = self.client()
        with contextlib.suppress(client.exceptions.BucketAlreadyOwnedByYou):
            client.create_bucket(Bucket=name)
        return name

    def drop_bucket(self, name: str) -> None:
        """Delete a bucket with all it has; its disk space is free at once. Does nothing if there is none."""
        with contextlib.suppress(ClientError):
            self.client().delete_bucket(Bucket=name)

    def storage(self, bucket: str, prefix: str = "") -> dict[str, Any]:
        """An entry of Django's STORAGES."""
        options = {
            "bucket_name": bucket, "location": prefix, "endpoint_url": self.url, "access_key": ACCESS_KEY,
            "secret_key": SECRET_KEY, "region_name": "us-east-1", "file_overwrite": False,
        }  # fmt: skip
        return {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": options}

    def freeze(self) -> None:
        """Stop to answer, as behind a cable that was cut."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        # SIGTERM takes 15 seconds.
        self._signal(signal.SIGKILL)
        assert self.process is not None
        self.process.wait()

    # For one that several processes use: `facts` is all that they need to know.

    @classmethod
    def begin(cls, folder: Path) -> Facts:
        made = cls(folder)
        made.start()
        assert made.process is not None
        return {"folder": str(folder), "ports": made.ports, "pid": made.process.pid}

    @classmethod
    def found(cls, facts: Facts) -> "ObjectStore":
        return cls(Path(facts["folder"]), ports=facts["ports"])

    @staticmethod
    def end(facts: Facts) -> None:
        end_shared(facts["pid"])
        shutil.rmtree(facts["folder"], ignore_errors=True)

    def _signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)
