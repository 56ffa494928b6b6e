"""The running market maker: the root nursery and the Trio tasks in it.

Law: imports observe, client, storage, wire and core; only `live.app` opens the embedded exchange. The system's
clocks and randomness are read in `live.clocks` and nowhere else.
"""
