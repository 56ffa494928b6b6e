"""Hyperliquid's language: its messages, actions, signatures and markets, named as the venue names them.

Law: imports core only. No trio, no I/O, no clock, no key of its own: text and bytes come in and go out.
Decimal strings exist here and nowhere above.
"""
