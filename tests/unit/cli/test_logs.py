"""Log lines: their shape, and that no secret gets into any."""

from __future__ import annotations

import base64
import io
import json
import logging
import re
import sys
from collections.abc import Iterator

import pytest

from mmtrio.cli import logs
from mmtrio.cli.logs import (
    JsonFormatter,
    Redactor,
    StderrHandler,
    TextFormatter,
    configure_logs,
    one_line,
    utc_text,
    write_stdout,
)

KEY = bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
SPELLINGS = {
    "hex": KEY.hex(),
    "0x hex": f"0x{KEY.hex()}",
    "upper hex": KEY.hex().upper(),
    "mixed": f"0X{KEY.hex().title()}",
    "number": str(int.from_bytes(KEY)),
    "hex()": hex(int.from_bytes(KEY)),
    "base64": base64.b64encode(KEY).decode(),
    "url base64": base64.urlsafe_b64encode(KEY).decode().rstrip("="),
    "bytes": repr(KEY),
    "list": repr(list(KEY)),
    "inside a longer text": f"<{KEY.hex()}{'ab' * 32}>",
}


@pytest.fixture
def taught(monkeypatch: pytest.MonkeyPatch) -> Redactor:
    """The process's redactor, knowing KEY for one test."""
    redactor = Redactor()
    redactor.register(KEY)
    monkeypatch.setattr(logs, "redactor", redactor)
    return redactor


@pytest.fixture
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    ours = logging.getLogger("mmtrio")
    handlers, level, our_level = list(root.handlers), root.level, ours.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    ours.setLevel(our_level)
    logging.captureWarnings(False)


def record(message: str, *args: object, error: BaseException | None = None) -> logging.LogRecord:
    exc_info = (type(error), error, error.__traceback__) if error is not None else None
    made = logging.LogRecord("mmtrio.desk", logging.INFO, "x.py", 1, message, args, exc_info)
    made.created = 1_795_179_600.1239
    return made


def holds_no_canary(text: str) -> bool:
    return not any(spelling.strip("<>[]") in text for spelling in SPELLINGS.values())


def test_a_text_line_has_utc_milliseconds_level_and_logger() -> None:
    assert (
        TextFormatter().format(record("fill px=%s", "34.9"))
        == "2026-11-20T13:00:00.123Z INFO mmtrio.desk: fill px=34.9"
    )


def test_a_json_line_is_one_object() -> None:
    line = JsonFormatter().format(record('said "%s"\n', "ü"))

    assert json.loads(line) == {
        "time": "2026-11-20T13:00:00.123Z",
        "level": "INFO",
        "logger": "mmtrio.desk",
        "message": 'said "ü"\n',
    }
    assert "\n" not in line


def test_what_a_venue_sends_cannot_forge_a_line() -> None:
    line = TextFormatter().format(
        record("refused: %s", "no\n2026-11-20T13:00:00.000Z INFO mmtrio.desk: all is well\x1b[2J")
    )

    assert len(line.splitlines()) == 1
    assert "\x1b" not in line
    assert one_line("a\r\n\tb\u2028c") == r"a\r\n\tb\u2028c"


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()], ids=["text", "json"])
@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_a_secret_is_redacted_in_messages_arguments_and_tracebacks(
    formatter: logging.Formatter, spelling: str, taught: Redactor
) -> None:
    def fail() -> None:
        local = spelling
        raise ValueError(f"bad key {local}")

    try:
        try:
            fail()
        except ValueError as error:
            raise RuntimeError(f"wrapped {spelling}") from error
    except RuntimeError as error:
        lines = [
            formatter.format(record(f"key={spelling}")),
            formatter.format(record("key=%s", spelling)),
            formatter.format(record("%s", {"key": spelling, "raw": KEY})),
            formatter.format(record("failed", error=error)),
        ]
    for line in lines:
        assert holds_no_canary(line), line
        assert logs.REDACTED in line
    if isinstance(formatter, JsonFormatter):
        assert all(json.loads(line) for line in lines)
    assert "Traceback" in lines[-1]


@pytest.mark.parametrize("text", [KEY.hex(), f"0x{KEY.hex().upper()}", f"key:{KEY.hex()}.", f"{KEY.hex()}00"])
def test_a_key_nobody_registered_is_redacted_in_hex(text: str) -> None:
    assert KEY.hex() not in Redactor().redact(text).lower()


def test_what_people_grep_for_stays() -> None:
    line = (
        "cloid=0x74700102030400000000010000000001 oid=81 account=0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"
    )

    assert Redactor().redact(line) == line


def test_a_short_secret_is_refused_rather_than_blanking_the_log() -> None:
    with pytest.raises(ValueError, match="3 bytes"):
        Redactor().register(b"abc")


def test_our_level_is_chosen_and_libraries_only_warn(
    restored_logging: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    configure_logs("debug", "text")
    configure_logs("debug", "text")  # Twice is as good as once.

    logging.getLogger("mmtrio.desk").debug("ours")
    logging.getLogger("trio-websocket").info("theirs")
    logging.getLogger("wsproto").warning("their warning")

    assert [line.split(" ", 1)[1] for line in stderr.getvalue().splitlines()] == [
        "DEBUG mmtrio.desk: ours",
        "WARNING wsproto: their warning",
    ]


class BrokenPipe(io.StringIO):
    writes = 0

    def write(self, text: str) -> int:
        BrokenPipe.writes += 1
        raise BrokenPipeError(32, "Broken pipe")

    def fileno(self) -> int:
        raise ValueError("no file")


def test_when_nobody_reads_the_log_any_more_it_falls_silent(
    restored_logging: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", BrokenPipe())
    BrokenPipe.writes = 0
    handler = StderrHandler()
    handler.setFormatter(TextFormatter())

    for _ in range(3):
        handler.handle(record("x"))

    assert BrokenPipe.writes == 1


def test_when_nobody_reads_stdout_the_writer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", BrokenPipe())

    assert write_stdout("{}\n") is False


def test_a_record_that_does_not_fit_its_arguments_is_told_without_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    handler = StderrHandler()
    handler.setFormatter(TextFormatter())

    handler.handle(record("%d lots", KEY.hex()))

    assert "unreadable log record '%d lots'" in stderr.getvalue()
    assert KEY.hex() not in stderr.getvalue()


def test_times_are_utc_with_milliseconds() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", utc_text(0))
    assert utc_text(0) == "1970-01-01T00:00:00.000Z"
