"""The API, as `switchdesk serve` runs it."""

import sys
from collections.abc import Callable

from infra.local.parts.http import get_json
from infra.local.parts.part import Choices, Launch, Part, Place


class Api(Part):
    """Answers questions."""

    name = "api"
    after = ("postgres",)
    deadline = 180.0

    def choose(self, choices: Choices) -> None:
        """One port."""
        choices.keep("SWITCHDESK_API_URL", lambda: f"http://127.0.0.1:{choices.port()}")

    def port(self, place: Place) -> int:
        """The port of its URL."""
        return place.port_of("SWITCHDESK_API_URL")

    def lay_out(self, place: Place, say: Callable[[str], None]) -> None:
        """Make its folder; it keeps nothing there."""
        place.directory.data(self.name).mkdir(mode=0o700, exist_ok=True)

    def launch(self, place: Place) -> Launch:
        """One worker process."""
        address = ["--host", "127.0.0.1", "--port", str(self.port(place))]
        return Launch([sys.executable, "-m", "infra.local.cli", "--debug", "serve", *address], place.product_env())

    def answer(self, place: Place) -> str:
        """Ask whether it is alive; what it depends on is told by its `/readyz`."""
        get_json(f"{place.env['SWITCHDESK_API_URL']}/healthz")
        return f"documentation at {place.env['SWITCHDESK_API_URL']}/docs"
