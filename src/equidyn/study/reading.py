"""Reading a study as the workflow does, without the workflow.

Imports nothing heavy.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from equidyn.core.settings import StudyError
from equidyn.study.config import check_analyses, check_config, check_figures, read_runs, with_names
from equidyn.study.limits import check_limits


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
    config: dict[str, Any] = {}
    for path in paths:
        config = merge(config, _read_yaml(path))
    return checked(config, analyses, " + ".join(map(str, paths)))


def checked(
    config: Mapping[str, Any], analyses: Mapping[str, Any], source: str
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Check a configuration and the run table that it names.

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
    if not config.get("archive"):
        check_limits(config, runs, analyses, source)
    return config, runs


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Merge one configuration over another: mappings key by key, everything else by replacement."""
    merged = dict(below)
    for key, value in above.items():
        nested = isinstance(value, Mapping)
        known = merged.get(key)
        merged[key] = merge(known if isinstance(known, Mapping) else {}, value) if nested else value
    return merged


def _read_yaml(path: str | Path) -> dict[str, Any]:
    import yaml

    try:
        content = yaml.safe_load(Path(path).read_text("utf-8"))
    except FileNotFoundError:
        raise StudyError(f"{path}: no such file: run this in the project's folder, or check the name") from None
    except yaml.YAMLError as error:
        raise StudyError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(content, dict):
        raise StudyError(f"{path}: found {content!r}, expected keys and values")
    return content
