"""trio-mm: a market maker for Hyperliquid as one Trio program, and a local exchange to run it against.

The package is a stack of rings, and imports go down only: cli, simulation, live, observe, the siblings
client, exchange and storage, then wire, then core. Each ring states its law in its own docstring;
`tests/test_architecture.py` holds them to it.
"""

__version__ = "0.1.0"
