"""The command line: what is understood, and the sentence for what is not."""

from __future__ import annotations

import pytest

from mmtrio.cli.arguments import duration_s, parse_arguments
from mmtrio.live.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("60s", 60),
        ("5m", 300),
        ("1h", 3600),
        ("90", 90),
        ("1h30m", 5400),
        ("500ms", 0.5),
        ("1.5s", 1.5),
        ("2d", 172800),
    ],
)
def test_a_duration_is_read_in_every_unit(text: str, seconds: float) -> None:
    assert duration_s(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "s", "-3s", "3x", "1h-30m", "inf", "nan", "1e3", "60 s", "0", "0s", "9999d", "1m1"]
)
def test_what_is_no_usable_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        duration_s(text)


def test_a_bare_run_means_local_with_every_default() -> None:
    arguments = parse_arguments(["run"])

    assert arguments.verb == "run"
    assert (arguments.network, arguments.base_url, arguments.config) == (None, None, None)
    assert (arguments.for_s, arguments.seed, arguments.json, arguments.log_level) == (
        None,
        None,
        False,
        "info",
    )


def test_every_flag_of_run_is_read() -> None:
    line = (
        "run --network local --base-url http://127.0.0.1:3001 --account 3 --coin PURR/USDC --seed 7 --for 2m "
        "--startup-timeout 5s --keep-orders --json --log-level DEBUG --log-format json --market-speed 20"
    )

    arguments = parse_arguments(line.split())

    assert (arguments.account, arguments.coin, arguments.seed) == (3, "PURR/USDC", 7)
    assert (arguments.for_s, arguments.startup_timeout_s, arguments.market_speed) == (120, 5, 20)
    assert arguments.keep_orders and arguments.json
    assert (arguments.log_level, arguments.log_format) == ("debug", "json")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("run --fro 60s", "there is no flag --fro: did you mean --for?"),
        ("run --for=60s --jsno", "there is no flag --jsno: did you mean --json?"),
        ("run --zzzzzz", "there is no flag --zzzzzz: it is none of its flags."),
        ("rnu", "there is no verb 'rnu': did you mean run? It is one of run, exchange."),
        ("run --network mainet", "--network cannot be 'mainet': did you mean mainnet?"),
        ("run --log-level loud", "It is one of debug, info, warning, error."),
        ("run --for 3x", "'3x' is not a duration: write 60s, 5m, 1h, 1h30m or 90 (seconds)"),
        ("run --for", "--for: expected one argument."),
        ("run --account -1", "'-1' is not an account number: write a whole number from 0 to 19"),
        ("run --account 20", "'20' is not an account number: write a whole number from 0 to 19"),
        ("run --seed x", "'x' is not a seed"),
        ("run --market-speed 0", "'0' is not a speed: write a number from 0.01 to 1000"),
        ("run --market-speed nan", "'nan' is not a speed"),
        ("run now", "'now' is one word too many."),
        ("exchange --port 70000", "'70000' is not a port: write a whole number from 0 to 65535"),
        ("exchange --accounts 0", "'0' is not a number of accounts"),
        ("exchange --block-ms 1", "'1' is not milliseconds"),
        ("exchange --json", "there is no flag --json"),
    ],
)
def test_a_mistyped_line_is_answered_with_the_cure(line: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_arguments(line.split())

    assert words in str(caught.value)
    assert "--help." in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("flag", ["--private-key=0xabc", "--secret", "--key-file"])
def test_a_key_is_never_an_argument(flag: str) -> None:
    with pytest.raises(ConfigurationError, match="a key is never an argument") as caught:
        parse_arguments(["run", flag, "ab" * 32])

    assert "abab" not in str(caught.value) and "0xabc" not in str(caught.value)


@pytest.mark.parametrize(
    ("verb", "lessons"),
    [
        ([], ["trio-mm run --for 60s", "exit codes:", "3  the venue refused"]),
        (["run"], ["examples:", "--market-speed 20", "[market]", "exit codes:", "4  stopped"]),
        (["exchange"], ["examples:", "--no-flow", "Those keys are public"]),
    ],
)
def test_help_teaches(verb: list[str], lessons: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        parse_arguments([*verb, "--help"])

    assert leaving.value.code == 0
    text = capsys.readouterr().out
    assert [lesson for lesson in lessons if lesson not in text] == []
