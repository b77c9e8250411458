"""The graph that reports draw is that of the workflow's rules, stage by stage."""

import re

import pytest
from project import ROOT, Project

from equidyn.report.workflow import STAGES

pytestmark = pytest.mark.workflow


def reduced(edges):
    """Edges without those that others lead along, too."""

    def leads(source, target, direct):
        return any(
            start == source and (end == target or leads(end, target, direct)) for start, end in edges if start != end
        )

    return {
        (source, target)
        for source, target in edges
        if not any(
            middle != target and leads(middle, target, edges) for start, middle in edges if start == source
        )
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.long
def test_edges_are_those_of_the_rules(tmp_path):
    """Of one study that downloads data, and one that downloads what the authors have published."""
    project, between = Project(tmp_path, {}, []), set()
    stage = {rule: name for name, one in STAGES.items() for rule in one.rules} | {"all": "all"}
    for config in ("paper", "cpu"):
        result = project.snakemake("--rulegraph", "--configfile", f"config/{config}.yaml")
        assert result.returncode == 0, result.stderr[-3000:]
        named = dict(re.findall(r'^\s*(\d+)\[label = "(\w+)"', result.stdout, re.MULTILINE))
        edges = re.findall(r"^\s*(\d+) -> (\d+)$", result.stdout, re.MULTILINE)
        between |= {(stage[named[source]], stage[named[target]]) for source, target in edges}
    between = {(source, target) for source, target in between if source != target and target != "all"}
    assert reduced(between) == {(source, name) for name, one in STAGES.items() for source in one.after}


def test_each_rule_is_of_one_stage():
    targets = {"all", "figures", "report", "data", "train", "evaluate", "analyse"}
    files = [ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk")]
    written = re.findall(r"^rule (\w+):$", "\n".join(file.read_text("utf-8") for file in files), re.MULTILINE)
    assert len(written) > 20
    assert sorted(rule for one in STAGES.values() for rule in one.rules) == sorted(set(written) - targets)
