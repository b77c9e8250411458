"""Digests of code: what the result of a stage depends on, beyond its files and settings.

The workflow passes the digest of a stage's modules as a parameter of its rule. An edit that can change a result changes
the digest, and Snakemake runs the stage again; a comment, a docstring or another stage's code does not.
"""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = __name__.partition(".")[0]
ROOT = Path(__file__).parent


def code_digest(*modules: str) -> str:
    """Digest of modules of this package and of all they import from it, directly or not.

    What counts is the syntax tree without docstrings. Imports inside functions count too. The package's own
    `__init__` does not: it holds the version.

    Args:
        *modules: Full names, e.g. ``"equidyn.training"``.

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


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file's content, 16 hexadecimal digits."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]


def _path(module: str) -> Path | None:
    """The module's file, or None if it is not a module of this package."""
    first, *rest = module.split(".")
    if first != PACKAGE or not rest:
        return None
    base = ROOT.joinpath(*rest)
    return next((p for p in (base.with_suffix(".py"), base / "__init__.py") if p.is_file()), None)


@cache
def _tree(module: str) -> ast.Module:
    path = _path(module)
    if path is None:
        raise ValueError(f"{module!r} is not a module of {PACKAGE}")
    tree = ast.parse(path.read_text("utf-8"), filename=str(path))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if not isinstance(body, list):
            continue
        # Docstrings, of attributes too: a string that is a statement has no effect.
        node.body = [s for s in body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))] or [
            ast.Pass()
        ]
    return tree


@cache
def _canonical(module: str) -> str:
    return ast.dump(_tree(module))


def _imports(module: str) -> Iterator[str]:
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        yield from (name for name in names if _path(name))
