"""Flask: `save()`, then read again for the digest."""

from flask import Flask, request

from tests.bench.peers.disk import new_path, sync_and_reread

app = Flask(__name__)


def upload() -> dict[str, str]:
    path = new_path()
    request.files["file"].save(path)
    return {"sha256": sync_and_reread(path)}


app.add_url_rule("/form", view_func=upload, methods=["POST"])
