"""For those who add to the orchestrator: builders and the contract suites that every part must pass."""
