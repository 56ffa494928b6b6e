"""One instance of the bot per account: two that quote the same slots would fight over every order (D5)."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmtrio.live.errors import ConfigurationError


@contextmanager
def instance_lock(folder: Path | None, *, network: str, venue: str, account: str, instance: str) -> Iterator[None]:
    """Hold a lock file for as long as the block lasts. The kernel frees it when the process ends, however it ends.

    Raises:
        ConfigurationError: another process holds it, or the file cannot be made.
    """
    if folder is None:
        yield
        return
    name = "-".join((network, venue.replace("/", "_").replace(":", "_"), account.lower(), instance))
    path = folder / f"{name}.lock"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigurationError(
            f"cannot make the lock file {path}: {error.strerror}. It keeps a second bot off the same account; "
            f"make the folder writable, or name another with --lock-folder."
        ) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(
                f"another trio-mm is already running as instance {instance!r} on account {account} ({network}); "
                f"its process id is {_holder(descriptor)}. Stop it first, or give this one another name with "
                f"[account] instance = \"...\"."
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)


def _holder(descriptor: int) -> str:
    return os.pread(descriptor, 20, 0).decode(errors="replace").strip() or "unknown"
