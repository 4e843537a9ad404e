"""SendGrid's own client, without what would send twice, leak a key or hide what happened.

As it comes (sendgrid 6.12, python-http-client 3.3), it has no time-out, follows a redirect as a GET, key in hand, and
returns that page's 200 as success; keeps the headers of one call for all later ones; and writes key and body to its
log. Here each call has a time-out, a redirect is an answer like any other, and it is known whether a connection stood
when a call failed: until then SendGrid has nothing.
"""

from __future__ import annotations

import http.client
import urllib.request
from collections.abc import Callable
from typing import Any

import python_http_client
import sendgrid

from orchestrator.channels.http import quiet
from orchestrator.channels.secret import Secret


class _Wire:
    """How far the call under way has come."""

    def __init__(self) -> None:
        self.connected = False


class Client(python_http_client.Client):  # type: ignore[misc] # it ships no types
    """One client of one thread at a time."""

    def __init__(self, *, wire: _Wire, **options: Any) -> None:
        super().__init__(**options)
        self.wire = wire

    def _build_client(self, name: str | None = None) -> Client:
        """The client of the next part of the path."""
        return Client(
            wire=self.wire,
            host=self.host,
            version=self._version,
            request_headers=self.request_headers,
            url_path=[*self._url_path, name] if name else self._url_path,
            timeout=self.timeout,
        )

    def _make_request(
        self,
        opener: object,  # noqa: ARG002 - the library's shape
        request: urllib.request.Request,
        timeout: float | None = None,
    ) -> Any:
        """As the library does it, by an opener of ours."""
        ours = urllib.request.build_opener(_NoRedirect, _Http(self.wire), _Https(self.wire))
        return super()._make_request(ours, request, timeout=timeout)


def open_client(host: str, api_key: Secret, timeout_s: float) -> sendgrid.SendGridAPIClient:
    """A client of SendGrid at `host`."""
    quiet("python_http_client")
    api = sendgrid.SendGridAPIClient(api_key.reveal(), host=host)
    api.client = Client(
        wire=_Wire(), host=host, version=3, request_headers=api.client.request_headers, timeout=timeout_s
    )
    return api


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *about: Any) -> None:
        """None: the redirect itself is the answer."""


class _Http(urllib.request.HTTPHandler):
    def __init__(self, wire: _Wire) -> None:
        super().__init__()
        self._wire = wire

    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_noting(http.client.HTTPConnection, self._wire), request)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, wire: _Wire) -> None:
        super().__init__()
        self._wire = wire

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_noting(http.client.HTTPSConnection, self._wire), request)


def _noting(kind: type[http.client.HTTPConnection], wire: _Wire) -> Callable[..., http.client.HTTPConnection]:
    """A connection that notes when it stands."""

    class Noting(kind):  # type: ignore[valid-type,misc] # one of the two above
        def connect(self) -> None:
            super().connect()
            wire.connected = True

    return Noting
