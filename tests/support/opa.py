"""A real Open Policy Agent server on a free loopback port."""

from __future__ import annotations

import contextlib
import http.client
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests.support.postgres import free_port

HOW = "install Open Policy Agent and put `opa` on the PATH (brew install opa, or its release binary)"

PROJECT = Path(__file__).parents[2]


def binary() -> str | None:
    """The path of ``opa``: from the PATH, or built by .ci/run into the project's own tools."""
    return shutil.which("opa") or shutil.which("opa", path=str(PROJECT / ".tools" / "bin"))


@contextlib.contextmanager
def server(opa: str, *arguments: str, unix: Path | None = None) -> Iterator[str]:
    """Run ``opa run --server`` with more ``arguments`` and give its URL; it is stopped afterwards.

    ``unix``: listen there instead of on a port.
    """
    url = f"unix://{unix}" if unix else f"http://127.0.0.1:{free_port()}"
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            [opa, "run", "--server", "--addr", url.removeprefix("http://"), "--log-level", "error", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait_until_healthy(url, process)
            yield url
        except RuntimeError as error:
            output.seek(0)
            raise RuntimeError(f"{error}: {output.read().strip()}") from error
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(1)
        self.sock.connect(self.path)


def _answers(url: str) -> bool:
    if url.startswith("unix:"):
        connection = _UnixConnection(url.removeprefix("unix://"))
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == http.client.OK
        except OSError:
            return False
        finally:
            connection.close()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # Loopback is never reached by a proxy.
    try:
        with opener.open(f"{url}/health", timeout=1):
            return True
    except OSError:
        return False


def _wait_until_healthy(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        if process.poll() is not None:
            raise RuntimeError(f"opa ended with exit code {process.returncode}")
        if _answers(url):
            return
        time.sleep(0.05)
    raise RuntimeError(f"opa does not answer at {url}")
