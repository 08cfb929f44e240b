"""Dagster: the server of our code, the web page and the daemon, which share one instance and one copy of the code."""

import sys
from abc import abstractmethod
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote, urlsplit

from infra.local.errors import StartFailed
from infra.local.parts.http import get_json
from infra.local.parts.part import Choices, Launch, NotAnswering, Part, Place

_LOCATION = "switchdesk"
_CODE = "orchestration.definitions"
_LATEST_HEARTBEAT_SECONDS = 120
_PAGE_QUERY = (
    "{ version workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError { __typename } } } } }"
)


class _DagsterPart(Part):
    after = ("postgres",)
    # Loading our code and Dagster's takes this long on two cores that others use as well.
    deadline = 180.0

    def choose(self, choices: Choices) -> None:
        """The ports of the code server and of the web page."""
        choices.keep("SWITCHDESK_DAGSTER_CODE", lambda: f"127.0.0.1:{choices.port()}")
        choices.keep("SWITCHDESK_DAGSTER_URL", lambda: f"http://127.0.0.1:{choices.port()}")

    def lay_out(self, place: Place, say: Callable[[str], None]) -> None:
        """Bring the instance's settings into DAGSTER_HOME, the only place where Dagster reads them."""
        home = Path(place.env["DAGSTER_HOME"])
        home.mkdir(mode=0o700, exist_ok=True)
        place.directory.data(self.name).mkdir(mode=0o700, exist_ok=True)
        for name, text in (
            ("dagster.yaml", _instance_settings().read_text()),
            (
                "workspace.yaml",
                "load_from:\n"
                "  - grpc_server:\n"
                "      host: 127.0.0.1\n"
                f"      port: {place.port_of('SWITCHDESK_DAGSTER_CODE')}\n"
                f"      location_name: {_LOCATION}\n",
            ),
        ):
            # The three parts write the same text at the same time; each sees it whole.
            fresh = home / f"{name}.{self.name}"
            fresh.write_text(text)
            fresh.replace(home / name)

    def launch(self, place: Place) -> Launch:
        """Its program, with the settings of this stack."""
        # Two allocation arenas instead of sixteen: a third less memory for servers with many idle threads.
        env = place.product_env() | {"MALLOC_ARENA_MAX": "2"}
        return Launch([sys.executable, "-m", *self._arguments(place)], env)

    @abstractmethod
    def _arguments(self, place: Place) -> list[str]: ...

    def _workspace(self, place: Place) -> str:
        return str(Path(place.env["DAGSTER_HOME"]) / "workspace.yaml")


class DagsterCode(_DagsterPart):
    """Holds the code location once for web page, daemon and runs, instead of once for each."""

    name = "dagster-code"

    def port(self, place: Place) -> int:
        """Its gRPC port."""
        return place.port_of("SWITCHDESK_DAGSTER_CODE")

    def _arguments(self, place: Place) -> list[str]:
        address = ["--host", "127.0.0.1", "--port", str(self.port(place))]
        code = ["--module-name", _CODE, "--location-name", _LOCATION]
        # Runs start with this interpreter: no `dagster` need be on the path.
        return ["dagster", "api", "grpc", *address, *code, "--use-python-environment-entry-point"]

    def answer(self, place: Place) -> str:
        """Ping it; it listens only after it has loaded the code."""
        import grpc

        options = [("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(f"127.0.0.1:{self.port(place)}", options) as channel:
            try:
                channel.unary_unary("/api.DagsterApi/Ping")(b"", timeout=3)
            except grpc.RpcError as error:
                raise NotAnswering(str(error.details())) from None  # pyright: ignore[reportAttributeAccessIssue]
        return f"code location {_CODE}"


class DagsterWebserver(_DagsterPart):
    """The web page of runs and assets."""

    name = "dagster-webserver"
    # A page that starts before the code is there shows no job until somebody reloads it.
    after = ("postgres", "dagster-code")

    def port(self, place: Place) -> int:
        """The page's port."""
        return place.port_of("SWITCHDESK_DAGSTER_URL")

    def _arguments(self, place: Place) -> list[str]:
        address = ["--host", "127.0.0.1", "--port", str(self.port(place))]
        # A connection older than a second is not used again: PostgreSQL may have been restarted since, and the page
        # would fail once for each connection it still holds.
        database = ["--db-pool-recycle", "1"]
        workspace = ["--workspace", self._workspace(place)]
        return ["dagster_webserver", *address, *workspace, *database, "--log-level", "warning"]

    def answer(self, place: Place) -> str:
        """Ask for its version and whether it shows our jobs."""
        url = place.env["SWITCHDESK_DAGSTER_URL"]
        shown = get_json(f"{url}/graphql?query={quote(_PAGE_QUERY)}")["data"]
        entries = shown["workspaceOrError"].get("locationEntries", [])
        if [(entry["locationOrLoadError"] or {}).get("__typename") for entry in entries] != ["RepositoryLocation"]:
            raise NotAnswering(f"the code location {_LOCATION} is not loaded yet")
        return f"Dagster {shown['version']} at {url}"


class DagsterDaemon(_DagsterPart):
    """Runs schedules, sensors, backfills and the queue of runs."""

    name = "dagster-daemon"
    after = ("postgres", "dagster-code")

    def port(self, place: Place) -> int:
        """It has none."""
        return 0

    def _arguments(self, place: Place) -> list[str]:
        return ["dagster._daemon", "run", "--workspace", self._workspace(place)]

    def answer(self, place: Place) -> str:
        """Look for heartbeats of its life, not of an earlier one, in Dagster's storage."""
        import psycopg

        record = place.directory.record(self.name)
        started = record.started_at if record else 0.0
        url = urlsplit(place.env["SWITCHDESK_DAGSTER_STORAGE_URL"])
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
                rows = connection.execute("select daemon_type, timestamp from daemon_heartbeats").fetchall()
        except psycopg.Error as error:
            raise NotAnswering(str(error).strip().splitlines()[0]) from None
        now = datetime.now(UTC).timestamp()
        beats = {kind: at.replace(tzinfo=UTC).timestamp() for kind, at in rows}
        alive = [kind for kind, at in beats.items() if at >= started and now - at < _LATEST_HEARTBEAT_SECONDS]
        if not alive:
            raise NotAnswering("no heartbeat yet" if now - started < _LATEST_HEARTBEAT_SECONDS else "no heartbeat")
        return f"{len(alive)} daemons beat"


def _instance_settings() -> Path:
    spec = find_spec("orchestration")
    if spec is None or spec.origin is None:
        raise StartFailed("dagster not installed: the package orchestration is missing; run `uv sync --all-extras`")
    return Path(spec.origin).parent.parent / "dagster.yaml"
