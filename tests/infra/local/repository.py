"""A small Maven repository over HTTP with scripted faults."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Repository:
    """Serves files; `faults` holds, path by path, what the next answers do instead."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.faults: dict[str, list[str]] = {}
        self.requests: list[tuple[str, str | None]] = []
        repository = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                repository.answer(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path = request.path.lstrip("/")
        asked = request.headers.get("Range")
        self.requests.append((path, asked))
        body = self.files.get(path)
        fault = self.faults[path].pop(0) if self.faults.get(path) else ""
        if body is None or fault == "missing":
            request.send_error(404)
            return
        if fault == "busy":
            request.send_error(503)
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        request.send_response(206 if asked else 200)
        request.send_header("Content-Length", str(len(body) - start))
        request.end_headers()
        rest = body[start:]
        if fault == "cut":
            rest = rest[: len(rest) // 2]
        if fault == "garbled":
            rest = bytes(len(rest))
        request.wfile.write(rest)
        request.close_connection = True
