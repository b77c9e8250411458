"""Training step of Proteína against a plain implementation, which of its parts take the time, and its memory.

python benchmarks/proteina_speed.py [--repeats 9] [--threads 2] [--chains 4] [--residues 64]
"""

import argparse
from collections import defaultdict
from functools import partial
from itertools import accumulate

import numpy as np
import torch
import workload
from proteina_reference import PlainProteina
from torch import nn
from torch.profiler import profile

from equidyn.core.batch import ProteinBatch
from equidyn.models.proteina.network import Attention, PairBuilder, PairTransition, SwiGLU, TriangleProduct
from equidyn.models.registry import build
from equidyn.tasks.flow_matching.task import NANOMETRE, auxiliary_loss, centred, clean_prediction, flow_loss

MODELS = "proteina-2M", "proteina-2M-tri"
LONG = 256  # residues of the chain whose memory is measured


def examples(chains, residues):
    """Random walks of Cα steps and noisy versions of them, without padding."""
    mask = torch.ones(chains, residues, dtype=torch.bool)
    walks = torch.from_numpy(workload.chains(chains, residues, np.random.default_rng(0)))
    x_1 = centred(walks / NANOMETRE, mask)
    noise = centred(torch.randn(x_1.shape, generator=torch.Generator().manual_seed(0)), mask)
    t = torch.linspace(0.2, 0.9, chains)
    index = torch.arange(1, residues + 1).repeat(chains, 1)
    x_t = t[:, None, None] * x_1 + (1 - t[:, None, None]) * noise
    return x_1, ProteinBatch(x_t, t, mask, index, torch.zeros_like(mask), x_1 + 0.1 * noise)


def objective(model, x_1, batch):
    """The training loss."""
    velocity, distogram = model(batch)
    flow = flow_loss(clean_prediction(batch.x_t, batch.t, velocity), x_1, batch.t, batch.mask)
    return (flow + auxiliary_loss(distogram, x_1, batch.t, batch.mask)).mean()


def update(model, optimiser):
    """Clip and step."""
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()


def seconds(function, repeats):
    """Least time of a function."""
    return workload.least_seconds({"": function}, repeats)[""][1]


def parts(model, x_1, batch, optimiser, repeats):
    """Seconds of each kind of part, forward and backward, on the inputs it has in the network."""
    kinds = {
        PairBuilder: "pair builder",
        Attention: "attention",
        SwiGLU: "transitions",
        TriangleProduct: "triangles",
        PairTransition: "pair transitions",
    }
    calls, handles = [], []
    for module in model.modules():
        name = kinds.get(type(module), "heads" if module in (model.decoder, model.distogram) else None)
        if name:
            hook = module.register_forward_hook(lambda *call, name=name: calls.append((name, call[0], call[1])))
            handles.append(hook)
    objective(model, x_1, batch)
    for handle in handles:
        handle.remove()

    def run(module, inputs):
        fresh = [
            x.detach().requires_grad_() if isinstance(x, torch.Tensor) and x.is_floating_point() else x for x in inputs
        ]
        output = module(*fresh)
        output.backward(torch.ones_like(output))

    found = defaultdict(float)
    for name, module, inputs in calls:
        found[name] += seconds(partial(run, module, inputs), repeats)
    objective(model, x_1, batch).backward()
    found["clipping, optimiser"] = seconds(lambda: update(model, optimiser), repeats)
    return found


def saved_bytes(model, x_1, batch):
    """Bytes that a forward pass keeps for the backward pass, without weights."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept = {}

    def pack(x):
        storage = x.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        objective(model, x_1, batch)
    return sum(kept.values())


def peak_bytes(model, x_1, batch):
    """Most bytes allocated at once during forward and backward, on top of what there is before."""
    with profile(profile_memory=True) as profiler:
        objective(model, x_1, batch).backward()
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    events.sort(key=lambda event: event.start_ns())
    return max(accumulate(event.nbytes() for event in events))


def memory(name):
    """Line on the memory of forward and backward on one long chain."""
    model = build(name)
    x_1, batch = examples(1, LONG)
    saved, peak = saved_bytes(model, x_1, batch), peak_bytes(model, x_1, batch)
    pairs = 4 * (LONG + model.config.registers) ** 2 * model.config.pair
    print(
        f"{name}: {LONG} residues, saved for backward {saved / 2**20:.0f} MiB = {saved / pairs:.1f} pair tensors of "
        f"{pairs / 2**20:.0f} MiB, peak {peak / 2**20:.0f} MiB = {peak / pairs:.1f}",
        flush=True,
    )


def compare(name, chains, residues, repeats):
    """Equal output, then both implementations' steps, then ours by parts."""
    torch.manual_seed(0)
    model = build(name)
    with torch.no_grad():
        for parameter in model.parameters():  # what starts at zero must not hide differences
            parameter.add_(0.1 * torch.randn_like(parameter))
    x_1, batch = examples(chains, residues)
    plain = PlainProteina(model)
    with torch.no_grad():
        for ours, theirs in zip(model(batch), plain(batch), strict=True):
            if ours is not None:
                difference = (ours - theirs).abs().max() / theirs.abs().max().clamp(min=1)
                assert difference < 1e-4, f"{name}: the two disagree by {difference}"

    def step(network, optimiser):
        objective(network, x_1, batch).backward()
        update(network, optimiser)
        optimiser.zero_grad()

    fused = torch.optim.Adam(model.parameters(), lr=1e-6, fused=True)
    usual = torch.optim.Adam(plain.parameters(), lr=1e-6)
    functions = {"ours": lambda: step(model, fused), "plain": lambda: step(plain, usual)}
    (_, ours), (_, theirs) = workload.least_seconds(functions, repeats).values()
    print(f"{name}: ours {1e3 * ours:.0f} ms, plain {1e3 * theirs:.0f} ms, ratio {theirs / ours:.2f}", flush=True)
    found = parts(model, x_1, batch, fused, repeats)
    found["rest"] = ours - sum(found.values())  # adaptation, gates, attention biases, residuals, loss
    for part, value in found.items():
        print(f"    {part:20}{1e3 * value:8.1f} ms{value / ours:8.0%}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--chains", type=int, default=4)
    parser.add_argument("--residues", type=int, default=64)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for name in MODELS:
        memory(name)
    print(f"{arguments.chains} chains of {arguments.residues} residues, {arguments.threads} threads")
    for name in MODELS:
        compare(name, arguments.chains, arguments.residues, arguments.repeats)


if __name__ == "__main__":
    main()
