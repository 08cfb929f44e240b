"""The demo help desk, which stands in where the user names no real one."""

import sys
from collections.abc import Callable

from infra.local.parts.http import get_json
from infra.local.parts.part import Choices, Launch, Part, Place


class DemoDesk(Part):
    """A help desk with customers who keep writing."""

    name = "demo-desk"

    def choose(self, choices: Choices) -> None:
        """One port, and the client that may read it."""
        choices.keep("SWITCHDESK_ZENDESK_URL", lambda: f"http://127.0.0.1:{choices.port()}")
        choices.keep("SWITCHDESK_ZENDESK_CLIENT_ID", lambda: "switchdesk")
        choices.keep("SWITCHDESK_ZENDESK_CLIENT_SECRET", choices.password)
        choices.keep("SWITCHDESK_DEMO_TICKETS", lambda: "2000")

    def port(self, place: Place) -> int:
        """The port of its URL."""
        return place.port_of("SWITCHDESK_ZENDESK_URL")

    def lay_out(self, place: Place, say: Callable[[str], None]) -> None:
        """Make its folder."""
        place.directory.data(self.name).mkdir(mode=0o700, exist_ok=True)

    def launch(self, place: Place) -> Launch:
        """The same command that anybody may run by hand."""
        size = ["--tickets", place.env["SWITCHDESK_DEMO_TICKETS"], "--live"]
        command = ["-m", "infra.local.cli", "--debug", "demo-desk", "--port", str(self.port(place)), *size]
        # It prints how to reach it, secret included, for whoever starts it by hand: not for a log.
        return Launch([sys.executable, *command], place.product_env(), logs_output=False)

    def answer(self, place: Place) -> str:
        """Ask for its counts, with the client's secret."""
        url, secret = place.env["SWITCHDESK_ZENDESK_URL"], place.env["SWITCHDESK_ZENDESK_CLIENT_SECRET"]
        get_json(f"{url}/_desk/stats", token=secret)
        return f"{place.env['SWITCHDESK_DEMO_TICKETS']} tickets and what customers write since"
