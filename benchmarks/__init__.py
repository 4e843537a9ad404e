"""What things cost; each prints a table and gives its rows."""
