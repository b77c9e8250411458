"""Rows of an evaluation table, made up for figures."""


def variant(model):
    """What sets made-up models apart, by their names."""
    return "control" if model.startswith("control") else "triangle updates" if model.endswith("-tri") else ""


def evaluation_row(total, percent, null, columns):
    """One row: a loss per component, the share of it that is equivariance error, and the null predictor's loss."""
    return {
        "study": "test",
        "variant": variant(columns["model"]),
        **columns,
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
