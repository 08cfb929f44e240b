"""Neo4j Community, run as a separate server."""

import hashlib
import secrets
from collections.abc import Callable

from infra.local.parts import java
from infra.local.parts.part import Choices, Launch, NotAnswering, Part, Place, Refused

_HASH_ROUNDS = 1024
_OPENED = ("java.nio", "java.io", "sun.nio.ch", "java.util.concurrent")
_CONFIGURATION = """\
server.http.enabled=false
server.https.enabled=false
server.memory.pagecache.size=128m
db.tx_log.rotation.retention_policy=keep_none
db.tx_log.preallocate=false
db.shutdown_transaction_end_timeout=1s
internal.dbms.bolt.netty_server_shutdown_quiet_period=0
internal.server.bolt.thread_pool_shutdown_wait_time=1s
dbms.usage_report.enabled=false
"""


class Neo4j(Part):
    """The graph of tickets, people and their relations."""

    name = "neo4j"
    patience = 12.0

    def choose(self, choices: Choices) -> None:
        """One port and one password."""
        choices.keep("SWITCHDESK_NEO4J_URL", lambda: f"bolt://127.0.0.1:{choices.port()}")
        choices.keep("SWITCHDESK_NEO4J_USER", lambda: "neo4j")
        choices.keep("SWITCHDESK_NEO4J_PASSWORD", choices.password)

    def port(self, place: Place) -> int:
        """The Bolt port."""
        return place.port_of("SWITCHDESK_NEO4J_URL")

    def lay_out(self, place: Place, say: Callable[[str], None]) -> None:
        """Make the folders, and the first user so that the well-known first password never works."""
        java.fetch_jars(self.name, place, say)
        home = place.directory.data(self.name)
        for folder in ("conf", "data/dbms", "logs", "plugins", "import", "run"):
            (home / folder).mkdir(mode=0o700, parents=True, exist_ok=True)
        (home / "conf" / "neo4j.conf").write_text(
            f"{_CONFIGURATION}server.bolt.listen_address=127.0.0.1:{self.port(place)}\n"
        )
        if not (home / "data" / "databases").exists():
            users = home / "data" / "dbms" / "auth.ini"
            users.touch(mode=0o600)
            users.write_text(_user(place.env["SWITCHDESK_NEO4J_USER"], place.env["SWITCHDESK_NEO4J_PASSWORD"]))

    def launch(self, place: Place) -> Launch:
        """The server in the foreground."""
        home = place.directory.data(self.name)
        opened = [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENED]
        return Launch(
            [
                *(java.java(), "-Xms128m", "-Xmx384m", *java.FLAGS, *opened),
                *("-cp", java.class_path(self.name, place), "org.neo4j.server.CommunityEntryPoint"),
                *(f"--home-dir={home}", f"--config-dir={home / 'conf'}"),
            ]
        )

    def answer(self, place: Place) -> str:
        """`RETURN 1` over Bolt, with the password."""
        from neo4j import GraphDatabase
        from neo4j.exceptions import AuthError, DriverError, Neo4jError

        user, password = place.env["SWITCHDESK_NEO4J_USER"], place.env["SWITCHDESK_NEO4J_PASSWORD"]
        try:
            with (
                GraphDatabase.driver(
                    place.env["SWITCHDESK_NEO4J_URL"], auth=(user, password), connection_timeout=3
                ) as driver,
                driver.session() as session,
            ):
                result = session.run("RETURN 1")
                return str(result.consume().server.agent).replace("/", " ")
        except AuthError:
            raise Refused("it does not take the password of stack.env") from None
        except (DriverError, Neo4jError, OSError) as error:
            raise NotAnswering(str(error).splitlines()[0]) from None


def _user(name: str, password: str) -> str:
    """A line of Neo4j's file of first users: name, hash function, salted hash, salt, rounds."""
    salt = secrets.token_bytes(32)
    digest = hashlib.sha256(salt + password.encode()).digest()
    for _ in range(_HASH_ROUNDS - 1):
        digest = hashlib.sha256(digest).digest()
    return f"{name}:SHA-256,{digest.hex()},{salt.hex()},{_HASH_ROUNDS}:\n"
