"""What an error says to a person."""

from __future__ import annotations

import trio

from mmtrio.client.errors import RequestRefused, SessionLost, cause_text, excerpt


def test_the_cause_is_what_happened_underneath_the_wrappers():
    refused = ConnectionRefusedError(111, "Connection refused")
    wrapped = OSError("all attempts to connect failed")
    wrapped.__cause__ = ExceptionGroup("attempts", [refused])
    assert cause_text(wrapped) == "Connection refused"
    assert cause_text(trio.BrokenResourceError()) == "BrokenResourceError"
    assert cause_text(ValueError("two\nlines")) == "two lines"


def test_a_circular_chain_of_causes_ends():
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    assert cause_text(one) in ("one", "two")


def test_text_from_outside_is_shortened_and_made_harmless():
    assert excerpt("a\x1b[31m\r\nb\x00c") == "a [31m b c"
    assert excerpt("x" * 1000, 10) == "x" * 10 + "…"


def test_errors_read_as_sentences():
    assert str(RequestRefused(429, "slow down")) == "HTTP 429: slow down"
    assert str(RequestRefused(None, "no")) == "no"
    assert str(SessionLost("silent for 8 s")) == SessionLost("silent for 8 s").cause
