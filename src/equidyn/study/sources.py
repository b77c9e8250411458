"""What a study's data are made from: the sources that it chooses, and the files of the registry that these need.

Imports nothing heavy: the workflow calls it each time it is parsed.
"""

from collections.abc import Mapping
from typing import Any

from equidyn.data import SOURCES
from equidyn.data.registry import PublishedFile, files_of

PUBLISHED = "published"
"""Stands for a task where files hold the authors' own results."""


def wanted_datasets(config: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Data sets of the registry that a study needs: by task and `PUBLISHED`, where it asks for it, and its name."""
    wanted = {}
    for task, data in config["data"].items():
        if dataset := SOURCES[task][data["source"]].dataset:
            wanted[task] = (f"data.{task}.source {data['source']!r}", dataset)
    if dataset := config.get("figures", {}).get("published"):
        wanted[PUBLISHED] = (f"figures.published {dataset!r}", dataset)
    return wanted


def wanted_files(config: Mapping[str, Any]) -> dict[str, list[PublishedFile]]:
    """What the sources of a study are made from, and the authors' results that it is compared with.

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
