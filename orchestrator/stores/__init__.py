"""What is remembered: one contract, and its implementations."""
