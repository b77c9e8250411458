"""The card of the protein chains that come with the package."""

from equidyn.data.card import SourceCard, Typical
from equidyn.data.chain_limits import ChainRecipe

CARD = SourceCard(
    task="flow_matching",
    source="offline",
    text="The Cα traces of 2,000 protein chains in the package.",
    build="equidyn.data.sources.offline_chains.build:build_store",
    recipe=ChainRecipe,
    typical=Typical(2_000),
)
