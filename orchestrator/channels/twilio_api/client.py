"""Twilio's own client, with a time-out, and with the status and headers of its last answer.

As it comes (twilio 9.13), it waits for ever, and its errors carry no headers, so that a throttled call would not know
for how long. Its asynchronous form ignores the time-out and, told to retry, sends again on a 5xx: the synchronous one
is used, in a thread of its own, which never tries again.
"""

from __future__ import annotations

from typing import Any

import requests
import urllib3.exceptions
from twilio.base.exceptions import TwilioException
from twilio.http.http_client import TwilioHttpClient
from twilio.http.response import Response
from twilio.rest import Client

from orchestrator.channels.contract import Answer
from orchestrator.channels.http import Reply, is_untrusted, quiet
from orchestrator.channels.secret import Secret

# raised before a request leaves
_NOT_SENT = (
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.ConnectTimeoutError,
    urllib3.exceptions.ProxyError,
)
# the library's own refusal of an address that is none
_NO_ADDRESS = (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, requests.exceptions.MissingSchema)


class _Http(TwilioHttpClient):  # type: ignore[misc] # it ships no types
    """Keeps the last answer; one thread at a time."""

    def __init__(self, timeout_s: float) -> None:
        super().__init__(timeout=timeout_s)
        self.last: Reply | None = None

    def request(self, *args: Any, **kwargs: Any) -> Response:
        """As the library does it."""
        self.last = None
        response = super().request(*args, **kwargs)
        headers = {str(name).lower(): str(value) for name, value in (response.headers or {}).items()}
        self.last = Reply(response.status_code, headers, response.text.encode("utf-8", "replace"))
        return response


class TwilioClient:
    """One client of one thread at a time."""

    def __init__(self, host: str, account_sid: str, user: str, secret: Secret, timeout_s: float) -> None:
        """`user` is the account itself, or an API key of it; `secret` is its token or the key's."""
        # today's log shows account and headers, without secrets; what it may show tomorrow is not waited for
        quiet("twilio.http_client", "urllib3")
        self._http = _Http(timeout_s)
        self._api = Client(user, secret.reveal(), account_sid, http_client=self._http)
        self._api.api.base_url = host

    def create(self, fields: dict[str, Any]) -> Reply | Answer:
        """One call for a new message; what the library raises, sorted by whether Twilio may have it."""
        try:
            self._api.messages.create(**fields)
        except (TwilioException, requests.RequestException, OSError, ValueError, KeyError, TypeError) as error:
            # errors of the API, and answers that the library can't read, come after an answer
            if self._http.last is None:
                return _failure(error)
        return self._http.last or Answer(kind="unknown", code="connection")

    def close(self) -> None:
        """Ends its connections."""
        if self._http.session is not None:
            self._http.session.close()


def _failure(error: Exception) -> Answer:
    """No answer: had the request left?"""
    if is_untrusted(error):
        return Answer(kind="rejected_sender", code="tls")
    inner = error.args[0] if error.args else None
    unsent = isinstance(getattr(inner, "reason", inner), _NOT_SENT) or isinstance(error, _NO_ADDRESS)
    return Answer(kind="transient" if unsent else "unknown", code="connection")
