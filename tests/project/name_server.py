"""A name server on loopback, UDP and TCP, that knows the TXT records it is given."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

Zone = Mapping[str, list[str] | int]


def answer(zone: Zone, wire: bytes, *, datagram: bool) -> bytes:
    """A number in the zone is the code of a refusal (SERVFAIL 2), a list the texts of a name."""
    asked = dns.message.from_wire(wire)
    told = dns.message.make_response(asked, recursion_available=True)
    name = asked.question[0].name.to_text(omit_final_dot=True).lower()
    known = zone.get(name)
    if isinstance(known, int):
        told.set_rcode(dns.rcode.Rcode(known))
    elif known is None:
        told.set_rcode(dns.rcode.NXDOMAIN)
    else:
        for text in known:
            strings = " ".join(f'"{text[i : i + 255]}"' for i in range(0, max(len(text), 1), 255))
            told.answer.append(dns.rrset.from_text(f"{name}.", 60, "IN", "TXT", strings))
    raw = told.to_wire()
    if datagram and len(raw) > 512:
        told.answer.clear()
        told.flags |= dns.flags.TC
        raw = told.to_wire()
    return raw


def _both(datagram: Any, stream: Any) -> tuple[Any, Any]:
    """Servers of both kinds at one port, which must be free for both."""
    while True:
        tcp = socketserver.ThreadingTCPServer(("127.0.0.1", 0), stream)
        try:
            return socketserver.ThreadingUDPServer(tcp.server_address, datagram), tcp
        except OSError:
            tcp.server_close()


@contextmanager
def name_server(zone: Zone) -> Iterator[str]:
    """Its address, as [domain] resolver has it."""

    class Datagram(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            wire, socket = self.request
            if raw := answer(zone, wire, datagram=True):
                socket.sendto(raw, self.client_address)

    class Stream(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            wire = self.rfile.read(int.from_bytes(self.rfile.read(2), "big"))
            raw = answer(zone, wire, datagram=False)
            self.wfile.write(len(raw).to_bytes(2, "big") + raw)

    udp, tcp = _both(Datagram, Stream)
    port = udp.server_address[1]
    threads = [threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True) for server in (udp, tcp)]
    for thread in threads:
        thread.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        for server in (udp, tcp):
            server.shutdown()
            server.server_close()
        for thread in threads:
            thread.join(10)
