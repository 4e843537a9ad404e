"""One folder per provider: each builds a request, calls, and reads the answer into one of seven outcomes."""
