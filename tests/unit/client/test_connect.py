"""Which venues may be reached, and that real connections are what they should be (loopback sockets, real time)."""

from __future__ import annotations

import socket
import ssl
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio

from mmtrio.client.connect import (
    CONNECT_ERRORS,
    ConnectionKind,
    VenueAddress,
    VenueAddressError,
    open_tcp,
)
from mmtrio.client.errors import RequestNotSent
from mmtrio.client.rest import open_rest
from tests.support.scripted_venue import ClientEnd, Peer, http, raw, reply
from tests.support.tls_identity import server_context, trusting_context


@pytest.mark.parametrize(
    ("url", "address", "host_header"),
    [
        ("https://api.hyperliquid.xyz", ("https", "api.hyperliquid.xyz", 443), "api.hyperliquid.xyz"),
        ("https://api.hyperliquid.xyz/", ("https", "api.hyperliquid.xyz", 443), "api.hyperliquid.xyz"),
        ("https://venue.example:8443", ("https", "venue.example", 8443), "venue.example:8443"),
        (" http://127.0.0.1:3001 ", ("http", "127.0.0.1", 3001), "127.0.0.1:3001"),
        ("http://127.8.9.10", ("http", "127.8.9.10", 80), "127.8.9.10"),
        ("http://localhost:3001", ("http", "127.0.0.1", 3001), "127.0.0.1:3001"),
        ("http://LOCALHOST:3001", ("http", "127.0.0.1", 3001), "127.0.0.1:3001"),
        ("http://[::1]:3001", ("http", "::1", 3001), "[::1]:3001"),
    ],
)
def test_base_urls_that_name_a_venue(url, address, host_header):
    venue = VenueAddress.from_url(url)
    assert (venue.scheme, venue.host, venue.port) == address
    assert venue.host_header == host_header
    assert VenueAddress.from_url(venue.url) == venue


@pytest.mark.parametrize(
    ("url", "cure"),
    [
        ("http://api.hyperliquid.xyz", "Use https"),
        ("http://192.168.0.7:3001", "Use https"),
        ("http://localhost.example.com", "Use https"),
        ("http://127.0.0.1.example.com", "Use https"),
        ("http://[::2]:3001", "Use https"),
        ("wss://api.hyperliquid.xyz/ws", "must look like"),
        ("ftp://127.0.0.1", "must look like"),
        ("api.hyperliquid.xyz", "must look like"),
        ("", "must look like"),
        ("https://", "must look like"),
        ("https://api.hyperliquid.xyz/info", "must end after host and port"),
        ("https://api.hyperliquid.xyz/?a=1", "must end after host and port"),
        ("https://api.hyperliquid.xyz#x", "must end after host and port"),
        ("http://127.0.0.1:99999", "makes no sense"),
        ("http://127.0.0.1:0", "port 0"),
        ("http://[::1", "makes no sense"),
    ],
)
def test_base_urls_that_are_refused_name_the_cure(url, cure):
    with pytest.raises(VenueAddressError, match=cure):
        VenueAddress.from_url(url)


def test_a_password_in_a_base_url_is_refused_and_not_repeated():
    with pytest.raises(VenueAddressError) as caught:
        VenueAddress.from_url("https://me:canary@api.hyperliquid.xyz")
    assert "canary" not in str(caught.value)


def test_plain_connections_to_other_machines_are_refused_however_the_address_was_made():
    with pytest.raises(VenueAddressError, match="use https"):
        open_tcp(VenueAddress("http", "api.hyperliquid.xyz", 80))


def test_a_tls_context_that_does_not_verify_is_refused():
    for context in (ssl.create_default_context(), ssl.create_default_context()):
        context.check_hostname = False
        with pytest.raises(ValueError, match="must verify"):
            open_tcp(VenueAddress("https", "api.hyperliquid.xyz", 443), context)
        context.verify_mode = ssl.CERT_NONE


# ---------------------------------------------------------------------------------------------------------------
# Real sockets


@asynccontextmanager
async def served(*servers, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None):
    """A venue on a real loopback port; the n-th connection is served by the n-th server."""
    remaining = list(servers)

    async def serve(stream: trio.abc.Stream) -> None:
        server = remaining.pop(0) if len(remaining) > 1 else remaining[0]
        try:
            await server(Peer(stream, ClientEnd(stream), ConnectionKind.REST))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        await trio.aclose_forcefully(stream)

    async with trio.open_nursery() as nursery:
        if tls is None:
            listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host=host))
            port = listeners[0].socket.getsockname()[1]
        else:
            ssl_listeners = await nursery.start(partial(trio.serve_ssl_over_tcp, serve, 0, tls, host=host))
            port = ssl_listeners[0].transport_listener.socket.getsockname()[1]
        with trio.fail_after(10):
            yield VenueAddress("http" if tls is None else "https", host, port)
        nursery.cancel_scope.cancel()


async def test_small_writes_leave_at_once():
    async with served(http(reply(1))) as venue:
        stream = await open_tcp(venue)(ConnectionKind.REST)
        assert isinstance(stream, trio.SocketStream)
        assert stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
        await stream.aclose()


async def test_requests_over_a_real_connection_and_a_refused_one():
    async with served(http(reply({"status": "ok"}), reply([2]))) as venue:
        async with open_rest(open_tcp(venue), venue) as rest:
            assert await rest.exchange(b"{}") == {"status": "ok"}
            assert await rest.info({}) == [2]
            assert rest.connection_count == 1
    async with open_rest(open_tcp(venue), venue) as rest:
        with pytest.raises(RequestNotSent, match="cannot connect: Connection refused"):
            await rest.exchange(b"{}")


async def test_an_action_does_not_go_out_on_a_kept_connection_that_the_venue_has_closed():
    goodbye = raw(b'HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{"n":1}', "eof")
    async with served(http(goodbye), http(reply({"n": 2}))) as venue:
        async with open_rest(open_tcp(venue), venue) as rest:
            assert await rest.exchange(b"{}") == {"n": 1}
            await trio.lowlevel.wait_readable(rest._idle[0].stream.socket)  # The end of it has arrived.
            assert await rest.exchange(b"{}") == {"n": 2}
            assert rest.connection_count == 2


async def test_tls_is_verified_and_works_where_it_verifies(tmp_path):
    async with served(http(reply([7])), tls=server_context(tmp_path)) as venue:
        with pytest.raises(CONNECT_ERRORS):
            await open_tcp(venue)(ConnectionKind.REST)
        async with open_rest(open_tcp(venue), venue) as rest:
            with pytest.raises(RequestNotSent, match="certificate verify failed"):
                await rest.exchange(b"{}")
        async with open_rest(open_tcp(venue, trusting_context()), venue) as rest:
            assert await rest.info({}) == [7]


async def test_the_name_in_the_certificate_must_be_the_hosts(tmp_path):
    async with served(http(reply([7])), host="127.0.0.2", tls=server_context(tmp_path)) as venue:
        async with open_rest(open_tcp(venue, trusting_context()), venue) as rest:
            with pytest.raises(RequestNotSent, match="IP address mismatch"):
                await rest.info({})


async def test_https_to_a_plain_server_is_a_request_not_sent():
    async with served(http(reply([7]))) as venue:
        tls_venue = VenueAddress("https", "127.0.0.1", venue.port)
        async with open_rest(open_tcp(tls_venue), tls_venue, timeout_s=2) as rest:
            with pytest.raises(RequestNotSent, match="cannot connect"):
                await rest.exchange(b"{}")
