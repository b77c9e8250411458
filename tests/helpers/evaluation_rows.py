"""Rows of an evaluation table, made up for figures."""

IDENTITY = {
    "study": "test", "run": "base", "task": "force_field", "model": "net", "parameters": 68_000, "train_subset": "all",
    "train_examples": 2796, "batch_size": 8, "optimiser": "adamw", "lr": 3e-3, "augmentation": 1.0, "seed": 0,
    "weights": "ema", "estimator": "sampled", "rotations": 10, "group": "SO(3)", "comparison": "vectors",
    "examples": 256, "clusters": 31, "floor_control": 2e-12, "unit": "eV²/Å²",
}  # fmt: skip
"""What identifies a row, but for its step, unless a test says otherwise."""


def variant(model):
    """What sets made-up models apart, by their names."""
    return "control" if model.startswith("control") else "triangle updates" if model.endswith("-tri") else ""


def evaluation_row(total, percent, null, columns):
    """One row: a loss per component, the share of it that is equivariance error, and the null predictor's loss."""
    identity = IDENTITY | columns
    return {
        **identity,
        "variant": variant(identity["model"]),
        "total": total,
        "twirled": total * (1 - percent / 100),
        "equivariance": total * percent / 100,
        "percent": percent,
        "percent_low": 0.8 * percent,
        "percent_high": 1.2 * percent,
        "null_loss": null,
        "skill": 1 - total / null,
        "relative_equivariance": percent / 100,
        "estimator_version": 1,
        "package_version": "0",
    }
