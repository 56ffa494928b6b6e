"""Benchmarks: each module has a docstring that says what is measured, and `measure()`, which yields figures."""
