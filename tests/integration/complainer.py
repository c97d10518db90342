"""A provider that refuses everything, and quotes all it was sent: headers, key and body."""

import json
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Received:
    """Header names are lower case."""

    headers: dict[str, str]
    body: bytes


class Complainer:
    """`url` is its base URL."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        complainer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                body = self.rfile.read(int(headers["content-length"]))
                complainer.received.append(Received(headers, body))
                message = f"I do not like {headers} with {body.decode()}"
                answer = json.dumps({"type": "error", "error": {"type": "invalid_request_error", "message": message}})
                self.send_response(400)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer.encode())

            def log_message(self, *_: object) -> None:
                """Nothing to say."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
