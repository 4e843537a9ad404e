"""The demo: a real grocer's quarter, small enough to travel with the package (see data/ATTRIBUTION.md)."""
