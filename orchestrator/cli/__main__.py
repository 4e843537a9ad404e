"""`python -m orchestrator.cli` is `orchestrator`."""

from orchestrator.cli.app import main

main()
