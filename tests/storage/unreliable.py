"""A proxy in front of a real S3 server that does to conditional writes what servers and networks do to them."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Literal

import boto3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config

from vgg16.storage.s3 import S3Store

# The condition never arrives; of each write the first answer, or every one, is lost; the server knows no conditions.
Fault = Literal["", "no condition", "first answer lost", "answers lost", "not implemented"]
_REFUSAL = b"<Error><Code>NotImplemented</Code><Message>A header is not implemented</Message></Error>"


@contextmanager
def unreliable(s3: S3Store, prefix: str) -> Iterator[tuple[S3Store, Callable[[Fault], None]]]:
    """The server seen through the proxy, below a prefix of its own, and what sets the fault."""
    server = s3.client.meta.endpoint_url.removeprefix("http://")
    credentials = s3.client._request_signer._credentials  # type: ignore[attr-defined]
    now: dict[str, Fault] = {"fault": ""}
    seen: set[str] = set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = dict(self.headers.items())
            conditional, fault = "If-None-Match" in headers, now["fault"] if "If-None-Match" in headers else ""
            if fault == "no condition":
                # The condition is signed.
                kept = ("content-type", "x-amz-meta-vgg16-writer")
                plain = {name: value for name, value in headers.items() if name.lower() in kept}
                request = AWSRequest(self.command, f"http://{server}{self.path}", plain, body)
                S3SigV4Auth(credentials, "s3", "us-east-1").add_auth(request)
                headers = dict(request.headers.items())
            if fault == "not implemented":
                self.answer(501, [("Content-Type", "application/xml")], _REFUSAL)
                return
            connection = http.client.HTTPConnection(server)
            connection.request(self.command, self.path, body, headers)
            response = connection.getresponse()
            content = response.read()
            connection.close()
            first = self.path not in seen
            if conditional:
                seen.add(self.path)
            if fault == "answers lost" or (fault == "first answer lost" and first):
                self.close_connection = True
                return
            self.answer(response.status, response.getheaders(), content)

        def answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
            self.send_response_only(status)
            for name, value in headers:
                if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                    self.send_header(name, value)
            length = dict(headers).get("Content-Length", "0") if self.command == "HEAD" else str(len(content))
            self.send_header("Content-Length", length)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    for method in ("GET", "PUT", "HEAD", "DELETE", "POST"):
        setattr(Handler, f"do_{method}", Handler.handle_any)
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    proxy.daemon_threads = True
    Thread(target=proxy.serve_forever, daemon=True).start()
    client = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{proxy.server_port}",
        aws_access_key_id=credentials.access_key,
        aws_secret_access_key=credentials.secret_key,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, retries={"mode": "standard"}),
    )

    def set_fault(fault: Fault) -> None:
        now["fault"] = fault
        seen.clear()

    try:
        yield S3Store(s3.bucket, prefix, client), set_fault
    finally:
        proxy.shutdown()
        proxy.server_close()
