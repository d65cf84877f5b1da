"""A real nginx with the shipped configuration, in front of real web servers of Millrace."""

import contextlib
import http.client
import shutil
import signal
import ssl
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.free_ports import free_port
from tests.support.processes import children
from tests.support.server import ROOT, Answer, Body, Server
from tests.support.waiting import wait_until

DEPLOY = ROOT / "deploy"
PROGRAM = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
HOST = "localhost"
_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
# What Debian's /etc/nginx/nginx.conf and the nginx of compose.yaml have around the shipped files.
_AROUND = """
daemon off;
user {user};
pid {folder}/pid;
error_log {folder}/error.log notice;
worker_processes 1;
events {{ worker_connections 512; }}
http {{
    default_type application/octet-stream;
    {temporary}
    include {folder}/conf.d/*.conf;
}}
"""


@dataclass
class Nginx:
    """nginx on ports of its own. All its files are in one folder."""

    folder: Path
    upstreams: list[int]  # ports of web processes
    media: Path
    account: str = "root"
    https: int = field(default_factory=free_port)
    http: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def replacements(self) -> dict[str, dict[str, str]]:
        """All that the tests change in the shipped files: ports, and paths of this machine."""
        return {
            "nginx.conf": {
                "listen 80 default_server;": f"listen 127.0.0.1:{self.http} default_server;",
                "listen 443 ssl default_server;": f"listen 127.0.0.1:{self.https} ssl default_server;",
                "listen [::]:80 default_server;": "",
                "listen [::]:443 ssl default_server;": "",
                "/etc/nginx/tls/": f"{self.folder}/tls/",
                "/var/log/nginx/": f"{self.folder}/",
                "/srv/millrace/var/media/": f"{self.media}/",
            },
            "nginx-upstream.conf": {
                "server 127.0.0.1:8000;": "".join(f"server 127.0.0.1:{port};" for port in self.upstreams)
            },
        }

    def write(self) -> Path:
        """Write the configuration. Returns its main file."""
        for name in ("conf.d", "tls"):
            (self.folder / name).mkdir(parents=True)
        subprocess.run([DEPLOY / "make-certificate", HOST, self.folder / "tls"], check=True)
        for name, replaced in self.replacements.items():
            text = (DEPLOY / name).read_text()
            for old, new in replaced.items():
                assert old in text, (name, old)
                text = text.replace(old, new)
            (self.folder / "conf.d" / name).write_text(text)
        temporary = " ".join(f"{name}_temp_path {self.folder}/temporary-{name};" for name in _TEMPORARY)
        main = self.folder / "nginx.conf"
        main.write_text(_AROUND.format(folder=self.folder, temporary=temporary, user=self.account))
        return main

    def command(self, *more: str) -> list[str]:
        assert PROGRAM is not None
        return [PROGRAM, "-c", str(self.folder / "nginx.conf"), "-e", str(self.folder / "error.log"), *more]

    def start(self) -> None:
        self.write()
        self.process = subprocess.Popen(self.command(), stderr=subprocess.DEVNULL)
        wait_until(self._answers, 60, lambda: self.errors)

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.errors
        with contextlib.suppress(OSError):
            return self.request("GET", "/healthz").status == 200
        return False

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)

    @property
    def errors(self) -> str:
        return (self.folder / "error.log").read_text()

    @property
    def access_log(self) -> str:
        return (self.folder / "access.log").read_text()

    def temporary_files(self) -> list[Path]:
        """Bodies in files of nginx, with and without a name."""
        named = [path for name in _TEMPORARY for path in (self.folder / f"temporary-{name}").rglob("*")]
        assert self.process is not None
        for worker in children(self.process.pid):
            for descriptor in Path(f"/proc/{worker}/fd").iterdir():
                with contextlib.suppress(OSError):
                    named.append(descriptor.readlink())
        return [path for path in named if "temporary-" in str(path) and (path.is_file() or "(deleted)" in path.name)]

    @property
    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.certificate)

    @property
    def certificate(self) -> Path:
        return self.folder / "tls" / "millrace.crt"

    def request(
        self, method: str, path: str, body: Body = None, headers: Mapping[str, str] | None = None,
        *, chunked: bool = False, timeout: float = 60, address: str = "127.0.0.1", tls: bool = True,
    ) -> Answer:  # fmt: skip
        """`address` is the client's own: all of 127.0.0.0/8 is this machine."""
        connection: http.client.HTTPConnection = (
            http.client.HTTPSConnection(
                HOST, self.https, timeout=timeout, context=self.trust, source_address=(address, 0)
            )
            if tls
            else http.client.HTTPConnection(HOST, self.http, timeout=timeout, source_address=(address, 0))
        )
        with contextlib.closing(connection):
            connection.request(method, path, body=body, headers=dict(headers or {}), encode_chunked=chunked)
            response = connection.getresponse()
            return Answer(response.status, response.msg, response.read())


@dataclass
class BehindNginx(Server):
    """A server whose clients reach it only through nginx, once that runs."""

    nginx: Nginx | None = None

    @property
    def url(self) -> str:
        return super().url if self.nginx is None else f"https://{HOST}:{self.nginx.https}"

    def request(
        self, method: str, path: str, body: Body = None, headers: Mapping[str, str] | None = None,
        *, user: str | None = "alice", chunked: bool = False, timeout: float = 60, address: str = "127.0.0.1",
    ) -> Answer:  # fmt: skip
        if self.nginx is None:
            return super().request(method, path, body, headers, user=user, chunked=chunked, timeout=timeout)
        sent = dict(headers or {})
        if user is not None:
            sent.setdefault("Authorization", f"Bearer {self.tokens[user]}")
        return self.nginx.request(method, path, body, sent, chunked=chunked, timeout=timeout, address=address)
