"""The card of the chains of the Protein Data Bank."""

from equidyn.core.settings import Settings
from equidyn.data.card import Seed, Selection, SourceCard, Typical
from equidyn.data.chain_limits import ChainLimits


class ProteinDataBank(Settings):
    """Settings that decide the store, besides the selection of chains."""

    seed: Seed = 0


CARD = SourceCard(
    task="flow_matching",
    source="pdb",
    text="The Protein Data Bank by its index files, in the clusters of RCSB at 50 % sequence identity.",
    build="equidyn.data.sources.pdb.build:build_store",
    recipe=ProteinDataBank,
    typical=Typical(225_000),
    dataset="pdb",
    selection=Selection(
        select="equidyn.data.sources.pdb.select:write_selection",
        check="equidyn.data.sources.pdb.select:check_entry",
        settings=ChainLimits,
    ),
)
