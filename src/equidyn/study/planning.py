"""What a study will cost, and what its jobs ask a cluster for, before anything runs.

Operations and memory of a network are closed formulas (`equidyn.models.costs`); how large examples are and how fast a
machine is are assumptions. All of these stand at the top of this file or in the configuration (`cluster`), and every
plan prints them.

Imports nothing heavy: the workflow asks for resources each time it is parsed.
"""

import math
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from equidyn.analysis import ANALYSES
from equidyn.data.card import Typical
from equidyn.models.costs import Work, work
from equidyn.models.registry import configuration
from equidyn.study.config import (
    StudyError,
    analysis_arguments,
    analysis_protocol,
    analysis_steps,
    check_analyses,
    check_config,
    check_figures,
    checkpoint_steps,
    parts,
    protocol,
    read_runs,
    recipe,
)
from equidyn.study.sources import source_of


@dataclass(frozen=True)
class Accelerator:
    """What networks run on.

    Attributes:
        name: Of the model.
        memory_gb: 10⁹ bytes; infinite where it is the host's.
        fp64: Peak in 10¹² operations per second in double precision, in which checkpoints are analysed.
        fp32: In single precision, in which they are evaluated.
        tf32: In single precision with products of TF32.
        bf16: Under autocast to bfloat16.
        utilisation: Share of the peak that is reached.
        launch: Seconds that a pass through a network takes at least, be it as small as it may.
        reserve_gb: What libraries take of the memory.
    """

    name: str
    memory_gb: float
    fp64: float
    fp32: float
    tf32: float
    bf16: float
    utilisation: float
    launch: float
    reserve_gb: float

    def hours(self, operations: float, precision: str = "fp32") -> float:
        """Time of one pass."""
        return max(self.launch, operations / (1e12 * getattr(self, precision) * self.utilisation)) / 3600


CORE = Accelerator("one CPU core", math.inf, 0.05, 0.1, 0.1, 0.1, 0.1, 0.005, 0.6)
"""Small networks reached 5 to 15 · 10⁹ operations per second on the core of an AMD EPYC."""

A100 = {
    "name": "A100-80GB",
    "memory_gb": 80,
    "tflops": {"fp64": 9.7, "fp32": 19.5, "tf32": 156, "bf16": 312},
    "utilisation": 0.3,
}
"""As `cluster.accelerator`, where a GPU is asked for and none described."""

LAUNCH = 0.03
"""Seconds that a GPU takes to be told the operations of a training step, two to four thousand of 10 µs each."""

RESERVE_GB = 1.5
"""Context, libraries and workspaces on a GPU."""

SLACK = 1.2
"""Activations' memory in terms of what is counted: temporary tensors, fragments."""

BF16_KEPT = 0.8
"""What is kept under autocast in terms of single precision; measured: 0.57 to 0.92, as norms stay in single."""

SELF_CONDITIONED = 0.5
"""Share of a flow-matching run's steps with one more forward pass."""

FLOOR_EXAMPLES = 32
"""Whose numeric floors every evaluation job measures."""

SAFETY = 2.0
"""Time to ask for in terms of the estimate."""


LEAST_ON_CPU = {"training": (2000, 120), "evaluation": (3000, 120), "analysis": (4000, 240)}
"""Megabytes and minutes that jobs without a GPU ask for at least."""

LEAST_ON_GPU = (6000, 30)
"""Megabytes of the host for each GPU, and minutes."""

CPUS_PER_GPU = 4

MAX_RUNTIME = 1440
"""Minutes at most, where `cluster.max_runtime` does not say."""

EIGENVALUES = 300
"""Products of a Hessian with a vector until its extreme eigenvalues are known."""


@dataclass(frozen=True)
class Plan:
    """What one run costs.

    Attributes:
        parameters: Of its network.
        checkpoints: Kept steps.
        devices: That share each step.
        portions: That a step's batch is cut into.
        portion: Examples in the largest.
        fitting: Examples of the largest portion that fits into memory; at most the batch.
        memory_gb: Peak on each device in training.
        evaluation_gb: Peak in evaluation.
        operations: Of training.
        hours: Of training.
        evaluation_operations: Of all checkpoints.
        evaluation_hours: Of all checkpoints, on one device.
        evaluation_job_hours: Of the longest evaluation job.
        analysis_hours: Of all analyses of the run, on one device.
    """

    parameters: int
    checkpoints: int
    devices: int
    portions: int
    portion: int
    fitting: int
    memory_gb: float
    evaluation_gb: float
    operations: float
    hours: float
    evaluation_operations: float
    evaluation_hours: float
    evaluation_job_hours: float
    analysis_hours: float

    @property
    def device_hours(self) -> float:
        """Of training, on all devices together."""
        return self.hours * self.devices

    @property
    def checkpoint_gb(self) -> float:
        """Space of all checkpoints: single-precision weights, and their averages."""
        return 2 * 4e-9 * self.parameters * self.checkpoints


def accelerator(config: Mapping[str, Any]) -> Accelerator:
    """What the study's networks run on: the cluster's accelerator, or a CPU core."""
    if not uses_gpu(config):
        return CORE
    said = config.get("cluster", {}).get("accelerator", A100)
    return Accelerator(
        said["name"],
        said["memory_gb"],
        **said["tflops"],
        utilisation=said["utilisation"],
        launch=LAUNCH,
        reserve_gb=RESERVE_GB,
    )


def uses_gpu(config: Mapping[str, Any]) -> bool:
    """Whether jobs ask for GPUs: where the configuration says so, or has a cluster and does not say otherwise."""
    device = config["training"]["device"]
    return device == "cuda" or (device == "auto" and "cluster" in config)


def devices(config: Mapping[str, Any], row: Mapping[str, Any]) -> int:
    """How many devices a run trains on."""
    number = config["training"].get("devices", 1)
    return number if isinstance(number, int) else number.get(row["model"], 1)


def plan(config: Mapping[str, Any], row: Mapping[str, Any]) -> Plan:
    """What a run costs.

    Args:
        config: The study's configuration, checked.
        row: The run.
    """
    batch, portions = row["batch_size"], _portions(config, row)
    portion = math.ceil(batch / portions)
    jobs = [_evaluation(config, row, len(steps)) for steps in _evaluation_parts(config, row)]
    return Plan(
        parameters=configuration(row["model"]).parameters,
        checkpoints=sum(map(len, _evaluation_parts(config, row))),
        devices=devices(config, row),
        portions=portions,
        portion=portion,
        fitting=_fitting(accelerator(config), batch, lambda size: training_gb(config, row, size)),
        memory_gb=training_gb(config, row, portion),
        evaluation_gb=evaluation_gb(config, row, protocol(config, row)["batch_size"]),
        operations=row["steps"] * step_operations(config, row),
        hours=_training_hours(config, row),
        evaluation_operations=sum(operations for operations, _ in jobs),
        evaluation_hours=sum(hours for _, hours in jobs),
        evaluation_job_hours=max(hours for _, hours in jobs),
        analysis_hours=sum(_analysis_hours(config, row, analysis) for analysis in _analyses(config, row)),
    )


def step_operations(config: Mapping[str, Any], row: Mapping[str, Any]) -> float:
    """Operations of a training step of a full batch of typical examples, there and back."""
    return row["batch_size"] * _step(config, row)


def prediction_operations(config: Mapping[str, Any], row: Mapping[str, Any]) -> float:
    """Operations of a forward pass for one typical example."""
    return _mean(config, row, 1).forward


def training_gb(config: Mapping[str, Any], row: Mapping[str, Any], portion: int) -> float:
    """Peak memory of each device in training with so many examples at once, 10⁹ bytes."""
    numbers = 3 if row["optimiser"] == "sgd" else 5  # weights, their average, gradient; two moments
    numbers += devices(config, row) > 1  # gradients under way
    share = BF16_KEPT if recipe(config, row)["precision"] == "bf16" else 1.0
    activations = SLACK * share * portion * _largest(config, row, portion).kept
    weights = numbers * configuration(row["model"]).parameters
    return accelerator(config).reserve_gb + 4e-9 * (weights + activations)


def evaluation_gb(config: Mapping[str, Any], row: Mapping[str, Any], batch_size: int) -> float:
    """Peak memory in evaluation, where all rotations of a batch go through the network at once, 10⁹ bytes."""
    activations = SLACK * batch_size * protocol(config, row)["rotations"] * _largest(config, row, batch_size).peak
    return accelerator(config).reserve_gb + 4e-9 * (configuration(row["model"]).parameters + activations)


def analysis_gb(config: Mapping[str, Any], row: Mapping[str, Any], analysis: str) -> float:
    """Peak memory of an analysis, in double precision, 10⁹ bytes."""
    how, told = analysis_protocol(config, analysis, row), analysis_arguments(config, analysis, row)
    example, copies = _largest(config, row, how["batch_size"]), _copies(how, row, analysis)
    parameters = configuration(row["model"]).parameters
    if analysis == "gradients":  # of both parts of the loss in each fold
        numbers = (2 * told["folds"] + 2) * parameters + SLACK * how["batch_size"] * copies * example.kept
    elif analysis in ("hessian", "landscape"):  # the graphs of all first derivatives, each of twice the forward pass's
        numbers = 2 * parameters + SLACK * how["examples"] * copies * 3 * example.kept
    else:
        numbers = 2 * parameters + SLACK * how["batch_size"] * copies * example.peak
    return accelerator(config).reserve_gb + 8e-9 * numbers


def resources(config: Mapping[str, Any], row: Mapping[str, Any], kind: str, attempt: int = 1) -> dict[str, int]:
    """What a job asks a cluster for.

    Args:
        config: The study's configuration, checked.
        row: The run.
        kind: "training", "evaluation" (of one portion of its checkpoints) or the name of an analysis.
        attempt: Which try this is, from 1: what failed gets more memory and time.

    Returns:
        ``gpu`` (number), ``cpus_per_task``, ``mem_mb`` (of the host) and ``runtime`` (minutes).
    """
    processes = devices(config, row) if kind == "training" else 1
    gpus = processes if uses_gpu(config) else 0
    if kind == "training":
        hours, memory = _training_hours(config, row), training_gb(config, row, _portion(config, row))
    elif kind == "evaluation":
        hours = _evaluation(config, row, len(_evaluation_parts(config, row)[0]))[1]
        memory = evaluation_gb(config, row, protocol(config, row)["batch_size"])
    else:
        hours, memory = _analysis_hours(config, row, kind), analysis_gb(config, row, kind)
    if gpus:
        megabytes, minutes = LEAST_ON_GPU
        # Weights and what belongs to them pass through the host on their way from and to disk.
        folds = analysis_arguments(config, kind, row)["folds"] if kind == "gradients" else 1
        state = 20 if kind == "training" else 8 * 2 * folds
        megabytes = math.ceil(megabytes * gpus + 1e-6 * state * configuration(row["model"]).parameters)
    else:
        megabytes, minutes = LEAST_ON_CPU.get(kind, LEAST_ON_CPU["analysis"])
        megabytes = max(megabytes, math.ceil(1e3 * processes * memory))
    return {
        "gpu": gpus,
        "cpus_per_task": CPUS_PER_GPU * gpus or processes,
        "mem_mb": attempt * megabytes,
        "runtime": min(_longest(config), max(minutes, math.ceil(SAFETY * attempt * 60 * hours))),
    }


def report(config: Mapping[str, Any], runs: Mapping[str, Mapping[str, Any]]) -> str:
    """The plan of a study as text: a table per task, totals, warnings, and what was assumed."""
    plans = {name: plan(config, row) for name, row in runs.items()}
    machine = accelerator(config)
    lines = [f"Study {config['study']} on {machine.name}; batch: portions x examples / devices", ""]
    for task in dict.fromkeys(row["task"] for row in runs.values()):
        lines += [task, *_table({name: plans[name] for name, row in runs.items() if row["task"] == task}, runs), ""]
    lines += [*_totals(plans.values()), ""]
    if warnings := [line for name, row in runs.items() for line in _warnings(config, row, plans[name])]:
        lines += [*(textwrap.fill(f"! {line}", _WIDTH, subsequent_indent="  ") for line in warnings), ""]
    return "\n".join([*lines, "Assumptions", *(f"  {line}" for line in _assumptions(config, runs))])


def read_study(paths: Iterable[str | Path], schemas: str | Path) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Read and check a study as the workflow does.

    Args:
        paths: Configuration files; later ones are merged over earlier ones, key by key, as Snakemake does.
        schemas: Folder of ``config.schema.yaml`` and ``runs.schema.yaml``.

    Returns:
        The configuration and the runs by name.

    Raises:
        StudyError: A file is missing or no YAML, or the study cannot be used.
    """
    config: dict[str, Any] = {}
    for path in paths:
        config = merge(config, _read_yaml(path))
    config_schema, runs_schema = (_read_yaml(Path(schemas) / f"{name}.schema.yaml") for name in ("config", "runs"))
    check_config(config, config_schema, " + ".join(map(str, paths)))
    runs = read_runs(config["run_table"], runs_schema, config)
    check_figures(config, runs)
    check_analyses(config, runs)
    return config, runs


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """One configuration over another: mappings key by key, everything else in place of what was there."""
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


# --- examples -------------------------------------------------------------------------------------------------------


def _source(config: Mapping[str, Any], task: str) -> Typical:
    return source_of(config, task).typical


def _held_out(config: Mapping[str, Any], task: str) -> int:
    """How many examples there are for validation, about."""
    data, source = config["data"][task], _source(config, task)
    made = isinstance(data.get("molecules"), int)
    examples = data["molecules"] * data["conformers"] if made else source.examples
    return round(examples * data["validation_fraction"]) if "validation_fraction" in data else source.held_out


def _used(config: Mapping[str, Any], task: str, examples: int | str) -> int:
    """How many held-out examples are used of those there are."""
    available = _held_out(config, task)
    return available if examples == "all" else min(examples, available)


def _mean(config: Mapping[str, Any], row: Mapping[str, Any], count: int) -> Work:
    """What an average example costs when so many go through a network at once; chains are padded to the longest."""
    if row["task"] == "flow_matching":
        data = config["data"]["flow_matching"]
        return _padded(row["model"], data["min_length"], data["max_length"], count)
    if row["task"] == "voxel_denoising":
        return _work(row["model"], _side(config))
    return _work(row["model"], _source(config, row["task"]).mean)


def _largest(config: Mapping[str, Any], row: Mapping[str, Any], count: int) -> Work:
    """What an example costs at most, on average over so many that go through a network at once."""
    if row["task"] == "flow_matching":
        return _work(row["model"], config["data"]["flow_matching"]["max_length"])
    if row["task"] == "voxel_denoising":
        return _work(row["model"], _side(config))
    # The mean of n sizes strays from that of all as one over the root of n.
    source = _source(config, row["task"])
    return _work(row["model"], source.mean + (source.largest - source.mean) / math.sqrt(count))


def _side(config: Mapping[str, Any]) -> int:
    return config["training"]["voxel_denoising"]["task"]["side"]


_work = cache(work)


@cache
def _padded(model: str, shortest: int, longest: int, count: int) -> Work:
    """Mean over the length of the longest of so many chains, lengths spread evenly."""
    quantiles = [(place + 0.5) / 16 for place in range(16)]
    lengths = [shortest + (longest - shortest) * quantile ** (1 / count) for quantile in quantiles]
    return 1 / len(lengths) * sum((work(model, length) for length in lengths), Work())


# --- operations and time --------------------------------------------------------------------------------------------


def _portions(config: Mapping[str, Any], row: Mapping[str, Any]) -> int:
    """How many a step's batch is cut into, as `equidyn.run.training.portions` does."""
    microbatch = config["training"][row["task"]].get("microbatch")
    return math.ceil(row["batch_size"] / microbatch) if microbatch else min(row["batch_size"], devices(config, row))


def _portion(config: Mapping[str, Any], row: Mapping[str, Any]) -> int:
    """Examples of the largest of them."""
    return math.ceil(row["batch_size"] / _portions(config, row))


def _step(config: Mapping[str, Any], row: Mapping[str, Any]) -> float:
    """Operations of an example in a training step."""
    example = _mean(config, row, _portion(config, row))
    again = SELF_CONDITIONED * example.forward if row["task"] == "flow_matching" else 0.0
    return example.forward + example.backward + again


def _training_hours(config: Mapping[str, Any], row: Mapping[str, Any]) -> float:
    portion, precision = _portion(config, row), recipe(config, row)["precision"]
    rounds = math.ceil(_portions(config, row) / devices(config, row))
    return row["steps"] * rounds * accelerator(config).hours(portion * _step(config, row), precision)


def _evaluation_parts(config: Mapping[str, Any], row: Mapping[str, Any]) -> list[list[int]]:
    kept = checkpoint_steps(config["training"]["checkpoint_steps"], row["steps"])
    return parts(kept, config["evaluation"]["checkpoints_per_job"])


def _evaluation(config: Mapping[str, Any], row: Mapping[str, Any], checkpoints: int) -> tuple[float, float]:
    """Operations and hours of a job that evaluates so many checkpoints."""
    how, machine = protocol(config, row), accelerator(config)
    batch_size, examples = how["batch_size"], _used(config, row["task"], how["examples"])
    example = _mean(config, row, batch_size).forward
    exact = _is_exact(row)
    estimators = [1] * exact + [how["rotations"]] * (how["sampled"] or not exact)
    operations, hours = 0.0, 0.0
    for condition in how["conditions"]:
        copies = [*estimators, *[1] * len(estimators) * bool(condition.get("self_conditioning"))]
        passes = [(checkpoints * len(how["weights"]) * examples, number) for number in copies]
        passes.append((min(FLOOR_EXAMPLES, examples), how["rotations"]))
        for times, number in passes:
            operations += times * number * example
            hours += times / batch_size * machine.hours(batch_size * number * example)
    return operations, hours


def _analyses(config: Mapping[str, Any], row: Mapping[str, Any]) -> list[str]:
    """What is analysed of a run."""
    settings = {analysis: config["analysis"].get(analysis, {}).get(row["task"], {}) for analysis in ANALYSES}
    return [analysis for analysis, own in settings.items() if row["name"] in own.get("runs", [])]


def _analysis_hours(config: Mapping[str, Any], row: Mapping[str, Any], analysis: str) -> float:
    """Of all the checkpoints that an analysis asks for, in double precision."""
    how, told = analysis_protocol(config, analysis, row), analysis_arguments(config, analysis, row)
    example, copies = _mean(config, row, how["batch_size"]), _copies(how, row, analysis)
    # A Hessian times a vector is a way back through a way back.
    product = 2 * example.backward * copies
    if analysis == "gradients":
        operations = copies * (example.forward + 2 * example.backward)
    elif analysis == "hessian":
        operations = 2 * len(told["blocks"]) * (told["probes"] * told["lanczos_steps"] + EIGENVALUES) * product
    elif analysis == "landscape":
        surfaces = 2 * told["points"] ** 2 * how["rotations"] * example.forward
        operations = len(told["directions"]) * (surfaces + EIGENVALUES * product)
    else:  # one pass for each angle, and the local error is about two
        passes = len(told.get("angles", [None])) + 2 * told.get("local", 0)
        operations = passes * how["rotations"] * example.forward
    examples = _used(config, row["task"], how["examples"])
    times = len(analysis_steps(config, analysis, row)) * len(how["conditions"]) * examples / how["batch_size"]
    return times * accelerator(config).hours(how["batch_size"] * operations, "fp64")


def _copies(how: Mapping[str, Any], row: Mapping[str, Any], analysis: str) -> int:
    """How often an example goes through the network at once: once where a gradient has a closed form."""
    return 1 if _is_exact(row) and analysis in ("gradients", "hessian", "landscape") else how["rotations"]


def _is_exact(row: Mapping[str, Any]) -> bool:
    """Whether the run's network has a head tensor, from which averages over rotations follow in closed form."""
    return configuration(row["model"]).is_exact


def _longest(config: Mapping[str, Any]) -> int:
    return config.get("cluster", {}).get("max_runtime", MAX_RUNTIME)


def _fitting(machine: Accelerator, most: int, gigabytes: Callable[[int], float]) -> int:
    """The largest number of examples, up to `most`, whose memory fits; 0 if not even one does."""
    return next((size for size in range(most, 0, -1) if gigabytes(size) <= machine.memory_gb), 0)


# --- text -----------------------------------------------------------------------------------------------------------

_HEADER = ("run", "model", "subset", "batch", "parameters", "steps", "kept", "GB", "wall h", "device h", "eval h")
_TEXTS = 4  # columns that are flush left
_WIDTH = 120


def _table(plans: Mapping[str, Plan], runs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    rows = [_HEADER, *(_cells(runs[name], one) for name, one in plans.items()), _sums(plans.values())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    widths[0] = min(widths[0], _WIDTH - 2 * len(widths) - sum(widths[1:]))
    return [_aligned([_shortened(row[0], widths[0]), *row[1:]], widths) for row in rows]


def _cells(row: Mapping[str, Any], plan: Plan) -> Sequence[str]:
    cut = f"{plan.portions} x {plan.portion} / {plan.devices}"
    fits = " " if plan.portion <= plan.fitting else "!"
    numbers = f"{plan.parameters:,}", f"{row['steps']:,}", f"{plan.checkpoints:,}", f"{plan.memory_gb:.1f}{fits}"
    hours = map(_hours, (plan.hours, plan.device_hours, plan.evaluation_hours))
    return row["name"], row["model"], row["train_subset"], cut, *numbers, *hours


def _sums(plans: Iterable[Plan]) -> Sequence[str]:
    plans = list(plans)
    kept = f"{sum(plan.checkpoints for plan in plans):,}"
    hours = (_hours(sum(getattr(plan, name) for plan in plans)) for name in ("device_hours", "evaluation_hours"))
    return "in all", *[""] * 5, kept, "", "", *hours


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    places = enumerate(zip(cells, widths, strict=True))
    texts = (cell.ljust(width) if place < _TEXTS else cell.rjust(width) for place, (cell, width) in places)
    return ("  " + "  ".join(texts)).rstrip()


def _shortened(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _hours(hours: float) -> str:
    return f"{hours:,.1f}" if hours >= 1 else f"{hours:.3f}"


def _totals(plans: Iterable[Plan]) -> list[str]:
    plans = list(plans)

    def total(name: str) -> float:
        return sum(getattr(plan, name) for plan in plans)

    return [
        f"{len(plans)} runs, {total('checkpoints'):,} checkpoints of {total('checkpoint_gb'):,.0f} GB in all; hours on "
        "all devices together",
        f"  training    {_hours(total('device_hours')):>10}   {total('operations'):.2e} operations",
        f"  evaluation  {_hours(total('evaluation_hours')):>10}   {total('evaluation_operations'):.2e} operations",
        f"  analyses    {_hours(total('analysis_hours')):>10}",
    ]


def _warnings(config: Mapping[str, Any], row: Mapping[str, Any], plan: Plan) -> Iterator[str]:
    """What will fail."""
    machine, limit, task = accelerator(config), _longest(config) / 60, row["task"]
    if plan.portion > plan.fitting:
        yield (
            f"{row['name']}: training with {plan.portion} at once needs {plan.memory_gb:.0f} of {machine.memory_gb:g} "
            f"GB; {plan.fitting} would fit: lower training.{task}.microbatch"
        )
    if plan.evaluation_gb > machine.memory_gb:
        batch_size = protocol(config, row)["batch_size"]
        fitting = _fitting(machine, batch_size, lambda size: evaluation_gb(config, row, size))
        yield (
            f"{row['name']}: evaluation with {batch_size} at once needs {plan.evaluation_gb:.0f} of "
            f"{machine.memory_gb:g} GB; {fitting} would fit: lower evaluation.{task}.batch_size"
        )
    if uses_gpu(config) and SAFETY * plan.evaluation_job_hours > limit:
        long = _too_long(plan.evaluation_job_hours, limit)
        yield f"{row['name']}: an evaluation job {long}: lower evaluation.checkpoints_per_job"
    for analysis in _analyses(config, row):
        needed, hours = analysis_gb(config, row, analysis), _analysis_hours(config, row, analysis)
        where = f"analysis.{analysis}.{task}"
        if needed > machine.memory_gb:
            yield f"{row['name']}: {where} needs {needed:.0f} of {machine.memory_gb:g} GB: use fewer examples at once"
        if uses_gpu(config) and SAFETY * hours > limit:
            yield f"{row['name']}: {where} {_too_long(hours, limit)}: use fewer steps or examples"


def _too_long(hours: float, limit: float) -> str:
    return f"is to take {_hours(hours)} h, {SAFETY:g} x which is beyond the cluster's limit of {limit:g}"


def _assumptions(config: Mapping[str, Any], runs: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    machine = accelerator(config)
    memory = f"{machine.memory_gb:g} GB" if math.isfinite(machine.memory_gb) else "memory of the host"
    peaks = ", ".join(f"{name} {getattr(machine, name):g}" for name in ("fp64", "fp32", "tf32", "bf16"))
    yield f"{machine.name}: {memory}; peaks of {peaks} · 10¹² operations/s, {machine.utilisation:.0%} reached;"
    yield f"  {1e3 * machine.launch:g} ms at least for each pass; exchange between devices is not counted"
    yield "memory: weights, gradients, averages and moments; activations kept for the way back,"
    yield f"  x {SLACK:g} for temporary ones, x {BF16_KEPT:g} under autocast; {machine.reserve_gb:g} GB for libraries"
    yield f"jobs: time asked for is {SAFETY:g} x the estimate and at most {_longest(config):,} minutes"
    for task in dict.fromkeys(row["task"] for row in runs.values()):
        data, held_out = config["data"][task], _held_out(config, task)
        source = _source(config, task)
        sizes = {
            "force_field": f"{source.mean:g} atoms on average, {source.largest} at most",
            "flow_matching": f"{data.get('min_length')} to {data.get('max_length')} residues, all lengths alike",
            "voxel_denoising": "every grid alike",
        }[task]
        yield f"{task}, source {data['source']}: {sizes}; about {held_out:,} examples held out"
