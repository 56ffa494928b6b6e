"""HTTP as strangers speak it: old versions, odd methods, requests in pieces or in heaps, and some that never end."""

from __future__ import annotations

import json

import h11
import pytest
import trio

from mmtrio.exchange.memory_streams import MemoryStream
from tests.support.determinism import scenario
from tests.support.exchanges import HYPE, Exchange, open_exchange, open_socket, order, placed

MIDS = b'{"type":"allMids"}'


def post(body: bytes = MIDS, *, path: str = "/info", version: str = "1.1", headers: str = "") -> bytes:
    head = f"POST {path} HTTP/{version}\r\nHost: x\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    return head.encode() + body


async def told(stream: MemoryStream, methods: list[bytes]) -> list[tuple[int, bytes]]:
    """(status, body) of the answers to requests of these methods, and of whatever comes before them."""
    answers, client = [], h11.Connection(h11.CLIENT)
    for method in methods:
        client.send(h11.Request(method=method, target="/info", headers=[("Host", "x")]))
        client.send(h11.EndOfMessage())
        body = b""
        while not isinstance(event := client.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                client.receive_data(await stream.receive_some())
            elif isinstance(event, h11.Response | h11.InformationalResponse):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += event.data
        answers.append((status, body))
        if client.our_state is not h11.DONE or client.their_state is not h11.DONE:
            break
        client.start_next_cycle()
    return answers


async def still_serves(exchange: Exchange) -> bool:
    return (await (await exchange.open_http()).post("/info", {"type": "allMids"}))[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [("HEAD", "/info", 405), ("HEAD", "/ws", 400), ("HEAD", "/nowhere", 404), ("OPTIONS", "/info", 405)],
)
@scenario
async def test_an_odd_method_is_refused_and_the_connection_goes_on(
    method: str, path: str, expected: int
) -> None:
    async with open_exchange() as exchange:
        stream = await exchange.network.connect()
        await stream.send_all(f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode() + post())
        (odd, body), (fine, mids) = await told(stream, [method.encode(), b"POST"])
        assert (odd, body == b"") == (expected, method == "HEAD")
        assert fine == 200 and json.loads(mids)[HYPE] == "34.95"
        assert await still_serves(exchange)


@scenario
async def test_requests_sent_ahead_are_answered_in_their_order() -> None:
    async with open_exchange() as exchange:
        stream = await exchange.network.connect()
        acting = json.dumps(placed(order(True, "34", "1"))).encode()
        await stream.send_all(post(acting, path="/exchange") + post() + post(b"nonsense") + post())
        answers = await told(stream, [b"POST"] * 4)
        assert [status for status, _ in answers] == [200, 200, 422, 200]
        assert b"resting" in answers[0][1]
        assert trio.current_time() == pytest.approx(0.07), "the first waits for its block, the others for it"


@scenario
async def test_an_old_client_is_answered_once_and_left() -> None:
    async with open_exchange() as exchange:
        stream = await exchange.network.connect()
        await stream.send_all(post(version="1.0"))
        answer = b""
        while piece := await stream.receive_some():
            answer += piece
        assert answer.startswith(b"HTTP/1.1 200") and b"Connection: close" in answer
        assert trio.current_time() == 0


@scenario
async def test_a_client_that_asks_first_is_told_to_go_on() -> None:
    async with open_exchange() as exchange:
        stream = await exchange.network.connect()
        whole = post(headers="Expect: 100-continue\r\n")
        await stream.send_all(whole[: -len(MIDS)])
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 100 ")
        await stream.send_all(MIDS)
        assert (await told(stream, [b"POST"]))[0][0] == 200


@scenario
async def test_a_body_may_come_in_chunks_and_in_single_bytes() -> None:
    async with open_exchange() as exchange:
        stream = await exchange.network.connect()
        chunks = b"".join(b"1\r\n" + bytes([byte]) + b"\r\n" for byte in MIDS) + b"0\r\n\r\n"
        head = b"POST /info HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        for byte in head + chunks:
            await stream.send_all(bytes([byte]))
        assert (await told(stream, [b"POST"]))[0][0] == 200


@pytest.mark.parametrize(
    "nonsense",
    [
        b"POST /info HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /info HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"POST /info HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /info HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
        b"GET /" + b"a" * 100_000,
        b"POST /info HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000,
    ],
)
@scenario
async def test_a_request_that_breaks_the_rules_is_told_so_and_closed(nonsense: bytes) -> None:
    async with open_exchange() as exchange:
        stream = await exchange.network.connect()
        await stream.send_all(nonsense)
        answer = b""
        while piece := await stream.receive_some():
            answer += piece
        assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 431"))
        assert await still_serves(exchange)


@scenario
async def test_a_client_that_has_sent_all_it_will_is_still_answered() -> None:
    async with open_exchange() as exchange:
        stream = await exchange.network.connect()
        await stream.send_all(post(json.dumps(placed(order(True, "34", "1"))).encode(), path="/exchange"))
        await stream.send_eof()
        answer = b""
        while piece := await stream.receive_some():
            answer += piece
        assert answer.startswith(b"HTTP/1.1 200") and b"resting" in answer


@scenario
async def test_a_request_that_never_ends_holds_up_nobody_and_no_stop() -> None:
    async with open_exchange() as exchange:
        for cut in (1, 20, len(post()) - 1):
            stream = await exchange.network.connect()
            await stream.send_all(post()[:cut])
        await trio.sleep(600)
        assert await still_serves(exchange)
        assert exchange.engine.height == 1 + int(600 / 0.07)
    assert trio.current_time() == pytest.approx(600)


@scenario
async def test_a_client_that_does_not_read_its_replies_holds_up_nobody_and_no_stop() -> None:
    async with open_exchange() as exchange:
        stream = await exchange.network.connect()
        exchange.network.links[0].to_client.buffer_bytes_max = 100
        await stream.send_all(post() * 50)
        await trio.sleep(60)
        assert exchange.network.links[0].to_server.bytes_delivered < 60 * len(post())
        assert await still_serves(exchange)
    assert trio.current_time() == pytest.approx(60)


@scenario
async def test_a_last_reply_is_waited_for_a_second_and_no_longer() -> None:
    async with open_exchange() as exchange:
        stream = await exchange.network.connect()
        await stream.send_all(b"nonsense\r\n\r\n")
        await trio.sleep(0.9)
        await stream.send_all(b"more")  # Nobody reads it for its sake; it only must not become a reset.
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 400")
        await trio.sleep(0.2)
        with pytest.raises(trio.BrokenResourceError):
            await stream.send_all(b"more")


@scenario
async def test_a_handshake_may_come_with_its_first_frames() -> None:
    """What follows the handshake in the same packet belongs to the WebSocket."""
    async with open_exchange() as exchange:
        stream = await exchange.network.connect()
        ping = b'{"method":"ping"}'
        await stream.send_all(
            b"GET /ws?x=1 HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
            + bytes((0x81, 0x80 | len(ping)))
            + b"\0\0\0\0"
            + ping
        )
        answer = b""
        while not answer.endswith(b'{"channel":"pong"}'):
            piece = await stream.receive_some()
            assert piece, answer
            answer += piece
        assert b"deflate" not in answer, "the venue compresses nothing"


@scenario
async def test_a_socket_whose_client_has_sent_its_last_byte_ends() -> None:
    async with open_exchange() as exchange, open_socket(exchange.network) as socket:
        await socket.subscribe(type="bbo", coin=HYPE)
        await socket.wait_for("bbo")
        await socket.stream.send_eof()
        await trio.sleep(0.01)
        assert exchange.venue.hub.connections == {}
