"""May we, when, on which channel, and why: a function of its arguments. Pure."""
