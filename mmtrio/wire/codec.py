"""Frames: text -> messages, which never raises, and requests -> text.

Known channels are decoded in one pass by msgspec. What that refuses is looked at a second time to say why: a channel
we do not know, a known channel with broken data, or no frame at all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from mmtrio.wire.messages import (
    AlreadySubscribed,
    AlreadyUnsubscribed,
    ErrorFrame,
    ErrorTextFrame,
    Frame,
    GreetingFrame,
    InvalidSubscription,
    Message,
    OtherError,
    OtherFrame,
    RequestNotParsed,
    Subscription,
    TooManyPosts,
    TooManyUsers,
    UndecodableFrame,
)

EXCERPT_LENGTH_MAX = 200
GREETING = "Websocket connection established."


class _AnyFrame(msgspec.Struct, gc=False):
    channel: str


_decode_known = msgspec.json.Decoder(Frame | ErrorTextFrame).decode
_decode_any = msgspec.json.Decoder(_AnyFrame).decode
_decode_subscription = msgspec.json.Decoder(Subscription).decode
_encode = msgspec.json.Encoder().encode

_KNOWN_CHANNELS = frozenset(kind.__struct_config__.tag for kind in (*Frame.__args__, ErrorTextFrame))
# RecursionError: a hostile depth. The others are what msgspec and bad UTF-8 raise.
_DECODING_ERRORS = (msgspec.MsgspecError, ValueError, RecursionError)


def decode_frame(text: str | bytes) -> Message:
    """The message in one WebSocket frame. Never raises, whatever the frame holds."""
    try:
        frame: Frame | ErrorTextFrame = _decode_known(text)
    except _DECODING_ERRORS as error:
        return _diagnosed(text, error)
    if isinstance(frame, ErrorTextFrame):
        return decode_error_text(frame.data)
    return frame


def decode_error_text(text: str) -> ErrorFrame:
    """What a text of the `error` channel means. A text nobody has seen before is an `OtherError`."""
    for prefix, meaning in _ERRORS_ABOUT_SUBSCRIPTIONS:
        if text.startswith(prefix):
            try:
                return meaning(_decode_subscription(text[len(prefix) :]))
            except _DECODING_ERRORS:
                return OtherError(text)
    if text.startswith(_NOT_PARSED):
        return RequestNotParsed(text[len(_NOT_PARSED) :])
    if text.startswith(_TOO_MANY_USERS):
        return TooManyUsers(text)
    pending_post = _TOO_MANY_POSTS.fullmatch(text)
    return TooManyPosts(int(pending_post[1]), text) if pending_post else OtherError(text)


def is_echo_of(echo: Mapping[str, Any], sent: Mapping[str, Any]) -> bool:
    """True where the venue's normalised `echo` is of the subscription we `sent`.

    The venue fills in defaults, all of them null, false or empty, and may write an address in lower case.
    """
    return all(
        _comparable(echo.get(key)) == _comparable(sent.get(key)) for key in dict.fromkeys([*echo, *sent])
    )


def encode_subscribe(subscription: Mapping[str, Any]) -> str:
    """A request for one feed, such as `{"type": "l2Book", "coin": "@107", "fast": true}`."""
    return _text({"method": "subscribe", "subscription": subscription})


def encode_unsubscribe(subscription: Mapping[str, Any]) -> str:
    return _text({"method": "unsubscribe", "subscription": subscription})


def encode_ping() -> str:
    """The venue's own ping, answered by a `pong` frame; not a ping of the WebSocket protocol."""
    return _text({"method": "ping"})


def encode_post(post_id: int, request_type: str, payload: Mapping[str, Any]) -> str:
    """A request over the socket.

    Args:
        post_id: unique on its socket; the answer carries it.
        request_type: `info` or `action`.
        payload: what the body would be over REST.
    """
    request = {"type": request_type, "payload": payload}
    return _text({"method": "post", "id": post_id, "request": request})


def excerpt_of(text: object) -> str:
    """The first characters of whatever it is, safe to log and to encode."""
    shown = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
    return shown[:EXCERPT_LENGTH_MAX].encode(errors="replace").decode()


_ERRORS_ABOUT_SUBSCRIPTIONS = (
    ("Already subscribed: ", AlreadySubscribed),
    ("Already unsubscribed: ", AlreadyUnsubscribed),
    ("Invalid subscription ", InvalidSubscription),
)
_NOT_PARSED = "Error parsing JSON into valid websocket request: "
_TOO_MANY_USERS = "Cannot track more than "
_TOO_MANY_POSTS = re.compile(r"too many pending post requests.*?id=([0-9]{1,18})", re.DOTALL)


def _diagnosed(text: str | bytes, error: Exception) -> Message:
    """Why a frame did not decode."""
    try:
        channel = _decode_any(text).channel
    except _DECODING_ERRORS:
        if text == GREETING or text == GREETING.encode():
            return GreetingFrame(GREETING)
        return UndecodableFrame(excerpt_of(text), "not a JSON object with a channel")
    if channel in _KNOWN_CHANNELS:
        return UndecodableFrame(excerpt_of(text), excerpt_of(error), channel)
    return OtherFrame(excerpt_of(channel))


def _comparable(value: object) -> object:
    if isinstance(value, str) and value.startswith("0x"):
        return value.lower()
    return value or None


def _text(request: Mapping[str, Any]) -> str:
    return _encode(request).decode()
