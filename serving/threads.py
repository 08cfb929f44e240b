"""Blocking work of questions: a bounded pool of threads, where errors of stores and plans become serving's own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import psycopg
from psycopg_pool import PoolTimeout
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnection

from serving.errors import DeadlineExceeded, Invalid, ServingError, StoreUnavailable
from serving.semantics.errors import ImpossiblePlan, QueryTimeout, SemanticsError, UnknownName

_log = logging.getLogger(__name__)

Result = TypeVar("Result")


class Threads:
    """Runs blocking work in at most `size` threads."""

    def __init__(self, size: int) -> None:
        self._pool = ThreadPoolExecutor(max_workers=size, thread_name_prefix="serving")

    def close(self) -> None:
        """Let what runs end, start nothing more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def run(self, work: Callable[[], Result], *, seconds: float | None = None) -> Result:
        """Run work, waiting for it at most so long; raises ServingErrors only, also for what the stores raise."""
        try:
            return await asyncio.wait_for(asyncio.get_running_loop().run_in_executor(self._pool, work), seconds)
        except TimeoutError:
            raise DeadlineExceeded("deadline passed while reading data: raise deadline_ms or ask for less") from None
        except SemanticsError as error:
            raise translated(error) from error
        except (PoolTimeout, NoConnection, psycopg.OperationalError, DBAPIError) as error:
            _log.warning("PostgreSQL does not answer: %s", type(error).__name__)
            raise StoreUnavailable("PostgreSQL does not answer: `switchdesk doctor` says why") from error


def translated(error: SemanticsError) -> ServingError:
    """What a plan's fault or a query's failure is to a caller."""
    if isinstance(error, UnknownName):
        return Invalid(str(error), nearest=error.nearest)
    if isinstance(error, ImpossiblePlan):
        return Invalid(str(error))
    if isinstance(error, QueryTimeout):
        return DeadlineExceeded(str(error))
    return StoreUnavailable(str(error))
