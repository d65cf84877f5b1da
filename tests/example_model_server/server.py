"""An example of a model server: says how many bytes it was sent, and of what type. Run: python server.py 9000"""

import hashlib
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        if self.headers["Authorization"] != "Bearer example":
            return self.answer(401, {"error": "wrong secret"})
        left, digest = int(self.headers["Content-Length"]), hashlib.sha256()
        while left and (block := self.rfile.read(min(left, 65536))):  # never the whole content at once
            digest.update(block)
            left -= len(block)
        kind = self.headers.get_content_type()  # video/mp4 and so on, audio/wav, or multipart/form-data
        return self.answer(200, {"kind": kind, "sha256": digest.hexdigest(), "labels": ["your model's words"]})

    def answer(self, status: int, found: object) -> None:
        body = json.dumps(found).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
