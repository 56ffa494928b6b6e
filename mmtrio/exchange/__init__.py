"""A local venue that speaks Hyperliquid's HTTP and WebSocket API.

Law: imports wire and, of core, only `core.types` and `core.market`; never its siblings client and storage. It
checks ticks, lots, budgets and fees with code of its own, so that it can catch the market maker's mistakes.
Matching, accounts, engine, feeds and flow do no I/O; `serve`, `local_venue`, `hub` and `memory_streams` know Trio.
"""
