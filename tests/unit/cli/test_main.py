"""The entry point: every way to fail is one paragraph and an exit code."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmtrio import __version__
from mmtrio.cli.failures import explain
from mmtrio.cli.main import main
from mmtrio.client.keys import KeyRefused
from mmtrio.live.errors import ConfigurationError, VenueUnreachable


def test_no_verb_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0

    assert "trio-mm run --for 60s" in capsys.readouterr().out


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0

    assert capsys.readouterr().out == f"trio-mm {__version__}\n"


def test_a_mistyped_flag_is_one_paragraph_on_stderr_and_exit_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--fro", "3s"]) == 2

    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "trio-mm: there is no flag --fro: did you mean --for? Try trio-mm run --help.\n"


def test_a_broken_configuration_is_exit_2_and_never_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mm.toml"
    file.write_text("[market]\nn_orders = 0\n")

    assert main(["run", "--config", str(file)]) == 2

    error = capsys.readouterr().err
    assert f"{file}:2: [market] n_orders must be the number of levels" in error
    assert "Traceback" not in error


def test_mainnet_is_refused_in_one_paragraph(capsys: pytest.CaptureFixture[str]) -> None:
    for line in (
        ["--network", "mainnet"],
        ["--network", "testnet", "--base-url", "https://api.hyperliquid.xyz"],
    ):
        assert main(["run", *line]) == 2
        error = capsys.readouterr().err
        assert "outcome is unknown" in error and "journal" in error and "limits" in error
        assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigurationError("write this"), 2),
        (KeyRefused("chmod 600 it"), 2),
        (VenueUnreachable("is it running?"), 3),
        (ExceptionGroup("", [ExceptionGroup("", [VenueUnreachable("is it running?")])]), 3),
        (ExceptionGroup("", [ValueError("a bug"), ConfigurationError("write this")]), 2),
        (KeyboardInterrupt(), 1),
        (ValueError("a bug"), 1),
        (BaseExceptionGroup("", [ValueError("a bug")]), 1),
    ],
    ids=repr,
)
def test_each_error_has_its_exit_code(error: BaseException, code: int) -> None:
    assert explain(error)[1] == code


def test_the_unexpected_is_one_line_that_says_how_to_see_more_and_no_secret() -> None:
    text, code = explain(ValueError(f"odd\nkey 0x{'ab' * 32}"))

    assert code == 1
    assert text.startswith("this should not have happened: ValueError: odd key <redacted>")
    assert text.endswith("Run with --log-level debug for the traceback.")
    assert "\n" not in text
