"""What can go wrong between us and a venue: four errors, whatever library failed underneath.

Foreign exceptions (h11, trio-websocket, wsproto, ssl, OSError) are translated in this ring, once, on the spot.
Above it nobody names a library. A timeout is never a "no" (D3): it is `OutcomeUnknown`, unless it is certain that
not a byte left the process.
"""

from __future__ import annotations

import os


class SessionLost(Exception):
    """A WebSocket session has ended: open another. `cause` says why, in words for a log line."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


class RequestFailed(Exception):
    """A request over HTTP did not bring an answer: one of the three below."""


class RequestRefused(RequestFailed):
    """The venue, or what stands in its place, said no. `status` is the HTTP status, `text` its words."""

    def __init__(self, status: int | None, text: str) -> None:
        super().__init__(text if status is None else f"HTTP {status}: {text}")
        self.status = status
        self.text = text

    @property
    def is_too_many_requests(self) -> bool:
        """The IP weight is used up: the same request may succeed in a minute."""
        return self.status == 429


class OutcomeUnknown(RequestFailed):
    """Bytes may have arrived and no usable answer came back: nobody knows what became of the request."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


class RequestNotSent(RequestFailed):
    """Not one byte of the request left the process, so it certainly had no effect."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


def cause_text(error: BaseException) -> str:
    """One line for a log: what really happened underneath wrappers and groups."""
    root = error
    for _ in range(8):  # A chain may be circular.
        if isinstance(root, BaseExceptionGroup):
            root = root.exceptions[0]
        elif root.__cause__ is not None:
            root = root.__cause__
        else:
            break
    if (type(root) is OSError or isinstance(root, ConnectionError)) and root.errno:
        return os.strerror(root.errno)  # Trio's own text repeats the address, which the caller has named.
    text = getattr(root, "strerror", None) or str(root) or type(root).__name__
    return " ".join(str(text).split())


def excerpt(text: str, length: int = 200) -> str:
    """The start of a text from outside, on one line and without control characters."""
    printable = "".join(character if character.isprintable() else " " for character in text[: 4 * length])
    words = " ".join(printable.split())
    return words if len(words) <= length else words[:length] + "…"
