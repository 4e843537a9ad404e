"""E-mail: one folder for each way to send it."""
