"""What the stack knows of each of its parts."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar
from urllib.parse import urlsplit

from assets.settings import Settings
from infra.local.directory import Directory, free_port, new_password


class NotAnswering(Exception):
    """The part gave no answer yet; its text says what came instead."""


class Refused(NotAnswering):
    """It answers, but does not take the password of `stack.env`: waiting will not help."""


@dataclass(frozen=True, slots=True)
class Launch:
    """How a server's program is started."""

    argv: list[str]
    env: dict[str, str] = field(default_factory=dict)
    """Added to the environment of the command."""
    user: tuple[int, int] | None = None
    """User and group to run as, where not the caller's own."""
    logs_output: bool = True
    """Whether standard output is logged too, and not standard error alone."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a part lives: its stack's folder and settings."""

    directory: Directory
    env: dict[str, str]
    settings: Settings
    has_own_desk: bool = True
    """False where the user's settings name a real help desk."""

    def port_of(self, setting: str) -> int:
        """The port in a URL or `host:port` setting of this stack."""
        value = self.env[setting]
        port = urlsplit(value if "://" in value else f"//{value}").port
        assert port is not None, setting
        return port

    def product_env(self) -> dict[str, str]:
        """The environment of a part that is ours: this stack's settings, whatever else the caller has exported."""
        ours = ("SWITCHDESK_ZENDESK_", "SWITCHDESK_DEMO_")
        return {name: value for name, value in self.env.items() if self.has_own_desk or not name.startswith(ours)}


class Choices:
    """Settings of a stack while ports and passwords are being chosen; what is chosen stays."""

    def __init__(self, env: dict[str, str]) -> None:
        self.env = env
        self._taken: set[int] = set()

    def keep(self, name: str, choose: Callable[[], str]) -> None:
        """Choose the setting unless an earlier start did."""
        if name not in self.env:
            self.env[name] = choose()

    def port(self) -> int:
        """A free port."""
        return free_port(self._taken)

    def password(self) -> str:
        """A new secret."""
        return new_password()


class Part(ABC):
    """One server: how it is laid out, started and asked whether it is there."""

    name: ClassVar[str]
    after: ClassVar[tuple[str, ...]] = ()
    """Parts that must answer before this one is started."""
    deadline: ClassVar[float] = 90.0
    """Seconds within which it must answer once started."""
    patience: ClassVar[float] = 8.0
    """Seconds it may take to end by itself."""

    @abstractmethod
    def choose(self, choices: Choices) -> None:
        """Choose the ports and passwords that are not chosen yet."""

    @abstractmethod
    def port(self, place: Place) -> int:
        """The port it listens on; 0 where it has none."""

    def ports(self, place: Place) -> list[int]:
        """Every port that must be free before it starts."""
        return [port] if (port := self.port(place)) else []

    @abstractmethod
    def lay_out(self, place: Place, say: Callable[[str], None]) -> None:
        """Make its data once and write its configuration anew; `say` tells what takes long."""

    @abstractmethod
    def launch(self, place: Place) -> Launch:
        """How its program is started."""

    @abstractmethod
    def answer(self, place: Place) -> str:
        """Send a real request; return what it is (name and version), or raise NotAnswering."""

    settles: ClassVar[bool] = False
    """Whether something is to be done after its first answer."""

    def settle(self, place: Place, say: Callable[[str], None]) -> None:
        """Do that, once after each start; it may be repeated."""
        raise NotImplementedError(self.name)
