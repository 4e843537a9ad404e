"""What turns the crank: the only places that know a loop."""
