"""The seam to the network: `connect(kind)` gives a Trio stream to the venue, and nothing else in the program does.

Production passes `open_tcp(venue)`; tests and simulation pass a function of the same shape that hands out memory
streams with faults in them.
"""

from __future__ import annotations

import enum
import ipaddress
import ssl
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import attrs
import trio


class ConnectionKind(enum.Enum):
    """What a connection is for. Real networks ignore it; simulated ones choose their faults by it."""

    REST = "rest"
    ACCOUNT = "account"
    MARKET = "market"
    CLEANUP = "cleanup"


Connect = Callable[[ConnectionKind], Awaitable[trio.abc.Stream]]
"""Opens one connection, TLS included. Raises one of CONNECT_ERRORS; the caller sets the deadline."""

CONNECT_ERRORS = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)
"""What a `Connect` may raise: refused, unreachable, no such host, or TLS not agreed."""

STREAM_ERRORS = (trio.BrokenResourceError, trio.ClosedResourceError, OSError)
"""What reading from or writing to a stream may raise."""


class VenueAddressError(ValueError):
    """A base URL that cannot or must not be used. The text names the cure."""


@attrs.frozen
class VenueAddress:
    """Where a venue listens. `host` is without brackets; `localhost` has become 127.0.0.1."""

    scheme: str
    host: str
    port: int

    @classmethod
    def from_url(cls, base_url: str) -> VenueAddress:
        """Read `https://api.hyperliquid.xyz` or `http://127.0.0.1:3001`.

        Raises:
            VenueAddressError: no such URL can be a venue's, or it is plain http to a host that is not this machine.
        """
        try:
            parts = urlsplit(base_url.strip())
            port = parts.port
        except ValueError as error:
            raise VenueAddressError(f"the base URL makes no sense: {error}") from None
        if parts.username is not None or parts.password is not None:
            raise VenueAddressError(
                "the base URL holds a user name or password; the venue knows neither: remove it"
            )
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise VenueAddressError(
                f"the base URL {base_url!r} must look like https://api.hyperliquid.xyz or http://127.0.0.1:3001"
            )
        if parts.path not in ("", "/") or parts.query or parts.fragment:
            raise VenueAddressError(
                f"the base URL {base_url!r} must end after host and port; /info, /exchange and /ws are added to it"
            )
        # Resolved here: a look-up of localhost takes a thread, may give ::1 first, and the servers are on IPv4.
        host = "127.0.0.1" if parts.hostname == "localhost" else parts.hostname
        address = cls(
            parts.scheme, host, port if port is not None else (443 if parts.scheme == "https" else 80)
        )
        if address.port == 0:
            raise VenueAddressError(f"the base URL {base_url!r} names port 0, where nothing can listen")
        if address.scheme == "http" and not address.is_loopback:
            raise VenueAddressError(
                f"{base_url!r} is plain http to another machine: anybody between could read and change orders. "
                f"Use https, or an exchange on this machine (127.0.0.1)."
            )
        return address

    @property
    def is_loopback(self) -> bool:
        """True where the venue is on this machine: 127.0.0.0/8 or ::1."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def host_header(self) -> str:
        """The HTTP `Host` of this venue."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.scheme == "https" else 80) else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The base URL, for people."""
        return f"{self.scheme}://{self.host_header}"


def open_tcp(venue: VenueAddress, ssl_context: ssl.SSLContext | None = None) -> Connect:
    """The real network. TLS wherever the scheme is https, certificate and host name always checked.

    `ssl_context` is for a private certificate authority; one that does not verify is refused.
    """
    context = None
    if venue.scheme == "https":
        context = ssl_context or ssl.create_default_context()
        if context.verify_mode is not ssl.CERT_REQUIRED or not context.check_hostname:
            raise ValueError("a TLS context for a venue must verify certificate and host name")
    elif not venue.is_loopback:  # from_url refuses it too; an address may have been built by hand.
        raise VenueAddressError(f"{venue.url} is plain http to another machine: use https")

    async def connect(_kind: ConnectionKind) -> trio.abc.Stream:
        stream = await trio.open_tcp_stream(venue.host, venue.port)  # Sets TCP_NODELAY; tries all addresses.
        if context is None:
            return stream
        secure = trio.SSLStream(stream, context, server_hostname=venue.host, https_compatible=True)
        try:
            await secure.do_handshake()
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        return secure

    return connect
