"""The rules of the house: imports go down only, and nothing reads a clock or rolls a die behind our back.

Every file under mmtrio is parsed, none is imported. Each complaint names the file, the line and the cure. The
lower half of this file plants small sources and shows that the checker bites.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "mmtrio"

# Ring -> the rings it may import, besides itself. Client, exchange and storage are siblings.
RINGS: dict[str, set[str]] = {
    "core": set(),
    "wire": {"core"},
    "client": {"core", "wire"},
    "exchange": {"core", "wire"},
    "storage": {"core", "wire"},
    "observe": {"core", "wire", "client", "storage"},
    "live": {"core", "wire", "client", "storage", "observe"},
    "simulation": {"core", "wire", "client", "storage", "observe", "live", "exchange"},
    "cli": {"core", "wire", "client", "storage", "observe", "live", "exchange", "simulation"},
}

# File -> what it may import beyond its ring, and why.
IMPORTS_ALLOWED: dict[str, dict[str, str]] = {
    "mmtrio/live/app.py": {
        "mmtrio.exchange": "opens the embedded exchange, which outlives all that trades on it"
    },
}

# The exchange checks ticks, lots, budgets and fees with code of its own, so that it can catch our mistakes.
EXCHANGE_MAY_IMPORT_OF_CORE = ("mmtrio.core.types", "mmtrio.core.market")

# Files (or folders) without I/O, and what therefore is not imported there.
SANS_IO = (
    "mmtrio/core/",
    "mmtrio/wire/",
    "mmtrio/exchange/matching.py",
    "mmtrio/exchange/accounts.py",
    "mmtrio/exchange/engine.py",
    "mmtrio/exchange/flow.py",
)
IO_MODULES = (
    "trio",
    "trio_websocket",
    "wsproto",
    "h11",
    "httpcore",
    "requests",
    "socket",
    "socketserver",
    "ssl",
    "select",
    "selectors",
    "subprocess",
    "multiprocessing",
    "concurrent",
    "sqlite3",
    "http",
    "urllib.request",
    "signal",
)
IO_BUILTINS = ("open", "print", "input")

USE_INSTANT = (
    "take the `Instant` that came with the event (core, wire, exchange), or read the injected clocks of "
    "mmtrio.live.clocks"
)
USE_RANDOM = "take a `random.Random` as an argument; the process's own comes from mmtrio.live.clocks"
USE_TRIO = "use trio: a nursery and its tasks"
USE_RUN_BLOCKING = "use trio's nurseries; blocking work goes through an injected `run_blocking`"

# Dotted name -> what to use instead. A name stands for everything below it as well.
BANNED: dict[str, str] = {
    **dict.fromkeys(
        (
            "time.time",
            "time.time_ns",
            "time.monotonic",
            "time.monotonic_ns",
            "time.perf_counter",
            "time.perf_counter_ns",
            "time.clock_gettime",
            "time.clock_gettime_ns",
            "time.localtime",
            "time.ctime",
            "time.asctime",
            "datetime.datetime.now",
            "datetime.datetime.utcnow",
            "datetime.datetime.today",
            "datetime.date.today",
        ),
        USE_INSTANT,
    ),
    "time.sleep": "await trio.sleep(seconds), which can be cancelled and runs on the virtual clock",
    **dict.fromkeys(("random", "os.urandom", "os.getrandom", "secrets", "uuid"), USE_RANDOM),
    **dict.fromkeys(("asyncio", "anyio", "sniffio", "curio"), USE_TRIO),
    **dict.fromkeys(("threading", "_thread", "multiprocessing", "concurrent.futures"), USE_RUN_BLOCKING),
    "pickle": "write JSON through the schema of mmtrio.core.events; reading a pickle runs code",
    "marshal": "write JSON through the schema of mmtrio.core.events",
    "shelve": "use mmtrio.storage; reading a shelf runs code",
    "hyperliquid": "use mmtrio.wire and mmtrio.client; the official SDK belongs to tests and account commands",
    "importlib.import_module": "write the import statement, inside the function if it must be late",
    "ssl._create_unverified_context": "use ssl.create_default_context(); a venue is never trusted unverified",
}
# Below a banned name, but harmless: a generator that was given its seed.
NOT_BANNED = ("random.Random",)
BANNED_BUILTINS: dict[str, str] = {
    "eval": "parse the value: ast.literal_eval, msgspec or a match statement",
    "exec": "write a function",
    "__import__": "write the import statement",
}

# File -> name -> reason. The only way round the ban.
ALLOWED: dict[str, dict[str, str]] = {
    "mmtrio/live/clocks.py": {
        "time": "the one place that reads the system's clocks",
        "random.SystemRandom": "the one place that takes the system's randomness",
        "secrets": "the one place that takes the system's randomness",
        "os.urandom": "the one place that takes the system's randomness",
    },
}


def find_violations(path: str, source: str) -> list[str]:
    """What this source breaks. `path` is relative to the repository, with forward slashes."""
    tree = ast.parse(source, path)
    found: list[tuple[int, str]] = []
    names = _imported_names(path, tree)

    for line, target in _imports(path, tree):
        found += [(line, text) for text in _ring_violations(path, target)]
        found += [(line, text) for text in _banned(path, target)]
        if path.startswith(SANS_IO) and _is_within(target, IO_MODULES):
            found.append(
                (line, f"imports {target}, but this file does no I/O; let a ring above pass the result in")
            )
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            dotted = _dotted(node, names)
            if dotted is not None:
                found += [(node.lineno, text) for text in _banned(path, dotted)]
        elif isinstance(node, ast.Name) and node.id not in names and node.id in BANNED_BUILTINS:
            found.append((node.lineno, f"uses {node.id}; instead: {BANNED_BUILTINS[node.id]}"))
        elif isinstance(node, ast.Call):
            found += [(node.lineno, text) for text in _call_violations(path, node, names)]
    return [f"{path}:{line}: {text}" for line, text in sorted(set(found))]


def _is_within(name: str, roots: tuple[str, ...] | dict[str, str]) -> bool:
    return any(name == root or name.startswith(root + ".") for root in roots)


def _package_of(path: str) -> list[str]:
    return path.removesuffix(".py").split("/")[:-1]


def _imports(path: str, tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, dotted target) of every import, at any depth; `from a import b` is a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield node.lineno, f"{_origin(path, node)}.{alias.name}"


def _origin(path: str, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = _package_of(path)
    above = package[: len(package) - (node.level - 1)]
    return ".".join([*above, *([node.module] if node.module else [])])


def _imported_names(path: str, tree: ast.AST) -> dict[str, str]:
    """Name in this file -> the dotted name it stands for."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.split(".")[0]
                names[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                names[alias.asname or alias.name] = f"{_origin(path, node)}.{alias.name}"
    return names


def _dotted(node: ast.expr, names: dict[str, str]) -> str | None:
    """The dotted name an expression stands for, if it starts at an import."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or node.id not in names:
        return None
    return ".".join([names[node.id], *reversed(parts)])


def _ring_violations(path: str, target: str) -> Iterator[str]:
    if not _is_within(target, ("mmtrio",)) or target.count(".") == 0:
        return
    parts = path.split("/")
    importer = parts[1] if len(parts) > 2 else None
    imported = target.split(".")[1]
    if imported not in RINGS:  # mmtrio.__version__
        return
    if importer is None:
        if path != "mmtrio/__main__.py" or imported != "cli":
            yield f"imports {target}: of the top level only __main__.py imports a ring, and only cli"
        return
    if importer not in RINGS:
        yield f"is in {importer}, which is no ring; give it a place in RINGS of tests/test_architecture.py"
        return
    if imported != importer and imported not in RINGS[importer]:
        if not _is_within(target, IMPORTS_ALLOWED.get(path, {})):
            allowed = ", ".join(ring for ring in RINGS if ring in RINGS[importer]) or "no other ring"
            yield (
                f"imports {target}, but {importer} may import {allowed}; pass it in from above, or move what "
                f"both need down"
            )
    elif (
        importer == "exchange" and imported == "core" and not _is_within(target, EXCHANGE_MAY_IMPORT_OF_CORE)
    ):
        yield (
            f"imports {target}, but of core the exchange may import only {' and '.join(EXCHANGE_MAY_IMPORT_OF_CORE)}; "
            f"write the exchange's own, so that it can catch the market maker's mistakes"
        )


def _banned(path: str, dotted: str) -> Iterator[str]:
    if _is_within(dotted, ALLOWED.get(path, {})) or _is_within(dotted, NOT_BANNED):
        return
    for name, instead in BANNED.items():
        # `import random` alone is how one gets at random.Random; what is then used decides.
        if dotted == name == "random":
            continue
        if _is_within(dotted, (name,)):
            yield f"uses {dotted}; instead: {instead}"


def _call_violations(path: str, node: ast.Call, names: dict[str, str]) -> Iterator[str]:
    dotted = _dotted(node.func, names)
    if dotted == "random.Random" and not (node.args or node.keywords):
        yield f"uses random.Random() without a seed, which is the system's randomness; instead: {USE_RANDOM}"
    for keyword in node.keywords:
        if (
            keyword.arg == "verify"
            and isinstance(keyword.value, ast.Constant)
            and keyword.value.value is False
        ):
            yield "passes verify=False; instead: trust the venue's certificate, or give the test's own authority"
    if path.startswith(SANS_IO) and isinstance(node.func, ast.Name):
        if node.func.id in IO_BUILTINS and node.func.id not in names:
            yield f"calls {node.func.id}(), but this file does no I/O; let a ring above pass the result in"


# The rules, held.


def sources() -> list[str]:
    return sorted(file.relative_to(ROOT).as_posix() for file in PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", sources())
def test_file_keeps_the_rules(path: str) -> None:
    violations = find_violations(path, (ROOT / path).read_text(encoding="utf-8"))
    assert not violations, "\n" + "\n".join(violations)


def test_every_file_belongs_to_a_ring() -> None:
    strays = [path for path in sources() if len(path.split("/")) > 2 and path.split("/")[1] not in RINGS]
    strays += [
        p
        for p in sources()
        if len(p.split("/")) == 2 and p.split("/")[1] not in ("__init__.py", "__main__.py")
    ]
    assert not strays, f"in no ring: {strays}; move them, or give the ring a place in RINGS above"


@pytest.mark.parametrize("ring", [ring for ring in RINGS if (PACKAGE / ring).is_dir()])
def test_each_ring_states_its_law(ring: str) -> None:
    init = PACKAGE / ring / "__init__.py"
    assert init.is_file(), f"mmtrio/{ring} has no __init__.py; add one whose docstring states the ring's law"
    law = ast.get_docstring(ast.parse(init.read_text(encoding="utf-8"))) or ""
    _, stated, text = law.partition("Law:")
    assert stated, (
        f"the docstring of mmtrio/{ring}/__init__.py has no sentence 'Law: …' saying what it may import"
    )
    assert "import" in text, f"the law of mmtrio/{ring} does not say what the ring may import: {text!r}"


def test_the_rings_are_in_order_from_the_bottom() -> None:
    seen: set[str] = set()
    for ring, below in RINGS.items():
        assert below <= seen, f"{ring} may import {below - seen}, which is not below it"
        seen.add(ring)


# The checker, shown to bite.

BAD: list[tuple[str, str, str]] = [
    # rings
    ("mmtrio/core/risk.py", "from mmtrio.wire import codec", "core may import no other ring"),
    ("mmtrio/core/strategies/hip2.py", "from mmtrio.live import app", "core may import no other ring"),
    ("mmtrio/core/risk.py", "from ..wire import codec", "imports mmtrio.wire.codec"),
    ("mmtrio/core/risk.py", "from .. import wire", "imports mmtrio.wire"),
    ("mmtrio/core/__init__.py", "from ..wire.codec import decode", "imports mmtrio.wire.codec.decode"),
    ("mmtrio/core/risk.py", "def late():\n    import mmtrio.client.rest", "imports mmtrio.client.rest"),
    ("mmtrio/core/risk.py", "if TYPE_CHECKING:\n    from mmtrio.live.app import App", "no other ring"),
    ("mmtrio/wire/codec.py", "import mmtrio.exchange.engine", "wire may import core"),
    ("mmtrio/client/rest.py", "from mmtrio.exchange import engine", "client may import core, wire"),
    ("mmtrio/client/rest.py", "from mmtrio.storage import journal", "client may import core, wire"),
    ("mmtrio/exchange/serve.py", "from mmtrio.client import rest", "exchange may import core, wire"),
    ("mmtrio/storage/journal.py", "from mmtrio.client import rest", "storage may import core, wire"),
    ("mmtrio/exchange/engine.py", "from mmtrio.core.order_state import OrderState", "the exchange's own"),
    ("mmtrio/exchange/engine.py", "from mmtrio.core import rate_limit", "the exchange's own"),
    ("mmtrio/exchange/engine.py", "import mmtrio.core", "the exchange's own"),
    ("mmtrio/exchange/engine.py", "from mmtrio.core.types_of_ours import Side", "the exchange's own"),
    ("mmtrio/live/ws_state.py", "from mmtrio.exchange import engine", "live may import"),
    ("mmtrio/live/app.py", "from mmtrio.cli import main", "live may import"),
    ("mmtrio/observe/screen.py", "from mmtrio.live import app", "observe may import"),
    ("mmtrio/observe/screen.py", "from mmtrio.exchange import engine", "observe may import"),
    ("mmtrio/simulation/world.py", "from mmtrio.cli import main", "simulation may import"),
    ("mmtrio/__init__.py", "from mmtrio.cli.main import main", "only __main__.py"),
    ("mmtrio/__main__.py", "from mmtrio.live.app import run", "only cli"),
    ("mmtrio/extras/x.py", "from mmtrio.core import types", "no ring"),
    # no I/O
    ("mmtrio/core/quoter.py", "import trio", "does no I/O"),
    ("mmtrio/wire/codec.py", "from trio_websocket import ConnectionClosed", "does no I/O"),
    ("mmtrio/core/quoter.py", "import socket as s", "does no I/O"),
    ("mmtrio/wire/markets.py", "import urllib.request", "does no I/O"),
    ("mmtrio/exchange/matching.py", "import trio", "does no I/O"),
    ("mmtrio/core/quoter.py", "print('quoted')", "calls print()"),
    ("mmtrio/wire/markets.py", "meta = open('meta.json')", "calls open()"),
    # clocks
    ("mmtrio/live/app.py", "import time\nat = time.time()", "uses time.time; instead: take the `Instant`"),
    ("mmtrio/live/app.py", "import time as t\nat = t.time_ns()", "uses time.time_ns;"),
    ("mmtrio/live/app.py", "from time import monotonic", "uses time.monotonic;"),
    ("mmtrio/live/app.py", "from time import time as now", "uses time.time;"),
    ("mmtrio/live/app.py", "import time\nclock = field(factory=time.monotonic)", "uses time.monotonic;"),
    ("mmtrio/live/app.py", "import time\ntime.sleep(1)", "await trio.sleep"),
    ("mmtrio/live/app.py", "import datetime\ndatetime.datetime.now()", "uses datetime.datetime.now;"),
    ("mmtrio/live/app.py", "from datetime import datetime\ndatetime.utcnow()", "datetime.utcnow;"),
    ("mmtrio/live/app.py", "from datetime import datetime as d, UTC\nd.now(UTC)", "datetime.now;"),
    ("mmtrio/live/app.py", "import datetime as dt\ndt.date.today()", "date.today;"),
    # chance
    (
        "mmtrio/core/quoter.py",
        "import random\nrandom.random()",
        "uses random.random; instead: take a `random.Random`",
    ),
    ("mmtrio/core/quoter.py", "import random\nrandom.seed(1)", "uses random.seed;"),
    ("mmtrio/core/quoter.py", "from random import uniform", "uses random.uniform;"),
    ("mmtrio/core/quoter.py", "from random import *", "uses random.*;"),
    ("mmtrio/core/quoter.py", "import random\nr = random.SystemRandom()", "uses random.SystemRandom;"),
    ("mmtrio/core/quoter.py", "import random\nr = random.Random()", "without a seed"),
    ("mmtrio/core/quoter.py", "from random import Random\nr = Random()", "without a seed"),
    ("mmtrio/client/signer.py", "import os\nos.urandom(8)", "uses os.urandom;"),
    ("mmtrio/client/signer.py", "import secrets", "uses secrets;"),
    ("mmtrio/client/signer.py", "from uuid import uuid4", "uses uuid.uuid4;"),
    # other loops, threads, code from data, the SDK
    ("mmtrio/live/app.py", "import asyncio", "uses asyncio; instead: use trio"),
    ("mmtrio/live/app.py", "from asyncio import sleep", "uses asyncio.sleep"),
    ("mmtrio/live/app.py", "import threading", "uses threading;"),
    ("mmtrio/live/app.py", "from concurrent.futures import Executor", "uses concurrent.futures.Executor;"),
    ("mmtrio/storage/journal.py", "import pickle", "uses pickle;"),
    ("mmtrio/cli/main.py", "eval('1')", "uses eval;"),
    ("mmtrio/cli/main.py", "exec('1')", "uses exec;"),
    ("mmtrio/cli/main.py", "from importlib import import_module", "write the import statement"),
    ("mmtrio/client/rest.py", "get(url, verify=False)", "verify=False"),
    ("mmtrio/cli/account.py", "from hyperliquid.exchange import Exchange", "the official SDK"),
    ("mmtrio/live/app.py", "import hyperliquid", "the official SDK"),
    # the allow-list is for one file and names, not for everything in it
    ("mmtrio/live/clocks.py", "import random\nrandom.random()", "uses random.random;"),
    ("mmtrio/live/clocks.py", "import uuid", "uses uuid;"),
]

GOOD: list[tuple[str, str]] = [
    (
        "mmtrio/core/risk.py",
        "from mmtrio.core.types import Side\nfrom . import inventory\nfrom .strategies import hip2",
    ),
    ("mmtrio/wire/codec.py", "from mmtrio.core import events\nfrom ..core.types import Side"),
    (
        "mmtrio/exchange/engine.py",
        "from mmtrio.core.types import Side\nfrom mmtrio.core import market, types",
    ),
    ("mmtrio/exchange/engine.py", "from mmtrio.wire import signing\nimport mmtrio.core.market"),
    ("mmtrio/exchange/serve.py", "import trio, h11"),
    (
        "mmtrio/live/app.py",
        "from mmtrio.exchange.serve import serve_exchange\nfrom mmtrio.client import rest",
    ),
    ("mmtrio/simulation/world.py", "from mmtrio.exchange import engine\nfrom mmtrio.live import app"),
    (
        "mmtrio/cli/main.py",
        "from mmtrio import __version__\nfrom mmtrio.exchange import serve\nprint('hello')",
    ),
    ("mmtrio/__main__.py", "from mmtrio.cli.main import main"),
    (
        "mmtrio/core/quoter.py",
        "import random\nfrom random import Random\ndef f(r: random.Random): r.random()",
    ),
    ("mmtrio/core/quoter.py", "import random\nr = random.Random(7)"),
    ("mmtrio/core/quoter.py", "from datetime import datetime, UTC\ndatetime.fromtimestamp(1, UTC)"),
    ("mmtrio/live/clocks.py", "import time\ntime.time_ns()\ntime.monotonic_ns()"),
    ("mmtrio/live/clocks.py", "from random import SystemRandom\nimport secrets, os\nos.urandom(8)"),
    ("mmtrio/core/quoter.py", "class Clock: ...\ndef f(time): return time.time()"),
    ("mmtrio/client/rest.py", "get(url, verify=True)\nself.open()"),
    ("mmtrio/cli/config.py", "with open('c.toml', 'rb') as file: ..."),
]


@pytest.mark.parametrize(("path", "source", "complaint"), BAD, ids=[f"{p}:{s}" for p, s, _ in BAD])
def test_the_checker_finds(path: str, source: str, complaint: str) -> None:
    violations = find_violations(path, source)
    assert any(complaint in text for text in violations), (violations, complaint)
    assert all(text.startswith(f"{path}:") for text in violations)


@pytest.mark.parametrize(("path", "source"), GOOD, ids=[f"{p}:{s}" for p, s in GOOD])
def test_the_checker_lets_pass(path: str, source: str) -> None:
    assert find_violations(path, source) == []


def test_a_complaint_names_file_line_and_cure() -> None:
    (complaint,) = find_violations(
        "mmtrio/live/app.py", "import time\n\n\nasync def tick():\n    return time.time()\n"
    )
    assert complaint.startswith("mmtrio/live/app.py:5: uses time.time; instead: take the `Instant`")


def test_every_exception_to_the_rules_gives_its_reason() -> None:
    for table in (IMPORTS_ALLOWED, ALLOWED):
        for path, names in table.items():
            assert path.startswith("mmtrio/") and path.endswith(".py"), path
            assert all(reason for reason in names.values()), path
