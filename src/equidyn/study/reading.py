"""Reading a study as the workflow does, without the workflow.

Imports nothing heavy.
"""

from collections.abc import Iterable, Mapping
from functools import reduce
from pathlib import Path
from typing import Any

from equidyn.core.settings import StudyError
from equidyn.study.config import check_analyses, check_config, check_figures, read_runs, with_names
from equidyn.study.limits import check_limits

DEEPEST = 50
"""Levels of a configuration file; those of this project have five."""

MOST_VALUES = 100_000
"""Values of a configuration file, as often as aliases repeat them."""


def read_study(
    paths: Iterable[str | Path], analyses: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Read and check a study as the workflow does.

    Args:
        paths: Configuration files; later ones are merged over earlier ones, key by key, as Snakemake does.
        analyses: Cards of all analyses of checkpoints by name.

    Returns:
        The configuration and the runs by name.

    Raises:
        StudyError: A file is missing or no YAML, or the study cannot be used.
    """
    source = " + ".join(map(str, paths))
    config, runs = checked(merged(paths), analyses, source)
    check_limits(config, runs, analyses, source)
    return config, runs


def merged(paths: Iterable[str | Path]) -> dict[str, Any]:
    """Configuration files as one, later ones merged over earlier ones.

    Raises:
        StudyError: A file is missing or no YAML.
    """
    return reduce(merge, map(read_yaml, paths), {})


def checked(
    config: Mapping[str, Any], analyses: Mapping[str, Any], source: str
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Check a configuration and the run table that it names, but for whether its jobs fit into those of a cluster.

    Args:
        config: The merged configuration.
        analyses: Cards of all analyses of checkpoints by name.
        source: Name of the file or files, for messages.

    Returns:
        The configuration, in which tasks of other packages go by their names, and the runs by name.

    Raises:
        StudyError: The study cannot be used.
    """
    config = with_names(config, source)
    check_config(config, analyses, source)
    runs = read_runs(config["run_table"], config)
    check_figures(config, runs)
    check_analyses(config, runs, analyses)
    return config, runs


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Merge one configuration over another: mappings key by key, everything else by replacement."""
    both = dict(below)
    for key, value in above.items():
        nested = isinstance(value, Mapping)
        known = both.get(key)
        both[key] = merge(known if isinstance(known, Mapping) else {}, value) if nested else value
    return both


def read_yaml(path: str | Path) -> dict[str, Any]:
    """The content of a configuration file.

    Raises:
        StudyError: The file is missing or no YAML of plain keys and values: it gives a key twice, names classes of
            Python, is nested more than `DEEPEST` deep, or stands for more than `MOST_VALUES` values.
    """
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        text = Path(path).read_text("utf-8")
        _check_size(path, yaml.parse(text, loader))
        _check_keys(path, yaml.compose(text, loader))
        content = yaml.load(text, loader)
    except FileNotFoundError:
        raise StudyError(f"{path}: no such file: run this in the project's folder, or check the name") from None
    except StudyError:
        raise
    except (yaml.YAMLError, ValueError) as error:  # a date without a day, say, is no YAMLError
        raise StudyError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(content, dict):
        raise StudyError(f"{path}: found {content!r}, expected keys and values")
    return content


def _check_size(path: str | Path, events: Iterable[Any]) -> None:
    """Refuse YAML that is nested too deep, or that stands for too many values, before anything is made of it."""
    import yaml

    sizes: dict[str, int] = {}
    open_ones: list[tuple[str | None, int]] = [(None, 0)]
    for event in events:
        if isinstance(event, yaml.CollectionStartEvent):
            open_ones.append((event.anchor, 1))
            if len(open_ones) > DEEPEST + 1:
                raise StudyError(f"{path}: nested more than {DEEPEST} deep: write it flat")
            continue
        if isinstance(event, yaml.AliasEvent):
            anchor, size = None, sizes.get(event.anchor, MOST_VALUES + 1)  # one that is not complete holds itself
        elif isinstance(event, yaml.ScalarEvent):
            anchor, size = event.anchor, 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, size = open_ones.pop()
        else:
            continue
        if anchor:
            sizes[anchor] = size
        around, before = open_ones[-1]
        open_ones[-1] = around, before + size
        if before + size > MOST_VALUES:
            raise StudyError(f"{path}: stands for more than {MOST_VALUES:,} values: write out what its aliases repeat")


def _check_keys(path: str | Path, node: Any) -> None:
    """Refuse YAML that gives a key twice, of which PyYAML would take the second one."""
    import yaml

    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise StudyError(f"{path}, line {key.start_mark.line + 1}: key {key.value!r} twice: take one away")
            seen.add(str(key.value))
            _check_keys(path, value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check_keys(path, item)
