"""A report's input, small: two tasks that differ in their conditions, figures of them, claims, costs."""

import numpy as np
import pandas as pd
from PIL import Image

from equidyn.claims.verdicts import NOT_REPRODUCED, REPRODUCED
from equidyn.figures.planned import titles
from equidyn.report.study import Picture
from equidyn.study.choice import Choice
from equidyn.tasks.registry import task_cards

STEPS = (0, 1, 10, 100)
CHOICES = [Choice("force_field", "default", "raw", group="SO(3)"), Choice("flow_matching", "chains", "raw", timed=True)]
FIGURES = (
    ("voxel_denoising", "losses", "Training dynamics"),
    ("force_field", "percent_loglog", "Training dynamics"),
    ("force_field", "hessian", "Why it is easy"),
    ("force_field", "losses", "Training dynamics"),
    ("all", "summary", "All tasks"),
)


def claim(name="falls", task="force_field", verdict=REPRODUCED, **values):
    return {
        "claim": name, "label": name.capitalize(), "by": "paper", "task": task, "weights": "raw",
        "statement": f"The error {name}.", "statistic": "first step",
        "expected_low": 0.0, "expected_high": 10000.0, "closed": "both",
        "value": 56.0, "low": 31.6, "high": 100.0, "ends": "interval",
        "published_value": 1680.0, "published_verdict": REPRODUCED, "published_reason": "as read",
        "verdict": verdict, "reason": "interval within the expected range", "sensitivity": "",
        "figure": "force_field/percent_loglog",
    } | values  # fmt: skip


def evaluated(
    run="default", task="force_field", percents=(40.0, 20.0, 1.5, 0.125), skills=(-1, 0, 0.25, 0.75), **values
):
    """Rows of an evaluation, one for each of `STEPS`."""
    rows = pd.DataFrame({"step": STEPS, "percent": percents, "skill": skills})
    fixed = {
        "study": "tiny", "run": run, "task": task, "model": "escaip-tiny", "variant": "", "train_subset": "all",
        "batch_size": 8, "optimiser": "adamw", "lr": 0.001, "augmentation": 0.0, "seed": 0, "train_examples": 500,
        "parameters": 58913, "weights": "raw", "estimator": "exact", "group": "SO(3)", "comparison": "vectors",
        "t": np.nan, "self_conditioning": None, "total": 2.0, "twirled": 1.5, "equivariance": 0.5,
        "relative_equivariance": 0.25,
    } | values  # fmt: skip
    return rows.assign(percent_low=rows["percent"] / 2, percent_high=rows["percent"] * 2, **fixed)


def report_parts(folder, width=320):
    """Arguments of `equidyn.report.study.write_report`, figures out of order; pictures of a width go to a folder."""
    pictures = []
    for shade, (task, name, category) in enumerate(FIGURES):
        png = folder / f"{task}-{name}.png"
        Image.new("RGB", (width, width // 4), (shade * 50, 90, 160)).save(png, dpi=(160, 160))
        caption = f"Caption of {name} in {task}. " + "Its method is told at length. " * 20
        files = {"CSV": f"figures/{task}/{name}.csv"}
        pictures.append(Picture(task, name, f"Title of {name}", category, png, caption.strip(), files))
    averaged = evaluated(weights="ema", percents=(50.0, 30.0, 3.0, 0.25))
    flows = [
        evaluated("chains", "flow_matching", percents=(9.0, 8.0, 5.0, share), t=t, self_conditioning=False)
        for t, share in ((0.2, 3.0), (0.6, 4.0), (0.9, 6.0))
    ]
    control = evaluated("control", percents=(1e-9, 1e-9, -1e-9, 0.0), seed=1)
    evaluation = pd.concat([evaluated(), averaged, control, *flows], ignore_index=True)
    runs = evaluation.drop_duplicates("run")[["run", "task", "parameters", "lr", "train_subset"]]
    worst = pd.DataFrame(
        {
            "task": ["force_field", "flow_matching"],
            "run": ["default", "chains"],
            "t": [None, 0.5],
            "step": 100,
            "worst": ["10 of 1,000 examples", "1 of 51 clusters"],
            "total_in_worst": [61.25, 2.0],
            "equivariance_in_worst": [93.1, 4.0],
        }
    )
    return {
        "study": "tiny",
        "tasks": titles(task_cards()),
        "pictures": pictures,
        "claims": pd.DataFrame([claim(), claim(task="flow_matching", verdict=NOT_REPRODUCED)]),
        "evaluation": evaluation,
        "costs": runs.assign(
            seconds=[50.0, 20.0, 700.0], seconds_per_step=[0.5, 0.25, 7.0], step_flops=[1e9, 2e9, 3e9]
        ),
        "choices": CHOICES,
        "worst": worst,
        "manifest": {"machine": {"cores": 2}, "seeds": {"runs": {"default": 2025}}, "lasted": 61.53, "steps": [0, 10]},
        "config": "study: tiny\n",
        "commit": "0123abcd",
    }
