"""Stops a test stack when the process that started it ends, however it ends; run as a script."""

import sys
from pathlib import Path

from infra.local import stack

if __name__ == "__main__":
    # Standard input closes when the test run's process does: by its teardown, or by its death.
    sys.stdin.read()
    stack.stop(Path(sys.argv[1]))
