"""What can go wrong between us and Zendesk; every text is one sentence a user can act on and holds no secret."""

from __future__ import annotations

from assets.settings import SwitchdeskError

# ZendeskError
#   ├── CredentialsRefused      wrong id, secret, e-mail or token
#   │     └── NotAnAdmin        they work, but the exports are for administrators
#   ├── HostUnreachable         nothing answers, or only with faults, for a minute
#   ├── ForeignLink             a page or redirect points at another host
#   ├── RequestRefused          400, 404, 409, 422: this request, not the account
#   │     ├── AccessRefused     403
#   │     └── NotFound          404
#   ├── PageTooSlow             this page size takes Zendesk longer than it allows
#   ├── PageMalformed           an answer of another shape than the interface promises
#   ├── AccountMismatch         the copy is of another account
#   ├── SyncBusy                another run holds the lease
#   ├── SyncFenced              another run took the lease or the partitions over
#   └── SyncFailed              streams that failed, each with its reason


class ZendeskError(SwitchdeskError):
    """The sync with Zendesk cannot go on."""


class CredentialsRefused(ZendeskError):
    """Zendesk does not accept the credentials."""


class NotAnAdmin(CredentialsRefused):
    """The credentials work but may not read the exports."""


class HostUnreachable(ZendeskError):
    """The host does not answer, or only with faults."""


class ForeignLink(ZendeskError):
    """A link leads to another host than the configured one."""


class RequestRefused(ZendeskError):
    """Zendesk refuses this one request."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class AccessRefused(RequestRefused):
    """403: the plan or the role does not allow it."""


class NotFound(RequestRefused):
    """404: the row, or on this plan the endpoint, does not exist."""


class PageTooSlow(ZendeskError):
    """Zendesk ran out of time over a page: ask for a smaller one."""


class PageMalformed(ZendeskError):
    """A page lacks what its stream promises."""


class AccountMismatch(ZendeskError):
    """The database holds the copy of another account."""


class SyncBusy(ZendeskError):
    """Another run holds the lease."""


class SyncFenced(ZendeskError):
    """Another run has taken over; what this one had not committed is undone."""


class SyncFailed(ZendeskError):
    """Some streams failed, the others are up to date."""
