"""The origin of a study's data: the sources that it chooses, their recipes, and the files that they need.

Imports nothing heavy: the workflow calls it each time it is parsed.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from equidyn.core.settings import Settings
from equidyn.data.card import SourceCard
from equidyn.data.download_registry import PublishedFile, files_of
from equidyn.data.registry import source_card

PUBLISHED = "published"
"""Stands for a task where files hold the authors' own results."""


def source_of(config: Mapping[str, Any], task: str) -> SourceCard:
    """The card of the source of a task's examples.

    Raises:
        StudyError: The task has no such source.
    """
    return source_card(task, config["data"][task]["source"])


def store_recipe(config: Mapping[str, Any], task: str) -> dict[str, Any]:
    """The settings that decide the content of a task's store, besides files: the source's recipe, with all defaults."""
    return _part(config, task, source_of(config, task).recipe)


def selection_settings(config: Mapping[str, Any], task: str) -> dict[str, Any]:
    """The settings that decide which entries are selected; empty for a source that selects none."""
    selection = source_of(config, task).selection
    return _part(config, task, selection.settings) if selection else {}


def _part(config: Mapping[str, Any], task: str, settings: type[Settings]) -> dict[str, Any]:
    """Return the part of the section ``data.<task>`` that a class of settings describes."""
    data = config["data"][task]
    return settings(**{name: data[name] for name in settings.model_fields if name in data}).model_dump(mode="json")


def wanted_datasets(config: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Data sets of the registry that a study needs: by task and `PUBLISHED`, where it asks for it, and its name."""
    wanted = {}
    for task, data in config["data"].items():
        if dataset := source_of(config, task).dataset:
            wanted[task] = (f"data.{task}.source {data['source']!r}", dataset)
    if dataset := config.get("figures", {}).get("published"):
        wanted[PUBLISHED] = (f"figures.published {dataset!r}", dataset)
    return wanted


def wanted_files(config: Mapping[str, Any]) -> dict[str, list[PublishedFile]]:
    """The files that a study's sources are made from, and the authors' results that it is compared with.

    Args:
        config: The study's configuration; its registry is read if anything is downloaded.

    Returns:
        Rows of the registry by task and for `PUBLISHED`, none for a task of which nothing is downloaded.

    Raises:
        StudyError: Something is wrong in the registry, or it lacks a data set or its release.
    """
    wanted: dict[str, list[PublishedFile]] = {user: [] for user in (*config["data"], PUBLISHED)}
    for user, (where, dataset) in wanted_datasets(config).items():
        release = config["data"].get(user, {}).get("release")
        wanted[user] = files_of(config["downloads"]["registry"], dataset, release=release, user=where)
    return wanted


def entries_folder(downloads: str | Path, template: PublishedFile) -> str:
    """The folder of the files that a template of the registry stands for."""
    return str(Path(downloads, template.path.parent, "entries"))
