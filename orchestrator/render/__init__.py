"""Member and template give a message. Pure."""
