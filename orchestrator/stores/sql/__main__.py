"""`python -m orchestrator.stores.sql upgrade URL`: leads a store to the installed version's schema."""

from __future__ import annotations

import sys

from orchestrator.errors import OrchestratorError
from orchestrator.stores.sql.migrate import upgrade
from orchestrator.stores.sql.schema import HEAD


def main(arguments: list[str]) -> int:
    """Exit code: 0 done, 2 wrong use, 3 a store that can't be upgraded."""
    match arguments:
        case ["upgrade", url]:
            try:
                before = upgrade(url)
            except OrchestratorError as error:
                sys.stderr.write(f"{error}\n")
                return error.exit_code
            sys.stdout.write(f"{before} -> {HEAD}\n")
            return 0
    sys.stderr.write(f"{__doc__}\n")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
