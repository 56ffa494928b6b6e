"""Logging for people and for machines: one handler on stderr, UTC milliseconds, no secret in any line."""

from __future__ import annotations

import base64
import json
import logging
import os
import re
import sys
from datetime import UTC, datetime
from typing import IO, TextIO

REDACTED = "<redacted>"

_LONG_HEX = re.compile(r"(?:0[xX])?[0-9a-fA-F]{64,}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_SECRET_BYTES_MIN = 16
_QUIET_LEVEL = logging.WARNING
"""Libraries speak from here on, whatever --log-level says of ours."""


class Redactor:
    """Takes secrets out of text: everything as long as a key in hex, and the registered ones in other spellings.

    Keys, hashes of fills and signatures look the same in hex; none of them is needed in a log, so all go.
    """

    def __init__(self) -> None:
        self._spellings: list[str] = []

    def register(self, secret: bytes) -> None:
        """Redact this secret as hex, as a number, in base64 and as Python shows bytes."""
        if len(secret) < _SECRET_BYTES_MIN:
            raise ValueError(f"a secret of {len(secret)} bytes would take harmless text out too")
        found = {
            secret.hex(),
            secret.hex().upper(),
            str(int.from_bytes(secret)),
            str(int.from_bytes(secret, "little")),
        }
        found |= {hex(int.from_bytes(secret))[2:], repr(secret)[2:-1], repr(list(secret))[1:-1]}
        for encoded in (base64.b64encode(secret), base64.urlsafe_b64encode(secret)):
            found.add(encoded.decode().rstrip("="))
        known = {*self._spellings, *found}
        self._spellings = sorted(known, key=lambda spelling: (-len(spelling), spelling))

    def redact(self, text: str) -> str:
        """The text without secrets."""
        for spelling in self._spellings:
            text = text.replace(spelling, REDACTED)
        return _LONG_HEX.sub(REDACTED, text)


redactor = Redactor()
"""The process's own. One, because a secret is secret everywhere."""


class TextFormatter(logging.Formatter):
    """`2026-11-20T13:00:00.123Z INFO mmtrio.desk: …`, one line a record, a traceback below it where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        head = f"{utc_text(record.created)} {record.levelname} {record.name}: {one_line(record.getMessage())}"
        trace = _trace_of(self, record)
        return redactor.redact(f"{head}\n{trace}" if trace else head)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: `time`, `level`, `logger`, `message`, and `traceback` where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": utc_text(record.created),
            "level": record.levelname,
            "logger": record.name,
            # Before the encoding, which escapes characters, and after it: spellings may hold either.
            "message": redactor.redact(record.getMessage()),
        }
        trace = _trace_of(self, record)
        if trace:
            fields["traceback"] = redactor.redact(trace)
        return redactor.redact(json.dumps(fields, ensure_ascii=False))


class StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to stderr as it is now. When nobody reads it any more it falls silent; trading goes on."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self._is_silent = sys.stderr is None  # A process may be started without one.

    def emit(self, record: logging.LogRecord) -> None:
        if not self._is_silent:
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            self._fall_silent()
            return
        # A record whose arguments do not fit its format: the words alone, since arguments may hold secrets.
        words = one_line(str(record.msg))[:200]
        try:
            self.stream.write(
                f"{utc_text(record.created)} ERROR {record.name}: unreadable log record {words!r}\n"
            )
        except OSError:
            self._fall_silent()

    def _fall_silent(self) -> None:
        self._is_silent = True
        point_at_nothing(self.stream)


def configure_logs(level: str, style: str) -> None:
    """Send all logging of this process to stderr, ours from `level` on and the libraries' warnings.

    `style` is `text` or `json`.
    """
    handler = StderrHandler()
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
    root = logging.getLogger()
    for old in [handler for handler in root.handlers if isinstance(handler, StderrHandler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(_QUIET_LEVEL)
    logging.getLogger("mmtrio").setLevel(level.upper())
    logging.captureWarnings(True)


def utc_text(seconds: float) -> str:
    """`2026-11-20T13:00:00.123Z`."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def one_line(text: str) -> str:
    """The text with its line breaks and control characters spelled out: what a venue sends cannot forge a record."""
    return _CONTROL.sub(lambda found: found.group().encode("unicode_escape").decode(), text)


def point_at_nothing(stream: IO[str]) -> None:
    """After a broken pipe: let what is still buffered vanish, so that the interpreter's last flush does not fail."""
    try:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())
        os.close(nothing)
    except (OSError, ValueError):  # Not a real file; then there is nothing to flush into a pipe either.
        pass


def write_stdout(text: str) -> bool:
    """Print, at once. False where stdout is closed, full, or read by nobody any more."""
    return _write(sys.stdout, text)


def write_stderr(text: str) -> bool:
    """As `write_stdout`, for the last words of a process."""
    return _write(sys.stderr, text)


def _write(stream: TextIO | None, text: str) -> bool:
    if stream is None:
        return False
    try:
        stream.write(text)
        stream.flush()
    except (OSError, ValueError):
        point_at_nothing(stream)
        return False
    return True


def _trace_of(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    parts = []
    if record.exc_info:
        parts.append(formatter.formatException(record.exc_info))
    if record.stack_info:
        parts.append(formatter.formatStack(record.stack_info))
    return "\n".join(parts)
