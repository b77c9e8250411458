"""Training runs in processes of their own, each with the library of one checkout, that take steps when they are told.

A driver starts one `Side` for each checkout, gives both the same `Job` and lets them work in turns, so that whatever
else the machine does affects both alike. Each side runs the library's own training loop and stops behind an optimiser
step.
"""

import gc
import hashlib
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Job:
    """One training run.

    Attributes:
        model: Name of the network.
        batch: Examples of a step.
        rows: Least and most atoms or residues of an example.
        study: Configuration whose settings of training and task apply.
        steps: Steps of the whole run, which may be ended before.
        batches: Batches of an epoch.
        microbatch: Most examples of a portion.
        device: "cpu" or "cuda".
        recipe: Fields of the recipe besides; those that a checkout does not know are left out.
        sizes: Sizes of the network that differ from the model's.
        task: Settings of the task that differ from the study's.
    """

    model: str
    batch: int
    rows: tuple[int, int]
    study: str = "config"
    steps: int = 100_000
    batches: int = 16
    microbatch: int | None = None
    device: str = "cpu"
    recipe: dict = field(default_factory=dict)
    sizes: dict = field(default_factory=dict)
    task: dict = field(default_factory=dict)


class Side:
    """A process that trains with the library of a checkout.

    Args:
        checkout: Folder with the checkout.
        threads: Threads of numeric libraries.
        environment: Variables besides those of this process.
    """

    def __init__(self, checkout, threads, **environment):
        path = {"PYTHONPATH": str(Path(checkout).resolve() / "src")}
        self.process = subprocess.Popen(
            [sys.executable, __file__, str(threads)],
            env=os.environ | path | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def start(self, job):
        """Begin a run, which waits before its first step; do not wait for it."""
        self._send(asdict(job))

    def begin(self, settle, steps, *, profile=False):
        """Begin a turn; do not wait for it.

        Args:
            settle: Steps before the clock starts, in which the loader and the device settle.
            steps: Steps that count, at least one.
            profile: Record what the GPU does in these steps.
        """
        self._send({"settle": settle, "steps": steps, "profile": profile})

    def answer(self, deadline=None):
        """Elapsed `seconds` and `processor` seconds per step of a turn that was begun, and what the `profile` shows.

        Raises:
            TimeoutError: It is not done at the deadline, a value of `time.monotonic`.
            RuntimeError: The process failed.
        """
        return self._receive(deadline)

    def turn(self, settle, steps, deadline=None):
        """Take a turn, as `begin` and `answer`."""
        self.begin(settle, steps)
        return self.answer(deadline)

    def end(self, deadline=None):
        """End the run: memory in bytes, and of a run that took all its steps the losses and a digest of its weights."""
        self._send(None)
        return self._receive(deadline)

    def _send(self, message):
        with suppress(BrokenPipeError):  # the next answer says so
            self.process.stdin.write(json.dumps(message).encode() + b"\n")
            self.process.stdin.flush()

    def _receive(self, deadline):
        if deadline is not None:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError("time was up")
        if not (line := self.process.stdout.readline()):
            raise RuntimeError(f"the process of a side ended with exit code {self.process.wait()}; its error is above")
        return json.loads(line)


@contextmanager
def sides(checkouts, threads, **environment):
    """A side for each checkout, by name, whose processes are killed in the end."""
    running = {name: Side(path, threads, **environment) for name, path in checkouts.items()}
    try:
        yield running
    finally:
        for side in running.values():  # all at once, as workers of a loader outlive their process by seconds
            side.process.kill()
        for side in running.values():
            side.process.communicate()


def agreement(ours, baseline):
    """How far the losses of two runs are apart."""
    apart = max(abs(a - b) / abs(b) for a, b in zip(ours, baseline, strict=True))
    return (
        "equal"
        if ours == baseline
        else f"to {apart:.0e}"
        if apart < 1e-3
        else f"mean × {sum(ours) / sum(baseline):.2f}"
    )


def summarise(events, steps):
    """What the GPU did in some steps, by the events of a trace that PyTorch's profiler wrote.

    Returns:
        Per step: seconds in which the GPU computed or copied, kernels, copies to the host, and waits for the GPU.
    """
    on_device = [event for event in events if event.get("cat") in ("kernel", "gpu_memcpy", "gpu_memset")]
    busy, until = 0.0, 0.0
    for start, end in sorted((event["ts"], event["ts"] + event["dur"]) for event in on_device):
        busy += max(0.0, end - max(start, until))
        until = max(until, end)
    waits = ("cudaStreamSynchronize", "cudaEventSynchronize")
    counts = {
        "kernels": sum(event["cat"] == "kernel" for event in on_device),
        "reads": sum("DtoH" in event["name"] for event in on_device),
        "waits": sum(event["name"] in waits for event in events if event.get("cat") == "cuda_runtime"),
    }
    return {"busy": 1e-6 * busy / steps} | {name: count / steps for name, count in counts.items()}


class _Ended(BaseException):
    """The driver ends a run that has more steps."""


class _Turns:
    """Hook behind each optimiser step that takes steps as the driver tells."""

    def __init__(self, job, receive, send):
        self.job, self.receive, self.send = job, receive, send
        self.done, self.until, self.profiler = 0, 0, None
        self.settled = None

    def __call__(self, *_):
        self.done += 1
        if self.done == self.settled:
            self._begin()
        if self.done == self.until:
            self.synchronise()
            self._report()
            if self.done < self.job.steps:
                self.wait()

    def wait(self):
        """Wait for the next turn."""
        if (message := self.receive()) is None:
            raise _Ended
        self.profile = message["profile"]
        self.settled = self.done + message["settle"]
        self.until = self.settled + message["steps"]
        if self.done == self.settled:
            self._begin()

    def synchronise(self):
        """Wait for the GPU, if there is one."""
        import torch

        if self.job.device == "cuda":
            torch.cuda.synchronize()

    def _begin(self):
        import torch

        self.synchronise()
        if self.profile:
            activity = getattr(torch.profiler.ProfilerActivity, self.job.device.upper())
            self.profiler = torch.profiler.profile(activities=[activity])
            self.profiler.start()
        self.began = time.perf_counter(), time.process_time()

    def _report(self):
        steps, found = self.until - self.settled, None
        elapsed, processor = time.perf_counter() - self.began[0], time.process_time() - self.began[1]
        if self.profiler:
            self.profiler.stop()
            with tempfile.TemporaryDirectory() as folder:
                trace = Path(folder) / "trace.json"
                self.profiler.export_chrome_trace(str(trace))
                found = summarise(json.loads(trace.read_text(encoding="utf-8"))["traceEvents"], steps)
            self.profiler = None
        self.send({"seconds": elapsed / steps, "processor": processor / steps, "profile": found})


def _run(job, folder, turns):
    """Train as a job of a study does."""
    import numpy as np
    import torch
    import yaml
    from workload import make_store

    from equidyn.core.plugins import load
    from equidyn.models.registry import configuration
    from equidyn.run.distributed import World
    from equidyn.run.recipe import Recipe
    from equidyn.run.training import train
    from equidyn.tasks.registry import task_card

    known = configuration(job.model)
    network = known.built_from
    settings = yaml.safe_load((ROOT / f"config/{job.study}.yaml").read_text(encoding="utf-8"))["training"]
    recipe = {name: value for name, value in settings.items() if not isinstance(value, dict)} | settings[known.task]
    recipe |= {"model": job.model, "batch_size": job.batch, "steps": job.steps, "lr": 1e-4, "seed": 0}
    recipe |= {"optimiser": "adam" if known.task == "flow_matching" else "adamw", "augmentation": 1.0}
    recipe |= network | {"sizes": network["sizes"] | job.sizes} | job.recipe
    if Recipe.model_fields["compile"].annotation is bool:  # a checkout that does not choose
        recipe["compile"] = recipe.get("compile") is True
    store = make_store(folder / "store", known.task, job.batch * job.batches, job.rows)
    indices = np.arange(len(store))
    task = load(task_card(known.task).task).fit(store, indices, **recipe.get("task", {}) | job.task)
    if known.task == "flow_matching":  # or sides with other random streams would do it in other steps
        sys.modules[type(task).__module__].SELF_CONDITIONING = 1.0
    turns.wait()
    train(
        task,
        indices,
        Recipe(**{name: value for name, value in recipe.items() if name in Recipe.model_fields}),
        [job.steps],
        output=folder / "output",
        state=folder / "state",
        state_every=job.steps,
        microbatch=job.microbatch,
        world=World(device=torch.device(job.device)),
        progress=False,
    )


def _result(job, folder):
    """Memory, and what a finished run has left."""
    import pandas as pd
    import torch

    from equidyn.run.checkpoints import checkpoint_name, load_checkpoint

    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    found = {"resident": pages * os.sysconf("SC_PAGE_SIZE"), "torch": torch.__version__}
    if job.device == "cuda":
        found |= {"peak": torch.cuda.max_memory_allocated(), "card": torch.cuda.get_device_name()}
    if (folder / "output").exists():
        found["losses"] = pd.read_parquet(folder / "output/metrics.parquet")["loss"].tolist()
        weights, _ = load_checkpoint(folder / "output/raw" / checkpoint_name(job.steps))
        content = b"".join(weights[name].numpy().tobytes() for name in sorted(weights))
        found["weights"] = hashlib.sha256(content).hexdigest()
    return found


def _serve(threads):
    """Train what the driver sends, job after job, until it is gone."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what the library prints

    def receive():
        if not (line := sys.stdin.readline()):
            sys.exit()
        return json.loads(line)

    def send(message):
        print(json.dumps(message), file=replies, flush=True)

    with tempfile.TemporaryDirectory() as scratch:
        from equidyn.core import process

        process.start(Path(scratch) / "log", threads)
        import torch
        from torch.optim.optimizer import register_optimizer_step_post_hook

        torch.set_num_threads(threads)
        while True:
            job = Job(**receive())
            turns = _Turns(job, receive, send)
            hook = register_optimizer_step_post_hook(turns)
            if job.device == "cuda":
                torch.cuda.reset_peak_memory_stats()
            with tempfile.TemporaryDirectory(dir=scratch) as folder:
                try:
                    _run(job, Path(folder), turns)
                    receive()
                except _Ended:
                    pass
                hook.remove()
                send(_result(job, Path(folder)))
            del turns
            gc.collect()
            if job.device == "cuda":
                torch.compiler.reset()
                torch.cuda.empty_cache()


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
