"""Talking to a venue, without being a market maker: connections, requests, sessions, signatures, the account.

Law: imports wire and core; never its siblings exchange and storage. Everything reaches the world through
`connect`, and foreign exceptions are translated here, once.
"""
