"""The exchange funds the accounts that the client signs for: the two lists, kept apart, say the same."""

from __future__ import annotations

from mmtrio.client.keys import DEVELOPMENT_ACCOUNTS as SIGNED_FOR
from mmtrio.exchange.development_accounts import DEVELOPMENT_ACCOUNTS as FUNDED


def test_the_accounts_the_client_signs_for_are_the_ones_the_exchange_funds():
    assert [(account.address, account.private_key) for account in SIGNED_FOR] == [
        (account.address, account.private_key) for account in FUNDED
    ]
    assert all(account.key.address == account.address for account in SIGNED_FOR)
