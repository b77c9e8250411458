"""Digests: what the result of a job depends on, beyond its own settings.

The workflow passes the digest of a stage's modules and script as a parameter of its rule. An edit that can change a
result changes the digest, and Snakemake runs the stage again; a comment, a docstring, the description of a setting or
another stage's code does not. Times of files say nothing.
"""

import ast
import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from equidyn.core.files import replacing

PACKAGE = __name__.partition(".")[0]
ROOT = Path(__file__).parents[1]
KEPT: Path | None = None
"""Folder of cached results that every job of a workflow needs again: digests of files, and counts of networks."""


@cache
def code_digest(*modules: str, script: str | Path = "") -> str:
    """Digest of modules of this package, of a script, and of all that these import from the package, directly or not.

    What counts is the syntax tree without docstrings and descriptions of settings. Imports inside functions count too;
    imports for type checkers alone do not, nor does the package's own `__init__`, which holds the version.

    Args:
        *modules: Full names, e.g. ``"equidyn.run.training"``. For a module outside this package, imports from its own
            package and from this one count.
        script: File of a script of the workflow.

    Returns:
        16 hexadecimal digits, the same on every machine and Python version that parses the code alike.

    Raises:
        ValueError: If there is no such module.
    """
    names = set()
    own = [_parsed(Path(script))] if script else []
    waiting = [*modules, *(name for file in own for name in file.imports())]
    while waiting:
        name = waiting.pop()
        if name not in names:
            names.add(name)
            waiting.extend(_module(name).imports(name.partition(".")[0]))
    texts = [f"{name} {_module(name).digest}" for name in sorted(names)]
    return _short("\n".join([*texts, *(f"script {file.digest}" for file in own)]))


def digest(*parts: Any) -> str:
    """Digest of values as JSON has them, for instance of settings and of the digests of what was made before.

    Args:
        *parts: Anything that JSON can hold; tuples are lists, the order of keys does not matter.

    Returns:
        16 hexadecimal digits.
    """
    return _short(json.dumps(parts, sort_keys=True))


def file_digest(path: str | Path) -> str:
    """Digest of the content of a file."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]


def kept(name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The result of a function, cached in a file if there is a folder for that.

    Args:
        name: Name of the file, which must contain everything that decides the result.
        make: Function that makes the result, of JSON-able values.
    """
    file = KEPT and Path(KEPT, f"{name}.json")
    if file and file.exists():
        return json.loads(file.read_text("utf-8"))
    made = make()
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as temporary:
            temporary.write_text(json.dumps(made), encoding="utf-8")
    return made


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _path(module: str) -> Path | None:
    """The module's file; None if there is none that is Python, and for this package's own `__init__`."""
    first, *rest = module.split(".")
    if first == PACKAGE:
        places = [str(ROOT)] if rest else []
    elif (spec := find_spec(first)) and not rest:
        return Path(spec.origin) if spec.origin and spec.origin.endswith(".py") else None
    else:
        places = spec.submodule_search_locations or [] if spec else []
    bases = [Path(place, *rest) for place in places]
    files = (path for base in bases for path in (base.with_suffix(".py"), base / "__init__.py"))
    return next(filter(Path.is_file, files), None)


@dataclass(frozen=True)
class _Parsed:
    """The parts of a file that count.

    Attributes:
        digest: Digest of its syntax tree without docstrings, code for type checkers, and descriptions of settings.
        names: Names that it imports, of modules or of objects in them.
    """

    digest: str
    names: list[str]

    def imports(self, package: str = PACKAGE) -> list[str]:
        """Modules of this package, and of the file's own package, that it imports."""
        return [name for name in self.names if name.partition(".")[0] in (PACKAGE, package) and _path(name)]


def _module(name: str) -> _Parsed:
    path = _path(name)
    if path is None:
        raise ValueError(f"there is no module {name!r}: install its package where the workflow runs")
    return _parsed(path)


@cache
def _parsed(path: Path) -> _Parsed:
    """The parts of a file that count, cached by its content if there is a folder for that."""
    text = path.read_bytes()
    name = f"{_reader()}-{hashlib.sha256(text).hexdigest()}"
    return _Parsed(**kept(name, lambda: asdict(_parse(text.decode(), str(path)))))


@cache
def _reader() -> str:
    """What reads files, on which depends what is found of them: this module, and the version of Python."""
    return f"{sys.version_info.minor}-{file_digest(__file__)}"


def _parse(text: str, name: str) -> _Parsed:
    tree = ast.parse(text, filename=name)
    waiting: list[ast.AST] = [tree]
    names: list[str] = []
    while waiting:
        node = waiting.pop()
        for block in _BLOCKS & set(node._fields):
            kept = [statement for statement in getattr(node, block) if not _has_no_effect(statement)]
            if block == "body" and not kept:
                kept = [ast.Pass()]
            setattr(node, block, kept)
            waiting.extend(kept)
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    if any(f"{words}=" in text for words in _WORDS.values()):
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in _WORDS:
                call.keywords = [keyword for keyword in call.keywords if keyword.arg != _WORDS[call.func.id]]
    # Text, unlike a dump of the tree, is the same for all versions of Python.
    return _Parsed(_short(ast.unparse(tree)), names)


def _has_no_effect(statement: ast.stmt) -> bool:
    """Whether a statement is a mere string, such as the docstring of an attribute, or for type checkers alone."""
    match statement:
        case ast.Expr(ast.Constant()) | ast.If(ast.Name("TYPE_CHECKING"), orelse=[]):
            return True
    return False


_BLOCKS = {"body", "orelse", "finalbody", "handlers", "cases"}
"""Fields of syntax nodes that hold statements, or nodes with statements."""

_WORDS = {"Field": "description", "GroupCard": "text"}
"""Arguments that are mere words, by the class that takes them; code that shows them gets them as parameters."""
