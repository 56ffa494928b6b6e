"""Where signing keys come from: a private file, an inherited file descriptor, or the public development accounts.

Never from an argument or the environment, which other processes can read. No error of this module holds any part of
what it read: a mistyped path may point at anything.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import attrs
from coincurve import PrivateKey

from mmtrio.core.types import Address
from mmtrio.wire.signing import address_of

_KEY_FILE_BYTES_MAX = 16 * 2**10
_HEX_KEY = re.compile(r"(?:0x)?([0-9a-fA-F]{64})")
_HEX_ADDRESS = re.compile(r"(?:0x)?[0-9a-fA-F]{40}")
_WORDS = re.compile(r"[a-z]+(?:\s+[a-z]+){11,23}")


class KeyRefused(ValueError):
    """A key cannot be had from there. The text names the place and the cure, never the content."""


class SecretKey:
    """A signing key that does not show itself: not in repr, str, format, vars, pickles or copies."""

    __slots__ = ("_private_key", "address")

    def __init__(self, secret: bytes) -> None:
        """`secret` is 32 bytes. Raises KeyRefused where it is no key of the curve."""
        try:
            self._private_key = PrivateKey(secret)
        except (ValueError, TypeError):
            raise KeyRefused(
                "these bytes are not a key: it must be 32 bytes and within the curve's order"
            ) from None
        self.address: Address = address_of(self._private_key.public_key.format(compressed=False))

    @classmethod
    def from_hex(cls, text: str) -> SecretKey:
        """64 hex digits, with or without 0x. Raises KeyRefused, without quoting the text."""
        match = _HEX_KEY.fullmatch(text.strip())
        if match is None:
            raise KeyRefused("a key is 64 hex digits, with or without 0x in front")
        return cls(bytes.fromhex(match[1]))

    def signing_function(self) -> Callable[[bytes], bytes]:
        """digest (32 bytes) -> r, s and recovery id (65 bytes). What a Signer keeps instead of the key."""
        sign_recoverable = self._private_key.sign_recoverable

        def sign(digest: bytes) -> bytes:
            signature: bytes = sign_recoverable(digest, None)
            return signature

        return sign

    def __repr__(self) -> str:
        return f"<key of {self.address}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key is neither copied nor pickled")


def load_key(source: Path | int) -> SecretKey:
    """Read a key from a private file, or from an open file descriptor up to its end (which closes it).

    Reads with the system's blocking calls: for start-up, before anything else runs.

    Raises:
        KeyRefused: the file is missing, not private, or holds something else than 64 hex digits.
    """
    if isinstance(source, int):
        where = f"file descriptor {source}"
        descriptor = source
    else:
        where = f"key file {source}"
        try:
            # Without waiting: the path may name a pipe that nobody writes to.
            descriptor = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        except OSError as error:
            raise KeyRefused(f"{where} cannot be opened: {error.strerror}") from None
    try:
        try:
            if isinstance(source, Path):
                _require_private(descriptor, where)
            content = _read_to_end(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise KeyRefused(f"{where} cannot be read: {error.strerror}") from None
    return _parse(content, where)


def _require_private(descriptor: int, where: str) -> None:
    """Checked on the open file, so that nothing can be exchanged between the look and the read."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise KeyRefused(f"{where} is not a regular file")
    if status.st_uid != os.geteuid():
        raise KeyRefused(f"{where} belongs to another user: make your own copy, with mode 0600")
    mode = stat.S_IMODE(status.st_mode)
    if mode & ~0o600:
        raise KeyRefused(f"{where} has mode {mode:04o}, so others may read it: chmod 600 it")


def _read_to_end(descriptor: int) -> bytes:
    content = b""
    while len(content) <= _KEY_FILE_BYTES_MAX:
        chunk = os.read(descriptor, _KEY_FILE_BYTES_MAX + 1)
        if not chunk:
            break
        content += chunk
    return content


def _parse(content: bytes, where: str) -> SecretKey:
    text = content[: _KEY_FILE_BYTES_MAX + 1].decode("ascii", "replace").strip()
    if _HEX_KEY.fullmatch(text):
        try:
            return SecretKey.from_hex(text)
        except KeyRefused:
            raise KeyRefused(f"{where} holds 64 hex digits that are no key of the curve") from None
    raise KeyRefused(f"{where} {_what_it_is(text)}")


def _what_it_is(text: str) -> str:
    """What was found instead of a key, and the cure; by its shape, never by its words."""
    if not text:
        return "is empty: it must hold the key, 64 hex digits"
    if text.startswith("{"):
        return (
            "is an encrypted keystore, which is not supported yet: it must hold the key itself, 64 hex digits"
        )
    if _HEX_ADDRESS.fullmatch(text):
        return "holds an address (40 hex digits), not a key (64 hex digits)"
    if _WORDS.fullmatch(text):
        return "holds a mnemonic: put the key of one account of it there, 64 hex digits"
    return "must hold nothing but the key: 64 hex digits, with or without 0x in front"


@attrs.frozen
class DevelopmentAccount:
    """An account whose key everybody knows. On a real network its funds are gone at once; `local` alone takes it."""

    index: int
    address: Address
    private_key: str
    """0x and 64 hex digits: public test data, to be printed and pasted."""

    @property
    def key(self) -> SecretKey:
        return SecretKey.from_hex(self.private_key)


DEVELOPMENT_MNEMONIC = "test test test test test test test test test test test junk"
"""Known to every Ethereum developer; accounts at m/44'/60'/0'/0/i."""

_DEVELOPMENT_ACCOUNTS = (
    (
        "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266",
        "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    ),
    (
        "0x70997970c51812dc3a010c7d01b50e0d17dc79c8",
        "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
    ),
    (
        "0x3c44cdddb6a900fa2b585dd299e03d12fa4293bc",
        "0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
    ),
    (
        "0x90f79bf6eb2c4f870365e785982e1f101e93b906",
        "0x7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
    ),
    (
        "0x15d34aaf54267db7d7c367839aaf71a00a2c6a65",
        "0x47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a",
    ),
    (
        "0x9965507d1a55bcc2695c58ba16fb37d819b0a4dc",
        "0x8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba",
    ),
    (
        "0x976ea74026e726554db657fa54763abd0c3a0aa9",
        "0x92db14e403b83dfe3df233f83dfa3a0d7096f21ca9b0d6d6b8d88b2b4ec1564e",
    ),
    (
        "0x14dc79964da2c08b23698b3d3cc7ca32193d9955",
        "0x4bbbf85ce3377467afe5d46f804f221813b2bb87f24d81f60f1fcdbf7cbf4356",
    ),
    (
        "0x23618e81e3f5cdf7f54c3d65f7fbc0abf5b21e8f",
        "0xdbda1821b80551c9d65939329250298aa3472ba22feea921c0cf5d620ea67b97",
    ),
    (
        "0xa0ee7a142d267c1f36714e4a8f75612f20a79720",
        "0x2a871d0798f97d79848a013d4936a73bf4cc922c825d33c1cf7073dff6d409c6",
    ),
    (
        "0xbcd4042de499d14e55001ccbb24a551f3b954096",
        "0xf214f2b2cd398c806f84e317254e0f0b801d0643303237d97a22a48e01628897",
    ),
    (
        "0x71be63f3384f5fb98995898a86b02fb2426c5788",
        "0x701b615bbdfb9de65240bc28bd21bbc0d996645a3dd57e7b12bc2bdf6f192c82",
    ),
    (
        "0xfabb0ac9d68b0b445fb7357272ff202c5651694a",
        "0xa267530f49f8280200edf313ee7af6b827f2a8bce2897751d06a843f644967b1",
    ),
    (
        "0x1cbd3b2770909d4e10f157cabc84c7264073c9ec",
        "0x47c99abed3324a2707c28affff1267e45918ec8c3f20b8aa892e8b065d2942dd",
    ),
    (
        "0xdf3e18d64bc6a983f673ab319ccae4f1a57c7097",
        "0xc526ee95bf44d8fc405a158bb884d9d1238d99f0612e9f33d006bb0789009aaa",
    ),
    (
        "0xcd3b766ccdd6ae721141f452c550ca635964ce71",
        "0x8166f546bab6da521a8369cab06c5d2b9e46670292d85c875ee9ec20e84ffb61",
    ),
    (
        "0x2546bcd3c84621e976d8185a91a922ae77ecec30",
        "0xea6c44ac03bff858b476bba40716402b03e41b8e97e276d1baec7c37d42484a0",
    ),
    (
        "0xbda5747bfd65f08deb54cb465eb87d40e51b197e",
        "0x689af8efa8c651a91ad287602527f3af2fe9f6501a7ac4b061667b5a93e037fd",
    ),
    (
        "0xdd2fd4581271e230360230f9337d5c0430bf44c0",
        "0xde9be858da4a475276426320d5e9262ecfc3ba460bfac56360bfa6c4c28b4ee0",
    ),
    (
        "0x8626f6940e2eb28930efb4cef49b2d1f2c9c1199",
        "0xdf57089febbacf7ba0bc227dafbffa9fc08a93fdc68e1e42411a14efcf23656e",
    ),
)

DEVELOPMENT_ACCOUNTS: tuple[DevelopmentAccount, ...] = tuple(
    DevelopmentAccount(index, Address(address), private_key)
    for index, (address, private_key) in enumerate(_DEVELOPMENT_ACCOUNTS)
)


def development_account(index: int) -> DevelopmentAccount:
    """The account with this number, from 0.

    Raises:
        KeyRefused: there is no such number.
    """
    if not 0 <= index < len(DEVELOPMENT_ACCOUNTS):
        raise KeyRefused(
            f"development accounts are numbered 0 to {len(DEVELOPMENT_ACCOUNTS) - 1}, not {index}"
        )
    return DEVELOPMENT_ACCOUNTS[index]


def is_development_address(address: str) -> bool:
    """True for an account whose key is public."""
    return any(account.address == address.lower() for account in DEVELOPMENT_ACCOUNTS)
