"""E-mail through a relay that speaks SMTP."""
