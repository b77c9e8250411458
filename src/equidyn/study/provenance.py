"""Digests of code: what the result of a stage depends on, beyond its files and settings.

The workflow passes the digest of a stage's modules as a parameter of its rule. An edit that can change a result changes
the digest, and Snakemake runs the stage again; a comment, a docstring or another stage's code does not.
"""

import ast
import hashlib
from functools import cache
from pathlib import Path

PACKAGE = __name__.partition(".")[0]
ROOT = Path(__file__).parents[1]


@cache
def code_digest(*modules: str) -> str:
    """Digest of modules of this package and of all they import from it, directly or not.

    What counts is the syntax tree without docstrings. Imports inside functions count too. The package's own
    `__init__` does not: it holds the version.

    Args:
        *modules: Full names, e.g. ``"equidyn.run.training"``.

    Returns:
        16 hexadecimal digits, the same on every machine and Python version that parses the code alike.

    Raises:
        ValueError: If a module does not exist in this package.
    """
    names = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name not in names:
            names.add(name)
            waiting.extend(_imports(name))
    text = "\n".join(f"{name} {_canonical(name)}" for name in sorted(names))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _path(module: str) -> Path | None:
    """The module's file, or None if it is not a module of this package."""
    first, *rest = module.split(".")
    if first != PACKAGE or not rest:
        return None
    base = ROOT.joinpath(*rest)
    return next((p for p in (base.with_suffix(".py"), base / "__init__.py") if p.is_file()), None)


@cache
def _statements(module: str) -> tuple[ast.Module, list[ast.stmt]]:
    """The module's syntax tree without docstrings, and all its statements, nested ones too."""
    path = _path(module)
    if path is None:
        raise ValueError(f"{module!r} is not a module of {PACKAGE}")
    tree = ast.parse(path.read_text("utf-8"), filename=str(path))
    statements, waiting = [], [tree]
    while waiting:
        node = waiting.pop()
        for block in _BLOCKS & set(node._fields):
            # A string that is a statement has no effect: a docstring, of an attribute perhaps.
            kept = [
                s for s in getattr(node, block) if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))
            ]
            if block == "body" and not kept:
                kept = [ast.Pass()]
            setattr(node, block, kept)
            waiting.extend(kept)
            statements.extend(kept)
    return tree, statements


_BLOCKS = {"body", "orelse", "finalbody", "handlers", "cases"}
"""Fields of syntax nodes that hold statements, or what holds them."""


@cache
def _canonical(module: str) -> str:
    return ast.dump(_statements(module)[0])


@cache
def _imports(module: str) -> list[str]:
    found = []
    for node in _statements(module)[1]:
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        found.extend(name for name in names if _path(name))
    return found
