"""A certificate for 127.0.0.1 that signs itself, with its key: public test data, valid from 2020 to 2120."""

from __future__ import annotations

import ssl
from pathlib import Path

CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBbzCCARSgAwIBAgIBATAKBggqhkjOPQQDAjAdMRswGQYDVQQDDBJ0cmlvLW1t
IHRlc3QgdmVudWUwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMB0x
GzAZBgNVBAMMEnRyaW8tbW0gdGVzdCB2ZW51ZTBZMBMGByqGSM49AgEGCCqGSM49
AwEHA0IABM2rfivY3y3j7/m76TLy9Hkipc9ZTXYzQuXpd4YHrK3HIwoSFD8OYHfZ
AtR5I+TG6PAsT605DcIxkESgXYPfsGajQzBBMA8GA1UdEQQIMAaHBH8AAAEwDwYD
VR0TAQH/BAUwAwEB/zAdBgNVHQ4EFgQUXIyregbUuGxI0jbx4UgNC7zqvXgwCgYI
KoZIzj0EAwIDSQAwRgIhAPWEQ/gatvHG1zhulEs7la01wCXhDouSMjirHdy07gLB
AiEAzkk9hYw8/fujdpsuUSI86tkh8II3zeegl+xAV5ZbRSw=
-----END CERTIFICATE-----
"""

PRIVATE_KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgJLyuc/Z4fy0Ly985
1fk1E0/y1ZC2XCU/hqW0pYGZWnihRANCAATNq34r2N8t4+/5u+ky8vR5IqXPWU12
M0Ll6XeGB6ytxyMKEhQ/DmB32QLUeSPkxujwLE+tOQ3CMZBEoF2D37Bm
-----END PRIVATE KEY-----
"""


def server_context(folder: Path) -> ssl.SSLContext:
    """For a venue on loopback. `folder` takes the files that the ssl module insists on."""
    file = folder / "identity.pem"
    file.write_text(PRIVATE_KEY + CERTIFICATE)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def trusting_context() -> ssl.SSLContext:
    """For a client that knows this one certificate, and verifies it like any other."""
    return ssl.create_default_context(cadata=CERTIFICATE)
