"""Strategies: each looks at a view of its market and declares the orders it wants to rest.

Law: part of core and under its law: no trio, no I/O, no clock, no randomness. A strategy sends nothing; the
engine makes the venue agree with what it declared.
"""
