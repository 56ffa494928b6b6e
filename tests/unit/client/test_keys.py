"""Keys come from private places only, and nothing ever shows one."""

from __future__ import annotations

import copy
import json
import os
import pickle
import traceback

import pytest
from eth_account import Account

from mmtrio.client.keys import (
    DEVELOPMENT_ACCOUNTS,
    DEVELOPMENT_MNEMONIC,
    KeyRefused,
    SecretKey,
    development_account,
    is_development_address,
    load_key,
)
from mmtrio.client.signer import Signer

CANARY = "c0ffee" * 10 + "cafe"
assert len(CANARY) == 64


@pytest.fixture
def key_file(tmp_path):
    path = tmp_path / "key"

    def write(content: str | bytes, mode: int = 0o600):
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        path.chmod(mode)
        return path

    return write


@pytest.mark.parametrize("content", [CANARY, "0x" + CANARY, f"  0x{CANARY.upper()}\n\n"])
@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_private_file_with_64_hex_digits_is_a_key(key_file, content, mode):
    assert load_key(key_file(content, mode)).address == Account.from_key(CANARY).address.lower()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o700, 0o660, 0o666])
def test_a_file_that_others_may_read_is_refused_with_the_cure(key_file, mode):
    with pytest.raises(KeyRefused, match=f"mode {mode:04o}.*chmod 600"):
        load_key(key_file(CANARY, mode))


def test_a_file_of_another_user_is_refused(key_file, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(KeyRefused, match="belongs to another user"):
        load_key(key_file(CANARY))


def test_what_is_no_regular_file_is_refused_without_waiting_for_it(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    for path, words in (
        (pipe, "not a regular file"),
        (tmp_path, "not a regular file"),
        (tmp_path / "no", "No such"),
    ):
        with pytest.raises(KeyRefused, match=words):
            load_key(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty"),
        (CANARY[:-1], "64 hex digits"),
        (CANARY + "0", "64 hex digits"),
        (CANARY + "\n" + CANARY, "64 hex digits"),
        ("0x" + CANARY[:40], "an address"),
        (
            json.dumps({"crypto": {"ciphertext": CANARY}, "version": 3}),
            "keystore, which is not supported yet",
        ),
        (DEVELOPMENT_MNEMONIC, "holds a mnemonic"),
        ("0" * 64, "no key of the curve"),
        ("f" * 64, "no key of the curve"),
        (b"\xff\x00" + CANARY.encode(), "64 hex digits"),
        (CANARY * 1000, "64 hex digits"),
    ],
    ids=lambda value: None,
)
def test_any_other_content_is_refused_by_its_shape_and_never_repeated(key_file, content, words):
    with pytest.raises(KeyRefused, match=words) as caught:
        load_key(key_file(content))
    shown = "".join(traceback.format_exception(caught.value))
    for secret in (CANARY[:16], "junk", "ffffffff"):
        assert secret not in shown
    assert (
        caught.value.__cause__ is None and caught.value.__context__ is None
    ) or caught.value.__suppress_context__


def test_a_key_comes_through_a_file_descriptor_which_is_closed():
    reading, writing = os.pipe()
    os.write(writing, f"0x{CANARY}\n".encode())
    os.close(writing)
    assert load_key(reading).address == Account.from_key(CANARY).address.lower()
    with pytest.raises(OSError):
        os.fstat(reading)
    with pytest.raises(KeyRefused, match=f"file descriptor {reading} cannot be read"):
        load_key(reading)


def test_a_key_shows_itself_in_no_form():
    key = SecretKey.from_hex(CANARY)
    signer = Signer(key, is_mainnet=False)
    number = str(int(CANARY, 16))
    for thing in (key, signer, [key], {"key": key}):
        for shown in (repr(thing), str(thing), f"{thing}", f"{thing!r:>90}", ascii(thing)):
            assert CANARY not in shown.lower() and number not in shown
    for thing in (key, signer):
        assert not hasattr(thing, "__dict__")
        for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="neither copied nor pickled"):
                attempt(thing)


@pytest.mark.parametrize("secret", [CANARY + "00", "zz" + CANARY[2:], CANARY[:-2]])
def test_an_error_about_a_key_does_not_quote_it(secret):
    with pytest.raises(KeyRefused) as caught:
        SecretKey.from_hex(secret)
    assert CANARY[4:20] not in "".join(traceback.format_exception_only(caught.value))
    with pytest.raises(KeyRefused) as caught:
        SecretKey(secret.encode())
    assert CANARY[4:20] not in "".join(traceback.format_exception_only(caught.value))


def test_the_development_accounts_are_those_of_the_public_mnemonic():
    Account.enable_unaudited_hdwallet_features()
    assert len(DEVELOPMENT_ACCOUNTS) == 20
    for index in (0, 1, 19):  # Derivation is slow; the rest is checked by key -> address.
        derived = Account.from_mnemonic(DEVELOPMENT_MNEMONIC, account_path=f"m/44'/60'/0'/0/{index}")
        account = development_account(index)
        assert account.private_key == "0x" + bytes(derived.key).hex()
        assert account.address == derived.address.lower()
    for index, account in enumerate(DEVELOPMENT_ACCOUNTS):
        assert account.index == index and account.key.address == account.address
    assert len({account.address for account in DEVELOPMENT_ACCOUNTS}) == 20


def test_development_accounts_are_recognised_and_bounded():
    assert is_development_address("0xF39Fd6e51aad88F6F4ce6aB8827279cffFb92266")
    assert not is_development_address(SecretKey.from_hex(CANARY).address)
    for index in (-1, 20):
        with pytest.raises(KeyRefused, match="0 to 19"):
            development_account(index)
