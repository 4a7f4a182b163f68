"""A PostgreSQL server of this machine's own packages, in a temporary folder that goes with it."""

import os
import secrets
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

USER = "emoscope"
PASSWORD = "p@ss/word%:1"  # every character that an address has to escape
MISSING = "no PostgreSQL is installed. Install your system's package “postgresql”, or leave --postgres away."


@dataclass(frozen=True)
class Server:
    """A cluster that listens on a socket in its folder, and on no port."""

    folder: Path
    programs: Path

    def address(self, database="postgres", *, user=USER, password=PASSWORD):
        """The URL of one of its databases."""
        return f"postgresql://{user}:{quote(password, safe='')}@/{database}?host={self.folder}"

    def fresh(self):
        """The URL of a new, empty schema, which is made and removed much faster than a database."""
        name = f"test_{secrets.token_hex(6)}"
        self.tell(f"CREATE SCHEMA {name}")
        return f"{self.address()}&options=-csearch_path%3D{name}"

    def tell(self, statement):
        """Have the owner run a statement."""
        with psycopg.connect(self.address(), autocommit=True) as connection:
            connection.execute(statement)

    def start(self):
        """Start it, and wait until it answers."""
        how = f"-k {self.folder} -c listen_addresses= -c fsync=off"
        self._run("pg_ctl", "-D", "data", "-w", "-l", "log", "-o", how, "start")

    def stop(self):
        """Stop it at once, whoever is connected."""
        self._run("pg_ctl", "-D", "data", "-m", "immediate", "stop")

    def make(self):
        """Make the cluster."""
        (self.folder / "password").write_text(PASSWORD)
        self._run("initdb", "-D", "data", "-U", USER, "-A", "scram-sha-256", "--pwfile", "password", "--no-sync")

    def _run(self, program, *arguments):
        servant = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
        log = self.folder / "setup.log"
        with log.open("a") as said:  # no pipe, which the server would hold open
            run = subprocess.run(
                [self.programs / program, *arguments], cwd=self.folder, stdout=said, stderr=said, timeout=60, **servant
            )
        assert run.returncode == 0, log.read_text()


def serve():
    """Yield a server that runs; for a fixture."""
    programs = find_programs()
    folder = Path(tempfile.mkdtemp(prefix="emoscope-pg-", dir="/tmp"))  # the path of a socket has to be short
    if os.geteuid() == 0:  # PostgreSQL does not run as root
        shutil.chown(folder, "postgres", "postgres")
    server = Server(folder, programs)
    try:
        server.make()
        server.start()
        yield server
        server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def find_programs():
    """The folder of `initdb` and `pg_ctl`: on the path, or where Debian puts them."""
    if found := shutil.which("pg_ctl"):
        return Path(found).parent
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"), key=lambda file: int(file.parts[-3]))
    if not places:
        pytest.fail(MISSING)
    return places[-1].parent
