"""Write the report: one HTML file with every figure, claim, run and setting."""

import json
import subprocess
from pathlib import Path

from equidyn.core import process


def main(inputs, output, log, params):
    process.start(log, threads=1)
    from equidyn.report.study import Picture, write_report
    from equidyn.study.choice import Choice
    from equidyn.study.frames import read_frame
    from equidyn.study.selection import worst_examples

    folder, pictures = Path(output).parent, []
    for (task, name, title, category), png, text in zip(params.figures, inputs.figures, inputs.captions, strict=True):
        caption = Path(text).read_text(encoding="utf-8").removeprefix(f"{title}. ")
        files = {kind.upper(): Path(png).with_suffix(f".{kind}") for kind in params.formats}
        links = {kind: file.relative_to(folder).as_posix() for kind, file in files.items()}
        pictures.append(Picture(task, name, title, category, Path(png), caption, links))
    evaluation = read_frame(inputs.evaluation)
    choices = [Choice(**fields) for fields in params.choices.values()]
    clusters = {Path(file).stem: read_frame(file) for file in inputs.clusters}
    write_report(
        output,
        study=params.study,
        tasks=params.tasks,
        pictures=pictures,
        claims=read_frame(inputs.claims),
        evaluation=evaluation,
        costs=read_frame(inputs.costs),
        choices=choices,
        worst=worst_examples(evaluation, clusters, choices),
        manifest=json.loads(Path(inputs.manifest).read_text(encoding="utf-8")),
        config=Path(inputs.config).read_text(encoding="utf-8"),
        analyses=params.analyses,
        downloads=params.downloads,
        commit=commit(),
    )


def commit():
    """The commit of the working folder; empty where there is none."""
    try:
        found = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, encoding="utf-8", check=False)
    except FileNotFoundError:
        return ""
    return found.stdout.strip()


if __name__ == "__main__":
    main(snakemake.input, str(snakemake.output), snakemake.log[0], snakemake.params)
