"""A CDN in front of a bucket, as CloudFront is one: it checks signatures, and signs its own requests of the store."""

import base64
import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from botocore.exceptions import ClientError
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.support.object_store import ObjectStore

KEY_ID = "K2JCJMDEHXQW5F"
_PEM, _FORM = serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL


class Cdn:
    def __init__(self, store: ObjectStore, folder: Path) -> None:
        self.store, self.bucket = store, ""  # its origin
        self.requests: list[str] = []
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.key_file = folder / "cdn.pem"
        self.key_file.write_bytes(self._key.private_bytes(_PEM, _FORM, serialization.NoEncryption()))
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"cdn": self}))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def allows(self, path: str) -> bool:
        """Whether the URL has our signature, as CloudFront's documentation describes it, and has not expired."""
        signed, _, query = path.partition("&Expires=")
        found = parse_qs(f"Expires={query}")
        if found.get("Key-Pair-Id") != [KEY_ID] or int(found["Expires"][0]) <= time.time():
            return False
        condition = {"DateLessThan": {"AWS:EpochTime": int(found["Expires"][0])}}
        policy = {"Statement": [{"Resource": f"{self.url}{signed}", "Condition": condition}]}
        text = json.dumps(policy, separators=(",", ":")).encode()
        signature = base64.b64decode(found["Signature"][0].translate(str.maketrans("-_~", "+=/")))
        try:
            self._key.public_key().verify(signature, text, padding.PKCS1v15(), hashes.SHA1())  # noqa: S303
        except InvalidSignature:
            return False
        return True

    def __enter__(self) -> "Cdn":
        Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    cdn: Cdn

    def do_GET(self) -> None:
        self.cdn.requests.append(f"{self.path}\n{self.headers}")
        if not self.cdn.allows(self.path):
            self.send_error(403)
            return
        url = urlsplit(self.path)
        asked = {name: found[0] for name, found in parse_qs(url.query).items()}
        given: dict[str, Any] = {"Range": self.headers["Range"]} if "Range" in self.headers else {}
        try:
            answer = self.cdn.store.client().get_object(
                Bucket=self.cdn.bucket, Key=unquote(url.path[1:]), **given,
                ResponseContentType=asked["response-content-type"],
                ResponseContentDisposition=asked["response-content-disposition"],
            )  # fmt: skip
        except ClientError as error:
            self.send_error(error.response["ResponseMetadata"]["HTTPStatusCode"])
            return
        self.send_response(answer["ResponseMetadata"]["HTTPStatusCode"])
        for name in ("content-type", "content-disposition", "content-length", "content-range", "accept-ranges"):
            if name in answer["ResponseMetadata"]["HTTPHeaders"]:
                self.send_header(name, answer["ResponseMetadata"]["HTTPHeaders"][name])
        self.end_headers()
        self.wfile.write(answer["Body"].read())

    def log_message(self, *_: object) -> None:
        """No log: nothing reads it."""
