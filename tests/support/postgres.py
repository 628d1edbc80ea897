"""A throw-away PostgreSQL server: made, run and removed in one temporary folder.

``python tests/support/postgres.py COMMAND …`` runs a command with ``OPENCLAW_TEST_POSTGRES`` set to one. Uses the
standard library only, so that it runs before anything is installed.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

HOW = "install PostgreSQL 15 or newer (apt install postgresql, brew install postgresql), or set OPENCLAW_TEST_POSTGRES"

THROW_AWAY = "OPENCLAW_TEST_POSTGRES_THROW_AWAY"
"""Set in the environment where the server that is named goes with its databases."""

# A test's database is thrown away, so it need not survive a power cut; many processes open it at once.
SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "on",
    "full_page_writes": "off",
    "max_connections": "300",
    "shared_buffers": "64MB",
    "listen_addresses": "127.0.0.1",
    "timezone": "UTC",
}


def binaries() -> Path | None:
    """The folder of ``initdb`` and ``pg_ctl``: from the PATH, or where Debian and Homebrew hide them."""
    found = shutil.which("initdb")
    if found and shutil.which("pg_ctl"):
        return Path(found).parent
    places = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/opt/homebrew/opt").glob("postgresql*/bin")]
    places = [place for place in places if (place / "initdb").exists() and (place / "pg_ctl").exists()]
    return max(places, key=lambda place: int(re.sub(r"\D", "", place.parent.name) or 0), default=None)


def unprivileged() -> pwd.struct_passwd | None:
    """The user to run the server as where we are root, which PostgreSQL refuses; None where we are nobody special."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise RuntimeError("PostgreSQL refuses to run as root, and there is no user `postgres` or `nobody` to run it as")


def free_port() -> int:
    """A TCP port on the loopback interface that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A server in a folder of its own. ``url`` names it while it runs."""

    def __init__(self) -> None:
        folder = binaries()
        if folder is None:
            raise RuntimeError(f"no PostgreSQL server found: {HOW}")
        self._folder = folder
        self._user = unprivileged()
        self._home = Path(tempfile.mkdtemp(prefix="openclaw-pg-"))
        self._data = str(self._home / "data")
        self._port = free_port()
        self.url = f"postgresql+psycopg://openclaw@127.0.0.1:{self._port}/postgres"
        if self._user is not None:
            os.chown(self._home, self._user.pw_uid, self._user.pw_gid)
        self._run("initdb", "--no-sync", "--auth=trust", "--username=openclaw", "--encoding=UTF8", "-D", self._data)
        with (self._home / "data" / "postgresql.conf").open("a") as conf:
            conf.writelines(f"{name} = '{value}'\n" for name, value in SETTINGS.items())

    def start(self) -> None:
        """Start it; returns when it answers."""
        options = f"-p {self._port} -k {self._home}"
        self._run("pg_ctl", "start", "-w", "-D", self._data, "-l", str(self._home / "log"), "-o", options)

    def stop(self, mode: str = "immediate") -> None:
        """Stop it: ``fast`` cuts connections off, ``immediate`` does not even tidy up."""
        self._run("pg_ctl", "stop", "-w", "-m", mode, "-D", self._data, timeout_s=30)

    def remove(self) -> None:
        """Stop it if it runs, and remove all of it."""
        with contextlib.suppress(RuntimeError, subprocess.TimeoutExpired):
            self.stop()
        shutil.rmtree(self._home, ignore_errors=True)

    def _run(self, tool: str, *arguments: str, timeout_s: int = 60) -> None:
        # pg_ctl's own children keep a captured pipe open, so the output goes to a file that is read on failure.
        user = self._user
        with (self._home / "output").open("w+") as output:
            done = subprocess.run(
                [str(self._folder / tool), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._home,
                user=user.pw_uid if user else None,
                group=user.pw_gid if user else None,
                extra_groups=[] if user else None,
                env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C"},
                timeout=timeout_s,
                check=False,
            )
            if done.returncode:
                output.seek(0)
                raise RuntimeError(f"{tool} failed: {output.read().strip()}")


@contextlib.contextmanager
def server() -> Iterator[str]:
    """Run a server and give its URL, ``postgresql+psycopg://…``; the server and its folder are gone afterwards."""
    running = Server()
    try:
        running.start()
        yield running.url
    finally:
        running.remove()


def main(command: list[str]) -> int:
    """Run ``command`` beside a server and give its exit code; a signal stops both."""

    def stop(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    with server() as url:
        child = subprocess.Popen(command, env={**os.environ, "OPENCLAW_TEST_POSTGRES": url, THROW_AWAY: "1"})
        try:
            return child.wait()
        finally:
            if child.poll() is None:
                child.terminate()
                child.wait(timeout=30)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
