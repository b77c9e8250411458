"""The manifest that is published with a study's tables: how they were made, on which machine, and in what time."""

import os
import platform
from collections.abc import Mapping
from importlib import metadata
from math import isnan
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from equidyn import __version__
from equidyn.study.provenance import PACKAGE

_EXTRAS = ("", "workflow", "data", "measure", "train")  # their packages decide results, those of other extras do not


def manifest(
    config: Mapping[str, Any],
    runs: Mapping[str, Mapping[str, Any]],
    measured: Mapping[str, Mapping[str, Any]],
    evaluated: Mapping[str, float | None],
    stores: Mapping[str, Mapping[str, Any]],
    code: Mapping[str, Any],
) -> dict[str, Any]:
    """The origin of a study's numbers, as JSON-able values.

    It holds no date, host name or path: the same study on the same machine has the same manifest.

    Args:
        config: The study's configuration, checked.
        runs: Rows of the run table by name.
        measured: By run name, the measurements of its training (`equidyn.study.costs.MEASURED`); seconds are NaN of a
            run that came from elsewhere without them.
        evaluated: By run name, seconds that its evaluation took, or None.
        stores: By task, the manifest of its store.
        code: Digests of the code of stages (`equidyn.study.provenance.code_digest`), kept as they are.

    Returns:
        ``study``; ``version`` of this package; ``code``; ``seeds`` of data, runs and evaluation; ``data``, how many
        examples each task has, what was left out by which limits, and what is conspicuous; ``machine``, the one
        that calls this (on a cluster, networks were trained on the ``device`` of each run); ``python`` and
        ``packages``, versions; ``runs``, each with the wall time of training and evaluation and what it trained with;
        ``seconds``, sums over runs, of a stage of which all are known.

    Raises:
        ValueError: A run was not measured or evaluated.
    """
    for what, known in (("training", measured), ("evaluation", evaluated)):
        if missing := [run for run in runs if run not in known]:
            raise ValueError(f"no time of the {what} of run(s) {', '.join(missing)}: finish the study first")
    times = {
        run: {
            "training_seconds": _known(measured[run]["seconds"]),
            "evaluation_seconds": evaluated[run],
            **{name: measured[run][name] for name in ("device", "devices", "threads", "torch")},
        }
        for run in runs
    }
    sums = {stage: [run[f"{stage}_seconds"] for run in times.values()] for stage in ("training", "evaluation")}
    return {
        "study": config["study"],
        "version": __version__,
        "code": dict(code),
        "seeds": {
            "data": {task: data["seed"] for task, data in config["data"].items()},
            "runs": {run: row["seed"] for run, row in runs.items()},
            "evaluation": config["evaluation"]["seed"],
        },
        "data": {task: _data(store) for task, store in stores.items()},
        "machine": _machine(),
        "python": platform.python_version(),
        "packages": _packages(),
        "runs": times,
        "seconds": {stage: sum(seconds) for stage, seconds in sums.items() if None not in seconds},
    }


def _known(seconds: float | None) -> float | None:
    return None if seconds is None or isnan(seconds) else seconds


def _data(store: Mapping[str, Any]) -> dict[str, Any]:
    """Counts, maxima and warnings of a store."""
    made = store["provenance"]
    by_file = {} if "rejects" in made else {name: file.get("rejects") for name, file in made.get("files", {}).items()}
    numbers = {name: value for name, value in made.get("statistics", {}).items() if isinstance(value, int | float)}
    return {
        "examples": store["examples"],
        "left_out": made.get("rejects", by_file),
        **{name: made[name] for name in ("limits", "warnings") if name in made},
        **numbers,
    }


def _machine() -> dict[str, Any]:
    return {
        "cpu": _cpu(),
        "cpus": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
    }


def _cpu() -> str:
    """Model of the CPU, which Python itself does not report on Linux."""
    listed = Path("/proc/cpuinfo")
    lines = listed.read_text("utf-8").splitlines() if listed.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(models), platform.processor() or platform.machine())


def _packages() -> dict[str, str]:
    """Installed versions of the packages that the project requires, by name."""
    needed = [
        requirement.name
        for requirement in map(Requirement, metadata.requires(PACKAGE) or [])
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in _EXTRAS)
    ]
    installed = {}
    for name in sorted({*needed} - {PACKAGE}):  # extras are made of others
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return installed
