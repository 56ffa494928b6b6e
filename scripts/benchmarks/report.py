"""Runs the benchmarks asked for and prints what they yield."""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from typing import Any

import attrs

from benchmarks.figures import Figure

NAMES = ("signing", "decoding", "desk", "exchange", "rest", "virtual_time")
LIBRARIES = (
    "trio", "msgspec", "coincurve", "safe-pysha3", "eth-account", "hyperliquid-python-sdk", "requests",
)  # fmt: skip


def run(arguments: Sequence[str], *, description: str | None) -> int:
    """The command line. Returns the exit code."""
    parser = argparse.ArgumentParser(
        "scripts/bench", description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(NAMES)}")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--list", action="store_true", help="say what each benchmark measures")
    wanted = parser.parse_args(arguments)
    for name in wanted.names:
        if name not in NAMES:
            parser.error(f"there is no benchmark {name!r}; there are {', '.join(NAMES)}")
    if wanted.list:
        for name in NAMES:
            print(f"{name:14}{(_module(name).__doc__ or '').splitlines()[0]}")
        return 0
    results = {name: _measured(name, is_shown=not wanted.json) for name in wanted.names or NAMES}
    if wanted.json:
        figures = {name: [attrs.asdict(figure) for figure in found] for name, found in results.items()}
        print(json.dumps({"machine": _machine(), "figures": figures}, indent=1))
    return 0


def _measured(name: str, *, is_shown: bool) -> list[Figure]:
    module = _module(name)
    if is_shown:
        print(f"\n{name}: {(module.__doc__ or '').splitlines()[0]}")
    started_s = time.perf_counter()
    figures = []
    for figure in module.measure():
        figures.append(figure)
        if is_shown:
            print(_line(figure), flush=True)
    if is_shown:
        print(f"  ({time.perf_counter() - started_s:.1f} s)", file=sys.stderr)
    return figures


def _module(name: str) -> Any:
    return importlib.import_module(f"benchmarks.{name}")


def _line(figure: Figure) -> str:
    decimals = 3 if figure.value < 1 else 1 if figure.value < 1_000 else 0
    value = f"{figure.value:,.{decimals}f}"
    ratio = f"   {figure.ratio:.2f} x {figure.versus}" if figure.ratio is not None else ""
    return f"  {figure.name:58}{value:>10} {figure.unit}{ratio}"


def _machine() -> dict[str, object]:
    libraries = {name: importlib.metadata.version(name) for name in LIBRARIES}
    return {"python": platform.python_version(), "cpus": os.cpu_count(), "libraries": libraries}
