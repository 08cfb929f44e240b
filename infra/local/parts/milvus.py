"""Milvus Lite as a server of its own, so that several processes share its collections."""

import sys
from collections.abc import Callable
from typing import cast

from infra.local.errors import StartFailed
from infra.local.parts.part import Choices, Launch, NotAnswering, Part, Place

_SERVICE = "/milvus.proto.milvus.MilvusService"


class Milvus(Part):
    """The vectors of comments."""

    name = "milvus"
    settles = True

    def choose(self, choices: Choices) -> None:
        """One port; it has no logins, so it listens on this machine alone."""
        choices.keep("SWITCHDESK_MILVUS_URL", lambda: f"http://127.0.0.1:{choices.port()}")

    def port(self, place: Place) -> int:
        """The port of its URL."""
        return place.port_of("SWITCHDESK_MILVUS_URL")

    def lay_out(self, place: Place, say: Callable[[str], None]) -> None:
        """Make its folder."""
        place.directory.data(self.name).mkdir(mode=0o700, exist_ok=True)

    def launch(self, place: Place) -> Launch:
        """Its server; without `--host` it would listen on every address."""
        data = place.directory.data(self.name)
        address = ["--host", "127.0.0.1", "--port", str(self.port(place))]
        return Launch([sys.executable, "-m", "milvus_lite", "server", "--data-dir", str(data / "data"), *address])

    def answer(self, place: Place) -> str:
        """List the collections; by plain gRPC, because the client library takes seconds to import."""
        import grpc

        options = [("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(f"127.0.0.1:{self.port(place)}", options) as channel:
            try:
                channel.unary_unary(f"{_SERVICE}/ShowCollections")(b"", timeout=3)
                version = channel.unary_unary(f"{_SERVICE}/GetVersion")(b"", timeout=3)
            except grpc.RpcError as error:
                raise NotAnswering(str(error.details())) from None  # pyright: ignore[reportAttributeAccessIssue]
        return f"Milvus Lite {_printable(version)}".rstrip()

    def settle(self, place: Place, say: Callable[[str], None]) -> None:
        """Load the collections: Milvus remembers what was loaded, Milvus Lite does not, and clients rely on it."""
        if not any((place.directory.data(self.name) / "data").glob("collections/*")):
            return
        say("loading the collections")
        from pymilvus import MilvusClient, MilvusException

        client = MilvusClient(uri=place.env["SWITCHDESK_MILVUS_URL"], timeout=60)
        try:
            # The stubs type the asynchronous client's answer.
            for name in cast("list[str]", client.list_collections()):
                client.load_collection(name)
        except MilvusException as error:
            raise StartFailed(
                f"milvus cannot load a collection: {error.message}; its log is {place.directory.log(self.name)}"
            ) from None
        finally:
            client.close()


def _printable(message: bytes) -> str:
    """The version string at the end of a serialized GetVersionResponse."""
    _, _, text = message.rpartition(b"\x12")
    return text[1:].decode(errors="replace") if text and text[0] == len(text) - 1 else ""
