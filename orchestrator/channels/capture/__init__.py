"""Messages kept on disk, for a person to open."""
