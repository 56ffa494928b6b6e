"""What becomes of a request, for each way the other end can behave. Times are virtual and exact."""

from __future__ import annotations

import pytest
import trio

from mmtrio.client.connect import ConnectionKind
from mmtrio.client.errors import OutcomeUnknown, RequestNotSent, RequestRefused
from mmtrio.client.rest import open_rest
from tests.support.determinism import scenario
from tests.support.scripted_venue import (
    HANG,
    VENUE,
    Asked,
    eof,
    hang,
    http,
    http_function,
    open_venue,
    raw,
    reply,
    reset,
)

BODY = b'{"action":{"type":"noop"},"nonce":1}'
OK = {"status": "ok", "response": {"type": "default"}}
HTML = "<html><body>It works!</body></html>"


async def outcome(request, expected):
    """The error this request raises."""
    with pytest.raises(expected) as caught:
        await request
    return caught.value


@scenario
async def test_requests_reuse_one_connection_and_say_what_they_are():
    log: list[Asked] = []
    async with open_venue(http(reply([1]), reply(OK), reply([2]), log=log)) as venue:
        async with open_rest(venue.connect, VENUE) as rest:
            assert await rest.info({"type": "meta"}) == [1]
            assert await rest.exchange(BODY) == OK
            assert await rest.info({"type": "spotMeta"}) == [2]
        assert venue.clients[0].closed_at is not None
    assert venue.opened == [(0, ConnectionKind.REST)]
    assert [asked.path for asked in log] == ["/info", "/exchange", "/info"]
    assert log[0].json == {"type": "meta"} and log[1].body == BODY
    assert log[0].headers["host"] == "127.0.0.1:3001"
    assert log[0].headers["content-type"] == "application/json"


@scenario
async def test_concurrent_requests_get_their_own_answers_on_a_bounded_number_of_connections():
    answers: dict[int, int] = {}

    def echo_slowly(asked: Asked):
        return reply(asked.json["n"], after_s=1)

    async with open_venue(http_function(echo_slowly)) as venue:
        async with open_rest(venue.connect, VENUE, connections_max=2) as rest:

            async def ask(n: int) -> None:
                answers[n] = await rest.info({"n": n})

            async with trio.open_nursery() as asking:
                for n in range(6):
                    asking.start_soon(ask, n)
        assert trio.current_time() == 3
        assert len(venue.opened) == 2
    assert answers == {n: n for n in range(6)}


@scenario
async def test_a_refused_connection_means_not_sent():
    async with open_venue(ConnectionRefusedError(111, "Connection refused")) as venue:
        async with open_rest(venue.connect, VENUE) as rest:
            error = await outcome(rest.exchange(BODY), RequestNotSent)
            assert str(error) == "http://127.0.0.1:3001: cannot connect: Connection refused"
            await outcome(rest.info({}), RequestNotSent)


@scenario
async def test_a_connection_that_never_comes_means_not_sent_after_the_timeout():
    async with open_venue(HANG) as venue:
        async with open_rest(venue.connect, VENUE, timeout_s=5) as rest:
            await outcome(rest.exchange(BODY), RequestNotSent)
            assert trio.current_time() == 5


@scenario
async def test_waiting_for_a_busy_pool_counts_towards_the_timeout_and_means_not_sent():
    async with open_venue(http(hang)) as venue:
        async with open_rest(venue.connect, VENUE, connections_max=1, timeout_s=5) as rest:

            async def first() -> None:
                await outcome(rest.exchange(BODY), OutcomeUnknown)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(first)
                await trio.sleep(1)
                rest.timeout_s = 2
                await outcome(rest.exchange(BODY), RequestNotSent)
                assert trio.current_time() == 3
            assert trio.current_time() == 5


@pytest.mark.parametrize(
    "answer",
    [
        hang,
        eof,
        reset,
        raw(b"HTTP/1.1 200 OK\r\nContent-Le", then="eof"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", then="eof"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", then="reset"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", then="hang"),
        raw(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"a":', then="eof"),
        raw(b"SSH-2.0-OpenSSH_9.6\r\n\r\n", then="hang"),
        raw(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000, then="hang"),
        reply(b""),
        reply("null"),
        reply([1, 2]),
        reply("not json"),
        reply(b"\xff\xfe{}"),
        reply("[" * 100_000),
        reply('{"status":"ok"'),
        reply(HTML, content_type="text/html"),
        reply("null", 500),
        reply(HTML, 502, content_type="text/html"),
        reply(b"", 503),
        reply("slow down", 408),
        reply({"status": "ok", "padding": "x" * 2_000_000}),
    ],
    ids=lambda _: "",
)
@scenario
async def test_once_a_byte_is_sent_only_a_whole_answer_is_an_answer(answer):
    log: list[Asked] = []
    async with open_venue(http(answer, log=log)) as venue:
        async with open_rest(venue.connect, VENUE, timeout_s=5, reply_bytes_max=1_000_000) as rest:
            await outcome(rest.exchange(BODY), OutcomeUnknown)
            assert trio.current_time() in (0, 0.1, 5)
        assert len(log) == 1, "an action is never sent twice"


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        (reply("", 429), 429, "no reason given"),
        (
            reply("Failed to deserialize the JSON body into the target type", 422),
            422,
            "Failed to deserialize",
        ),
        (reply({"code": 1, "msg": "no such thing", "data": None}, 400), 400, "no such thing"),
        (reply('"a JSON string"', 400), 400, "a JSON string"),
        (reply(HTML, 404, content_type="text/html"), 404, "check that the base URL is a Hyperliquid API's"),
        (reply("not found", 404), 404, "check that the base URL"),
        (
            reply(b"", 301, location="https://elsewhere/exchange"),
            301,
            "redirects to 'https://elsewhere/exchange'",
        ),
    ],
)
@scenario
async def test_a_4xx_or_a_redirect_is_a_no_in_the_venues_words(answer, status, words):
    async with open_venue(http(answer, answer)) as venue:
        async with open_rest(venue.connect, VENUE) as rest:
            for request in (rest.exchange(BODY), rest.info({})):
                error = await outcome(request, RequestRefused)
                assert error.status == status and words in error.text
                assert error.is_too_many_requests == (status == 429)
    assert len(venue.opened) == 1


@scenario
async def test_a_web_server_that_is_no_venue_is_named_as_such():
    async with open_venue(http(reply(HTML, content_type="text/html"), reply("OK"), reply(b""))) as venue:
        async with open_rest(venue.connect, VENUE) as rest:
            for what in ("an HTML page", "'OK'", "an empty body"):
                error = await outcome(rest.info({"type": "meta"}), RequestRefused)
                assert error.text == (
                    f"http://127.0.0.1:3001 answered with {what}, not with Hyperliquid's JSON: "
                    f"check that the base URL is a Hyperliquid API's"
                )


@scenario
async def test_a_read_survives_a_kept_alive_connection_that_died_and_an_action_does_not_risk_it():
    async with open_venue(http(reply(1)), http(reply(2)), http(reply(3), eof)) as venue:
        async with open_rest(venue.connect, VENUE) as rest:
            assert await rest.info({}) == 1  # The first connection ends behind this answer.
            assert await rest.info({}) == 2
            await outcome(rest.exchange(BODY), OutcomeUnknown)
            assert await rest.info({}) == 3
            await outcome(rest.exchange(BODY), OutcomeUnknown)
        assert len(venue.opened) == 3


@scenario
async def test_a_read_on_a_fresh_connection_that_dies_is_not_repeated():
    async with open_venue(http(eof)) as venue:
        async with open_rest(venue.connect, VENUE) as rest:
            error = await outcome(rest.info({}), OutcomeUnknown)
            assert error.cause == "http://127.0.0.1:3001/info: connection closed before a reply came"
        assert len(venue.opened) == 1


@scenario
async def test_an_idle_connection_is_dropped_before_the_venue_drops_it():
    async with open_venue(http(reply(OK), reply(OK), reply(OK)), http(reply(OK))) as venue:
        async with open_rest(venue.connect, VENUE) as rest:
            await rest.exchange(BODY)
            await trio.sleep(20)
            await rest.exchange(BODY)
            assert len(venue.opened) == 1
            await trio.sleep(20.5)
            await rest.exchange(BODY)
            assert len(venue.opened) == 2
            assert venue.clients[0].closed_at == 40.5


@scenario
async def test_a_connection_the_venue_wants_closed_is_not_reused():
    async with open_venue(http(reply(1, connection="close")), http(reply(2))) as venue:
        async with open_rest(venue.connect, VENUE) as rest:
            assert [await rest.info({}), await rest.info({})] == [1, 2]


@scenario
async def test_a_reply_with_something_behind_it_poisons_the_connection():
    one = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1"
    smuggled = raw(one + one[:-1] + b"9", "hang")
    async with open_venue(http(smuggled), http(reply(2))) as venue:
        async with open_rest(venue.connect, VENUE) as rest:
            assert [await rest.info({}), await rest.info({})] == [1, 2]


@scenario
async def test_a_late_answer_never_becomes_the_answer_to_another_request():
    late = reply("late", after_s=6)
    async with open_venue(http(late), http(reply(2), late), http(reply(3))) as venue:
        async with open_rest(venue.connect, VENUE, timeout_s=5) as rest:
            await outcome(rest.info({}), OutcomeUnknown)
            assert trio.current_time() == 5
            assert venue.clients[0].closed_at == 5
            assert await rest.info({}) == 2
            with trio.move_on_after(1):
                await rest.info({})
            assert venue.clients[1].closed_at == 6, "cancelled by the caller: closed at once"
            assert await rest.info({}) == 3


@scenario
async def test_an_informational_reply_is_skipped():
    answer = raw(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n7", "hang")
    async with open_venue(http(answer)) as venue:
        async with open_rest(venue.connect, VENUE) as rest:
            assert await rest.info({}) == 7
