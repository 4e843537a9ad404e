"""TLS and login as Faust wants them, from the same settings as every other client (`orchestrator.kafka_security`)."""

from __future__ import annotations

from faust.auth import SASLCredentials, SSLCredentials
from faust.types.auth import CredentialsT

from orchestrator.errors import SetupError
from orchestrator.kafka_security import password, tls
from orchestrator.settings import KafkaSettings


def credentials(kafka: KafkaSettings) -> CredentialsT | None:
    """Faust's `broker_credentials`; None where brokers ask for nothing. Raises SetupError, naming the setting.

    Faust itself would take a login without a TLS context for one in the clear, silently.
    """
    context = tls(kafka)
    if not kafka.security.startswith("sasl"):
        return SSLCredentials(context) if context else None
    if context is None and not kafka.allow_sasl_without_tls:
        raise SetupError('[kafka] security "sasl" would send the login in the clear; use "sasl_tls"')
    return SASLCredentials(
        username=kafka.user, password=password(kafka), mechanism=kafka.sasl_mechanism, ssl_context=context
    )
