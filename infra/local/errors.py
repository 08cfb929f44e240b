"""What can go wrong with the local stack.

SwitchdeskError
└── StackError
    ├── BrokenDirectory   the stack's folder cannot be read as one
    ├── PortTaken         a part's port belongs to somebody else
    ├── DownloadFailed    a server's files cannot be had
    └── StartFailed       a part died or never answered
"""

from assets.settings import SwitchdeskError


class StackError(SwitchdeskError):
    """Something about the local stack that a user can act on."""


class BrokenDirectory(StackError):
    """The stack's folder cannot be read as one."""


class PortTaken(StackError):
    """A part's port belongs to another process."""


class DownloadFailed(StackError):
    """A server's files cannot be had."""


class StartFailed(StackError):
    """A part died or never answered."""
