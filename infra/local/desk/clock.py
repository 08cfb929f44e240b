"""What time it is at the desk."""

from time import time


class Clock:
    """The real time, moved on by whatever was added; or one that stands still until moved."""

    def __init__(self, stands_at: int | None = None) -> None:
        self._stands_at = stands_at
        self._added = 0

    def now(self) -> int:
        """Whole seconds since 1970."""
        return (int(time()) if self._stands_at is None else self._stands_at) + self._added

    def move(self, seconds: int) -> None:
        """Move on; never back."""
        if seconds < 0:
            raise ValueError(f"cannot move the clock back: {seconds} seconds")
        self._added += seconds
