"""Decisions: what to quote, what to send, what must not be sent, and why.

Law: the bottom ring. It imports no other ring. No trio, no I/O, no clock, no randomness: time arrives as an
`Instant`, chance as a `Random`, the world as events; decisions leave as commands with their reasons.
"""
