"""Plans: what a study will cost, and the resources that its jobs request, before anything runs.

Operations and memory of a network are closed formulas (`equidyn.models.costs`); how large examples are and how fast a
machine is are assumptions. All of these stand at the top of this file or in the configuration (`cluster`), and every
plan prints them.

The constants of GPUs fit what training took on one NVIDIA H200 (peaks of 67, 494 and 989 · 10¹² operations/s in fp32,
tf32 and bf16, of which 15 % are reached; 4.8 · 10¹² bytes/s) in November 2026, at commit 5a10f86 with PyTorch 2.11 and
CUDA 13: the networks of the paper wait for the host to launch kernels, or else for memory. The measurements are in
`tests/study/test_planning.py`; plans meet them within a factor of 1.5.

Imports nothing heavy: the workflow asks for resources each time it is parsed.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache, partial
from importlib.metadata import version
from typing import Any

from equidyn.data.card import Typical
from equidyn.data.registry import source_card
from equidyn.data.typical import TypicalBySettings
from equidyn.models.costs import work
from equidyn.models.registry import configuration
from equidyn.models.work import Work
from equidyn.run.protocol import FLOOR_EXAMPLES, KEPT_GB
from equidyn.run.recipe import Run, compiles, portion_count
from equidyn.study.config import (
    analysis_arguments,
    analysis_protocol,
    analysis_steps,
    kept_steps,
    model_of,
    protocol,
    recipe,
)
from equidyn.study.provenance import code_digest, digest, kept
from equidyn.tasks.card import Sizes
from equidyn.tasks.registry import task_card


@dataclass(frozen=True)
class Accelerator:
    """A device that networks run on.

    Attributes:
        name: Name of the device model.
        memory_gb: Memory in 10⁹ bytes; infinite where it is the host's.
        bandwidth: Bandwidth of the memory, 10¹² bytes per second; infinite where it does not limit.
        fp64: Peak in 10¹² operations per second in double precision, in which checkpoints are analysed.
        fp32: The same in single precision, in which checkpoints are evaluated.
        tf32: The same in single precision with products of TF32.
        bf16: The same under autocast to bfloat16.
        utilisation: Share of the peak that is reached.
        launch: Time to launch a piece of a network (`equidyn.models.work.Work.pieces`) in a training step, in seconds.
        reserve_gb: Memory that libraries take, in 10⁹ bytes.
    """

    name: str
    memory_gb: float
    bandwidth: float
    fp64: float
    fp32: float
    tf32: float
    bf16: float
    utilisation: float
    launch: float
    reserve_gb: float

    def busy_hours(self, operations: float, numbers: float, precision: str = "fp32") -> float:
        """Time of so many operations, and of a training step's traffic for so many numbers that are kept."""
        arithmetic = operations / (1e12 * getattr(self, precision) * self.utilisation)
        width = 8 if precision == "fp64" else 4
        return (arithmetic + width * TRAFFIC * numbers / (1e12 * self.bandwidth)) / 3600

    def hours(self, operations: float, numbers: float, pieces: float, precision: str = "fp32") -> float:
        """Time of the same where it also takes the launches of so many pieces, of which the longer one counts."""
        autocast = AUTOCAST if precision == "bf16" else 1.0
        return max(self.launch * autocast * pieces / 3600, self.busy_hours(operations, numbers, precision))


CORE = Accelerator("one CPU core", math.inf, math.inf, 0.05, 0.1, 0.1, 0.1, 0.1, 1.5e-4, 0.6)
"""Small networks reached 5 to 15 · 10⁹ operations per second on the core of an AMD EPYC."""

A100 = {
    "name": "A100-80GB",
    "memory_gb": 80,
    "bandwidth": 2.0,
    "tflops": {"fp64": 9.7, "fp32": 19.5, "tf32": 156, "bf16": 312},
    "utilisation": 0.3,
}
"""The accelerator where a GPU is asked for and `cluster.accelerator` describes none."""

LAUNCH = 3e-4
"""Seconds to launch a piece of a network in a training step on a GPU: about twelve kernels of 25 µs each."""

AUTOCAST = 1.6
"""Launches under autocast relative to single precision, as it casts weights and activations."""

COMPILED = 0.25
"""Launches of compiled networks relative to others."""

COMPILING = 0.35
"""Seconds that each piece takes to compile: 100 s for EScAIP-6M."""

FORWARD = 1 / 6
"""Launches of a forward pass without gradient relative to a training step: 87,000 molecules were evaluated in 15 s."""

TRAFFIC = 16
"""Times that a number that is kept for the backward pass goes to memory or comes from there in a training step; a third
of them in a forward pass."""

RESERVE_GB = 1.5
"""Memory of context, libraries and workspaces on a GPU, in 10⁹ bytes."""

SLACK = 1.1
"""Memory of activations relative to the counted one, as temporary tensors add to it; measured: 1.02 to 1.09."""

FILLED = 0.5
"""Share of a GPU's memory that batches of evaluations and analyses fill by plan, where their size is not configured:
larger ones are hardly faster, and two jobs can share a GPU."""

ON_CPU = 16
"""Examples of these batches on a CPU, where their size is not configured."""

BF16_KEPT = 0.8
"""Memory kept under autocast relative to single precision; measured: 0.57 to 0.92, as norms stay in single."""

SAFETY = 2.0
"""Requested time relative to the estimate."""


LEAST_ON_CPU = {"training": (2000, 120), "evaluation": (3000, 120), "analysis": (4000, 240)}
"""Least megabytes and minutes that jobs without a GPU request."""

LEAST_ON_GPU = (6000, 30)
"""Least megabytes of the host for each GPU, and least minutes, that jobs with GPUs request."""

CPUS_PER_GPU = 4

DATA_JOBS = {
    "store": {"cpus_per_task": (8, 8), "mem_mb": (2000, 16_000), "runtime": (60, 1440)},
    "description": {"mem_mb": (2000, 16_000), "runtime": (30, 240)},
}
"""What jobs that make or describe a task's data need: made here, and downloaded."""

MAX_RUNTIME = 1440
"""Longest job in minutes, where `cluster.max_runtime` is not set."""

LIMITS = {"gpu": "max_gpus", "cpus_per_task": "max_cpus", "mem_mb": "max_memory_mb", "runtime": "max_runtime"}
"""Keys of `cluster` that limit what a job asks for."""

JOB_HOURS = 1.0
"""Hours that an evaluation job takes by plan, where `evaluation.checkpoints_per_job` is ``auto``."""


@dataclass(frozen=True)
class Plan:
    """The costs of one run.

    Attributes:
        parameters: Number of parameters of its network.
        averages: Number of averages of its weights that are kept.
        checkpoints: Number of kept steps.
        devices: Number of devices that share each step.
        portions: Number of portions that a step's batch is cut into.
        portion: Number of examples in the largest portion.
        fitting: Number of examples of the largest portion that fits into memory; at most the batch.
        memory_gb: Peak memory of each device in training, in 10⁹ bytes.
        evaluation_gb: Peak memory in evaluation, in 10⁹ bytes.
        operations: Operations of training.
        hours: Wall time of training in hours.
        evaluation_operations: Operations of the evaluation of all checkpoints.
        evaluation_hours: Hours of the evaluation of all checkpoints, on one device.
        analysis_hours: Hours of all analyses of the run, on one device.
    """

    parameters: int
    averages: int
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
    analysis_hours: float

    @property
    def device_hours(self) -> float:
        """Hours of training, summed over all devices."""
        return self.hours * self.devices

    @property
    def checkpoint_gb(self) -> float:
        """Disk space of all checkpoints in 10⁹ bytes: single-precision weights, and their averages."""
        return (1 + self.averages) * 4e-9 * self.parameters * self.checkpoints


def accelerator(config: Mapping[str, Any]) -> Accelerator:
    """The device that the study's networks run on: the cluster's accelerator, or a CPU core."""
    if not uses_gpu(config):
        return CORE
    said = config.get("cluster", {}).get("accelerator", A100)
    return Accelerator(
        said["name"],
        said["memory_gb"],
        said["bandwidth"],
        **said["tflops"],
        utilisation=said["utilisation"],
        launch=LAUNCH,
        reserve_gb=RESERVE_GB,
    )


def uses_gpu(config: Mapping[str, Any]) -> bool:
    """Whether jobs request GPUs: if the configuration says so, or has a cluster and does not say otherwise."""
    device = config["training"]["device"]
    return device == "cuda" or (device == "auto" and "cluster" in config)


def devices(config: Mapping[str, Any], row: Mapping[str, Any]) -> int:
    """Number of devices that a run trains on."""
    number = config["training"].get("devices", 1)
    return number if isinstance(number, int) else number.get(row["model"], 1)


def plan(config: Mapping[str, Any], row: Mapping[str, Any], analyses: Mapping[str, Any]) -> Plan:
    """The costs of a run.

    Args:
        config: The study's configuration, checked.
        row: The run.
        analyses: Cards of all analyses of checkpoints by name.
    """
    batch, portions = row["batch_size"], _portions(config, row)
    portion = math.ceil(batch / portions)
    jobs = [_evaluation(config, row, len(steps)) for steps in evaluation_parts(config, row)]
    return Plan(
        parameters=model_of(config, row).parameters,
        averages=_averages(config, row),
        checkpoints=sum(map(len, evaluation_parts(config, row))),
        devices=devices(config, row),
        portions=portions,
        portion=portion,
        fitting=fitting(accelerator(config).memory_gb, batch, lambda size: training_gb(config, row, size)),
        memory_gb=training_gb(config, row, portion),
        evaluation_gb=evaluation_gb(config, row, batch_size(config, row)),
        operations=row["steps"] * step_operations(config, row),
        hours=training_hours(config, row),
        evaluation_operations=sum(operations for operations, _ in jobs),
        evaluation_hours=sum(hours for _, hours in jobs),
        analysis_hours=sum(analysis_hours(config, row, card) for card in analyses_of(config, row, analyses)),
    )


def step_operations(config: Mapping[str, Any], row: Mapping[str, Any]) -> float:
    """Operations of a training step of a full batch of typical examples: forward and backward passes."""
    return row["batch_size"] * _step(config, row)


def prediction_operations(config: Mapping[str, Any], row: Mapping[str, Any]) -> float:
    """Operations of a forward pass for one typical example."""
    return _mean_work(config, row, 1).forward


def _columns(row: Mapping[str, Any], variant: str) -> dict[str, Any]:
    """A row of the run table without the name, with the variant of the model added."""
    pairs = [(name, row[name]) for name in Run.model_fields if name != "name"]
    place = [name for name, _ in pairs].index("model") + 1
    return dict([*pairs[:place], ("variant", variant), *pairs[place:]])


def run_costs(config: Mapping[str, Any], runs: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The costs of each run of a study, known before it runs.

    Args:
        config: The study's configuration, checked.
        runs: Rows of the run table by name.

    Returns:
        One row per run: ``study``, ``run``, its settings, ``variant`` and ``parameters`` of its network, ``step_flops``
        (operations of one training step of a full batch, forward and backward passes, with half a forward pass for each
        example if it is shown its own first prediction half of the time) and ``prediction_flops`` (one forward pass for
        one example).
    """
    return [
        {
            "study": config["study"],
            "run": name,
            **_columns(row, model_of(config, row).variant),
            "parameters": model_of(config, row).parameters,
            "step_flops": step_operations(config, row),
            "prediction_flops": prediction_operations(config, row),
        }
        for name, row in runs.items()
    ]


def training_gb(config: Mapping[str, Any], row: Mapping[str, Any], portion: int) -> float:
    """Peak memory of each device in training, with the given number of examples at once, in 10⁹ bytes."""
    # Weights, their averages, gradient; two moments.
    numbers = 2 + _averages(config, row) + (0 if row["optimiser"] == "sgd" else 2)
    numbers += devices(config, row) > 1  # gradients under way
    share = BF16_KEPT if recipe(config, row)["precision"] == "bf16" else 1.0
    activations = SLACK * share * portion * _largest_work(config, row, portion).kept
    weights = numbers * model_of(config, row).parameters
    return accelerator(config).reserve_gb + 4e-9 * (weights + activations)


def evaluation_gb(config: Mapping[str, Any], row: Mapping[str, Any], count: int) -> float:
    """Peak memory in evaluation with the given number of examples at once, with all their rotations, 10⁹ bytes."""
    how, examples = protocol(config, row), _used(config, row["task"], protocol(config, row)["examples"])
    floors = min(FLOOR_EXAMPLES, count) * how["rotations"]
    copies = max(floors, count * max(_copies_of_estimators(config, row)))
    activations = SLACK * copies * _largest_work(config, row, _at_once(count, examples)).peak
    weights = model_of(config, row).parameters
    return accelerator(config).reserve_gb + KEPT_GB + 4e-9 * (weights + activations)


def analysis_gb(config: Mapping[str, Any], row: Mapping[str, Any], card: Any, count: int) -> float:
    """Peak memory of an analysis with the given number of examples at once, in double precision, 10⁹ bytes."""
    how = analysis_protocol(config, card.name, row) | {"batch_size": count}
    told = analysis_arguments(config, card.name, row)
    largest = _largest_work(config, row, _at_once(count, _used(config, row["task"], how["examples"])))
    activations = card.activations(largest, how, told, _copies(config, row, card))
    numbers = card.weights(told) * model_of(config, row).parameters + SLACK * activations
    return accelerator(config).reserve_gb + 8e-9 * numbers


def batch_size(config: Mapping[str, Any], row: Mapping[str, Any], card: Any = None) -> int:
    """Number of examples that an evaluation, or an analysis, has in memory at once: as configured, or what fits."""
    task, machine = row["task"], accelerator(config)
    section = config["analysis"][card.name][task] if card else config["evaluation"][task]
    if given := section.get("batch_size"):
        return int(given)
    most = _used(config, task, section["examples"])
    if not uses_gpu(config):
        return min(ON_CPU, most)
    needed = partial(analysis_gb, config, row, card) if card else partial(evaluation_gb, config, row)
    return max(1, fitting(FILLED * machine.memory_gb, most, needed))


def resources(
    config: Mapping[str, Any], row: Mapping[str, Any], kind: Any, timed_out: int = 0, out_of_memory: int = 0
) -> dict[str, int]:
    """The resources that a job requests of a cluster, none of them beyond the cluster's limits.

    Args:
        config: The study's configuration, checked.
        row: The run.
        kind: "training", "evaluation" (of one portion of its checkpoints) or the card of an analysis.
        timed_out: Number of earlier attempts that had too little time.
        out_of_memory: Number of earlier attempts that had too little memory.

    Returns:
        ``gpu`` (number), ``gpu_share`` (hundredths of GPUs that other jobs cannot have at the same time, as the job
        fills their memory or keeps them busy), ``cpus_per_task``, ``mem_mb`` (of the host), ``runtime`` (minutes) and,
        but for training, ``batch_size`` (examples at once).
    """
    return limited(config, needs(config, row, kind), timed_out, out_of_memory)


def limited(
    config: Mapping[str, Any], needed: Mapping[str, Any], timed_out: int = 0, out_of_memory: int = 0
) -> dict[str, Any]:
    """The resources that a job requests which needs so much: at most what the cluster gives it; see `resources`."""
    more = {"mem_mb": 1 + out_of_memory, "runtime": 1 + timed_out}
    amounts = {name: more.get(name, 1) * needed[name] for name in LIMITS if name in needed}
    return {**needed, **{name: math.ceil(min(limit(config, name), amount)) for name, amount in amounts.items()}}


def limit(config: Mapping[str, Any], resource: str) -> float:
    """Most of a resource that a job may request; infinite where nothing is said about it, but for time."""
    unsaid = MAX_RUNTIME if resource == "runtime" else math.inf
    return config.get("cluster", {}).get(LIMITS[resource], unsaid)


def data_needs(config: Mapping[str, Any], task: str, kind: str) -> dict[str, int]:
    """What a job that reads all data of a task needs, one of `DATA_JOBS`."""
    is_downloaded = bool(source_card(task, config["data"][task]["source"]).dataset)
    return {name: amounts[is_downloaded] for name, amounts in DATA_JOBS[kind].items()}


def needs(config: Mapping[str, Any], row: Mapping[str, Any], kind: Any) -> dict[str, Any]:
    """What a job needs by plan, whatever the cluster gives to a job; see `resources`."""
    processes = devices(config, row) if kind == "training" else 1
    gpus = processes if uses_gpu(config) else 0
    machine, busy, told = accelerator(config), 0.0, {}
    if kind == "training":
        hours, memory = training_hours(config, row), training_gb(config, row, _portion(config, row))
        busy_hours, all_hours = _portion_hours(config, row)
        busy = busy_hours / all_hours
    elif kind == "evaluation":
        told = {"batch_size": batch_size(config, row)}
        hours = evaluation_hours(config, row, len(evaluation_parts(config, row)[0]))
        memory = evaluation_gb(config, row, told["batch_size"])
    else:
        told = {"batch_size": batch_size(config, row, kind)}
        hours, memory = analysis_hours(config, row, kind), analysis_gb(config, row, kind, told["batch_size"])
    if gpus:
        megabytes, minutes = LEAST_ON_GPU
        # Weights and what belongs to them pass through the host on their way from and to disk.
        analysed = kind not in ("training", "evaluation")
        weights = kind.weights(analysis_arguments(config, kind.name, row)) if analysed else 2
        state = 4 * (4 + _averages(config, row)) if kind == "training" else 8 * weights
        megabytes = math.ceil(megabytes * gpus + 1e-6 * state * model_of(config, row).parameters)
    else:
        megabytes, minutes = LEAST_ON_CPU[kind if isinstance(kind, str) else "analysis"]
        megabytes = max(megabytes, math.ceil(1e3 * processes * memory))
    share = min(1.0, max(busy, memory / machine.memory_gb))
    return {
        "gpu": gpus,
        "gpu_share": 100 * gpus if gpus > 1 else math.ceil(100 * gpus * share),
        "cpus_per_task": CPUS_PER_GPU * gpus or processes,
        "mem_mb": megabytes,
        "runtime": max(minutes, SAFETY * 60 * hours),
        **told,
    }


# --- examples -------------------------------------------------------------------------------------------------------


def _source(config: Mapping[str, Any], task: str) -> Typical:
    data = config["data"][task]
    typical = source_card(task, data["source"]).typical
    return typical.asked(data) if isinstance(typical, TypicalBySettings) else typical


def held_out(config: Mapping[str, Any], task: str) -> int:
    """Approximate number of validation examples."""
    data = config["data"][task]
    card = source_card(task, data["source"])
    examples = (card.count(data) if card.count else None) or _source(config, task).examples
    return round(examples * data["validation_fraction"]) if "validation_fraction" in data else card.typical.held_out


def _used(config: Mapping[str, Any], task: str, examples: int | str) -> int:
    """Number of held-out examples that are used, of those that there are."""
    available = held_out(config, task)
    return available if isinstance(examples, str) else min(examples, available)


def _mean_work(config: Mapping[str, Any], row: Mapping[str, Any], count: int) -> Work:
    """Work for an average example when the given number goes through a network at once."""
    examples = sizes(config, row["task"], count).mean
    return 1 / len(examples) * sum((_work(config, row, size) for size in examples), Work())


def _largest_work(config: Mapping[str, Any], row: Mapping[str, Any], count: int) -> Work:
    """Largest work for an example, on average over the given number that goes through a network at once."""
    return _work(config, row, sizes(config, row["task"], count).largest)


def _at_once(count: int, examples: int) -> int:
    """Number of random examples that are as large, on average, as the largest `count` of so many."""
    return max(1, round(count**2 / max(examples, count)))


def _work(config: Mapping[str, Any], row: Mapping[str, Any], size: float) -> Work:
    return _kept_work(row["model"], size, config.get("models"), task_card(row["task"]).inputs)


@cache
def _kept_work(name: str, size: float, models: str | None, inputs: str) -> Work:
    """The same, by a formula, or as PyTorch counted once for a network and kept for the next time."""
    model, count = configuration(name, models), partial(work, name, size, models=models, inputs=inputs)
    if model.costs or not inputs:
        return count()
    # PyTorch takes seconds to import, and the workflow is parsed in each of its jobs.
    code = code_digest(model.module, inputs.partition(":")[0], "equidyn.models.counting")
    known = f"costs-{digest(model.built_from, inputs, size, code, version('torch'))}"
    return Work(**kept(known, lambda: asdict(count())))


def sizes(config: Mapping[str, Any], task: str, count: int) -> Sizes:
    """Sizes of a task's examples, of which the given number goes through a network at once."""
    settings = config["training"][task].get("task", {})
    return task_card(task).sizes(config["data"][task], settings, _source(config, task), count)


# --- operations and time --------------------------------------------------------------------------------------------


def _portions(config: Mapping[str, Any], row: Mapping[str, Any]) -> int:
    """Number of portions that a step's batch is cut into."""
    microbatch = config["training"][row["task"]].get("microbatch")
    return portion_count(row["batch_size"], microbatch, devices(config, row))


def _portion(config: Mapping[str, Any], row: Mapping[str, Any]) -> int:
    """Number of examples in the largest portion."""
    return math.ceil(row["batch_size"] / _portions(config, row))


def _step(config: Mapping[str, Any], row: Mapping[str, Any]) -> float:
    """Operations of an example in a training step."""
    example = _mean_work(config, row, _portion(config, row))
    return example.forward + example.backward + task_card(row["task"]).repeated * example.forward


def _compiles(config: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    """Whether the network of a run is compiled."""
    return compiles(recipe(config, row).get("compile", "auto"), row["steps"], on_gpu=uses_gpu(config))


def _portion_hours(config: Mapping[str, Any], row: Mapping[str, Any]) -> tuple[float, float]:
    """Time in which a portion of a training step keeps its device busy, and time that it takes, in hours."""
    portion, precision, machine = _portion(config, row), recipe(config, row)["precision"], accelerator(config)
    example, repeated = _mean_work(config, row, portion), task_card(row["task"]).repeated
    costs = portion * _step(config, row), portion * example.kept * (1 + repeated / 3)
    pieces = example.pieces * (1 + repeated * FORWARD) * (COMPILED if _compiles(config, row) else 1.0)
    return machine.busy_hours(*costs, precision), machine.hours(*costs, pieces, precision)


def _averages(config: Mapping[str, Any], row: Mapping[str, Any]) -> int:
    """Number of averages of a run's weights that are kept."""
    return 1 + len(config["training"][row["task"]].get("averages", ()))


def training_hours(config: Mapping[str, Any], row: Mapping[str, Any], steps: int | None = None) -> float:
    """Hours of a training in one job, or of so many of its steps."""
    rounds = math.ceil(_portions(config, row) / devices(config, row))
    steps = row["steps"] if steps is None else min(steps, row["steps"])
    return steps * rounds * _portion_hours(config, row)[1] + compiling_hours(config, row)


def compiling_hours(config: Mapping[str, Any], row: Mapping[str, Any]) -> float:
    """Hours until the network of a run is compiled, in each job that trains it."""
    return COMPILING * _mean_work(config, row, 1).pieces / 3600 if _compiles(config, row) else 0.0


def evaluation_parts(config: Mapping[str, Any], row: Mapping[str, Any]) -> list[list[int]]:
    """Kept steps of a run, in parts of one evaluation job each, for which the cluster's jobs have time by plan."""
    steps, asked = kept_steps(config, row), config["evaluation"]["checkpoints_per_job"]
    most = len(steps) if isinstance(asked, str) else asked
    hours = JOB_HOURS if asked == "auto" else math.inf
    if "cluster" in config:
        hours = min(hours, limit(config, "runtime") / 60 / SAFETY)
    if math.isfinite(hours):
        most = max(1, fitting(hours, most, partial(evaluation_hours, config, row)))
    return [steps[start : start + most] for start in range(0, len(steps), most)]


def evaluation_hours(config: Mapping[str, Any], row: Mapping[str, Any], checkpoints: int) -> float:
    """Hours of a job that evaluates the given number of checkpoints."""
    return _evaluation(config, row, checkpoints)[1]


def _evaluation(config: Mapping[str, Any], row: Mapping[str, Any], checkpoints: int) -> tuple[float, float]:
    """Operations and hours of a job that evaluates the given number of checkpoints."""
    how, machine, count = protocol(config, row), accelerator(config), batch_size(config, row)
    examples = _used(config, row["task"], how["examples"])
    example = _mean_work(config, row, 1)  # alike ones go through the network together
    estimators = _copies_of_estimators(config, row)
    operations, hours = 0.0, 0.0
    for condition in how["conditions"]:
        copies = [*estimators, *[1] * len(estimators) * bool(condition.get("self_conditioning"))]
        passes = [(checkpoints * len(how["weights"]) * examples, number) for number in copies]
        passes.append((min(FLOOR_EXAMPLES, examples), how["rotations"]))
        for times, number in passes:
            operations += times * number * example.forward
            hours += times / count * _forward_hours(machine, example, count * number)
    return operations, hours


def _copies_of_estimators(config: Mapping[str, Any], row: Mapping[str, Any]) -> list[int]:
    """Number of copies of an example that each estimator of an evaluation sends through the network."""
    how, exact = protocol(config, row), model_of(config, row).is_exact
    return [1] * exact + [how["rotations"]] * (how["sampled"] or not exact)


def _forward_hours(machine: Accelerator, example: Work, copies: float, precision: str = "fp32") -> float:
    """Time of a forward pass without gradient for so many copies of an example."""
    return machine.hours(copies * example.forward, copies * example.kept / 3, FORWARD * example.pieces, precision)


def analyses_of(config: Mapping[str, Any], row: Mapping[str, Any], analyses: Mapping[str, Any]) -> list[Any]:
    """Cards of the analyses of a run."""
    settings = {name: config["analysis"].get(name, {}).get(row["task"], {}) for name in analyses}
    return [analyses[name] for name, own in settings.items() if row["name"] in own.get("runs", [])]


def analysis_hours(config: Mapping[str, Any], row: Mapping[str, Any], card: Any) -> float:
    """Hours of all the checkpoints that an analysis asks for, in double precision."""
    weights = len(analysis_protocol(config, card.name, row)["weights"])
    return len(analysis_steps(config, card.name, row)) * weights * _checkpoint_hours(config, row, card)


def step_hours(config: Mapping[str, Any], row: Mapping[str, Any], card: Any) -> float:
    """Hours of the longest part of an analysis that a single job must finish."""
    if card.step:
        return _hours(config, row, card, card.step)
    return _checkpoint_hours(config, row, card)


def _checkpoint_hours(config: Mapping[str, Any], row: Mapping[str, Any], card: Any) -> float:
    """Hours of an analysis of one checkpoint, under all conditions."""
    conditions = len(analysis_protocol(config, card.name, row)["conditions"])
    return conditions * _hours(config, row, card, card.operations)


def _hours(config: Mapping[str, Any], row: Mapping[str, Any], card: Any, operations: Callable[..., float]) -> float:
    """Hours of so many operations for each example, in an analysis of one checkpoint under one condition."""
    count, example = batch_size(config, row, card), _mean_work(config, row, 1)
    how = analysis_protocol(config, card.name, row) | {"batch_size": count}
    needed = operations(example, how, analysis_arguments(config, card.name, row), _copies(config, row, card))
    passes = needed / max(1.0, example.forward)  # as many forward passes have as many operations
    batches = _used(config, row["task"], how["examples"]) / count
    return batches * passes * _forward_hours(accelerator(config), example, count, "fp64")


def _copies(config: Mapping[str, Any], row: Mapping[str, Any], card: Any) -> int:
    """Copies of an example that go through the network at once: one where a gradient has a closed form."""
    is_exact = model_of(config, row).is_exact
    return 1 if card.closed_form and is_exact else analysis_protocol(config, card.name, row)["rotations"]


def fitting(available: float, most: int, needed: Callable[[int], float]) -> int:
    """The largest number of examples or checkpoints, up to `most`, whose needs are available; 0 if not even one's."""
    return most if needed(most) <= available else bisect_right(range(1, most), available, key=needed)
