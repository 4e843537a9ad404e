"""How clients reach the brokers: addresses, TLS and login, one answer for every client.

kafka-python and aiokafka name these options alike; Faust's form is made from them in `runtimes/kafka`. A password is
read from the environment when it is needed, and is shown by no repr and no log.
"""

from __future__ import annotations

import os
import ssl
from typing import Any

from orchestrator.errors import SetupError
from orchestrator.settings import KafkaSettings

_PROTOCOLS = {"plaintext": "PLAINTEXT", "tls": "SSL", "sasl_tls": "SASL_SSL", "sasl": "SASL_PLAINTEXT"}


class Secret(str):
    """Text that is itself for the wire and stars for people: kafka-python logs its whole configuration."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'********'"


def client_options(kafka: KafkaSettings) -> dict[str, Any]:
    """The keyword arguments with which kafka-python's and aiokafka's clients reach the brokers.

    Raises SetupError, naming the setting, where the password or a certificate is missing or can't be read.
    """
    options: dict[str, Any] = {
        "bootstrap_servers": addresses(kafka),
        "security_protocol": _PROTOCOLS[kafka.security],
        "ssl_context": tls(kafka),
    }
    if kafka.security.startswith("sasl"):
        options |= {
            "sasl_mechanism": kafka.sasl_mechanism,
            "sasl_plain_username": kafka.user,
            "sasl_plain_password": password(kafka),
        }
    return options


def addresses(kafka: KafkaSettings) -> list[str]:
    """`host:port` of each broker named; raises SetupError where none is."""
    named = [address.strip() for address in kafka.bootstrap.split(",") if address.strip()]
    if not named:
        raise SetupError("no broker is named: set [kafka] bootstrap to host:port")
    return named


def tls(kafka: KafkaSettings) -> ssl.SSLContext | None:
    """The TLS context, which always checks the broker's certificate and name; None where the line is not encrypted."""
    if kafka.security not in {"tls", "sasl_tls"}:
        return None
    try:
        context = ssl.create_default_context(cafile=kafka.ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise SetupError(f"[kafka] ca_file {kafka.ca_file} can't be read as PEM: {_why(error)}") from None
    if kafka.cert_file:
        try:
            # "" in place of a password: OpenSSL would ask at the terminal for the one of an encrypted key
            context.load_cert_chain(kafka.cert_file, kafka.key_file or None, password="")
        except (OSError, ssl.SSLError) as error:
            named = " and ".join(file for file in (kafka.cert_file, kafka.key_file) if file)
            raise SetupError(f"[kafka] cert_file {named} can't be read as PEM: {_why(error)}") from None
    return context


def password(kafka: KafkaSettings) -> Secret:
    """The password of `kafka.user`; raises SetupError, naming the variable, where there is none."""
    found = os.environ.get(kafka.password_env)
    if not found:
        raise SetupError(f"the password of Kafka's user {kafka.user} is missing: put it into {kafka.password_env}")
    return Secret(found)


def _why(error: OSError) -> str:
    return error.strerror or type(error).__name__
