"""E-mail by SendGrid's API."""
