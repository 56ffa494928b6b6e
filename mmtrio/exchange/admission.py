"""Who may act, and how often: signers, agents, nonces, expiry, address budget. Nothing here touches an order."""

from __future__ import annotations

from mmtrio.core.types import Address
from mmtrio.exchange.accounts import Ledger
from mmtrio.exchange.actions import Envelope
from mmtrio.exchange.budgets import RequestBudget
from mmtrio.exchange.nonces import NonceSet
from mmtrio.exchange.refusals import ELEMENTS_MAX, EXPIRED, OVER_WEIGHT
from mmtrio.exchange.world import World
from mmtrio.wire.signing import Signature, action_hash, l1_digest, recover


class Refused(Exception):
    """The whole request is refused with this text (HTTP 200, `status: "err"`)."""


class Admission:
    """The door of the exchange. The network is never mainnet: signatures carry the source "b"."""

    def __init__(self, world: World, ledger: Ledger) -> None:
        self._ledger = ledger
        self._masters: dict[str, Address] = {}
        """Who an address may sign for: itself, or the account it is an agent of."""
        for account in world.accounts:
            if not account.is_house:
                self._masters[account.address] = account.address
            for agent in account.agents:
                self._masters[agent] = account.address
        self._nonces: dict[str, NonceSet] = {}
        self.budgets: dict[Address, RequestBudget] = {}

    def master_of(self, address: str) -> Address | None:
        """The account an address signs for, which may be itself; None where it is unknown."""
        return self._masters.get(address)

    def agents_of(self, account: Address) -> tuple[str, ...]:
        return tuple(a for a, master in self._masters.items() if master == account and a != account)

    def budget(self, user: Address) -> RequestBudget:
        budget = self.budgets.get(user)
        if budget is None:
            budget = self.budgets[user] = RequestBudget()
        return budget

    def identify(self, envelope: Envelope, now_ms: int) -> tuple[str, Address]:
        """(signer, account) of a request that may be run. Nothing is spent yet; call `book` then.

        Raises:
            Refused: with the venue's text.
        """
        if envelope.action.n_elements > ELEMENTS_MAX:
            raise Refused(OVER_WEIGHT)
        signer = self._recover(envelope)
        user = self._masters.get(signer)
        if user is None:
            raise Refused(f"User or API Wallet {signer} does not exist.")
        if envelope.vault is not None:
            raise Refused(f"Vault not registered: {envelope.vault}")
        action, budget = envelope.action, self.budget(user)
        if envelope.expires_after_ms is not None and envelope.expires_after_ms < now_ms:
            budget.charge_expired(action.n_elements)
            raise Refused(EXPIRED)
        text = self._nonce_set(signer).refusal(envelope.nonce, now_ms)
        text = text or budget.refusal(self._volume_e8(user), is_cancel=action.is_cancel, now_ms=now_ms)
        if text is not None:
            raise Refused(text)
        return signer, user

    def book(self, signer: str, user: Address, envelope: Envelope, now_ms: int) -> None:
        """Burns the nonce and charges the budget."""
        action = envelope.action
        self._nonce_set(signer).use(envelope.nonce)
        self.budget(user).charge(
            action.n_elements, self._volume_e8(user), is_cancel=action.is_cancel, now_ms=now_ms
        )

    def _recover(self, envelope: Envelope) -> str:
        r_text, s_text, v = envelope.signature
        try:
            signature = Signature.from_json({"r": r_text, "s": s_text, "v": v})
            connection_id = action_hash(
                envelope.action.canonical(), envelope.nonce, envelope.vault, envelope.expires_after_ms
            )
            digest = l1_digest(connection_id, is_mainnet=False)
            return recover(digest, signature.r, signature.s, signature.v)
        except ValueError as error:
            raise Refused("Unable to recover signer.") from error

    def _nonce_set(self, signer: str) -> NonceSet:
        nonces = self._nonces.get(signer)
        if nonces is None:
            nonces = self._nonces[signer] = NonceSet()
        return nonces

    def _volume_e8(self, user: Address) -> int:
        return self._ledger.accounts[user].volume_e8
