"""A server to which traces and errors are sent: it takes all, and counts what came by the first part of its path.

`python -m bench.sink`, a child; a GET tells how many requests came for the path's first part.
"""

import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

from bench.children import Parent

_CHUNK_SIZE = 16


class _Taking(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    came: ClassVar[Counter[str]] = Counter()

    @property
    def _whose(self) -> str:
        return self.path.split("/")[1]

    def do_POST(self) -> None:
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            while size := int(self.rfile.readline().split(b";")[0], _CHUNK_SIZE):
                self.rfile.read(size + 2)
            self.rfile.readline()
        else:
            self.rfile.read(int(self.headers.get("content-length") or 0))
        self.came[self._whose] += 1
        self._answer(b"{}")

    def do_GET(self) -> None:
        self._answer(str(self.came[self._whose]).encode())

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing is told of a request."""


def main() -> None:
    """Serve until the parent is gone."""
    parent = Parent()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Taking)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    parent.say(server.server_address[1])
    for _ in parent:
        pass


if __name__ == "__main__":
    main()
