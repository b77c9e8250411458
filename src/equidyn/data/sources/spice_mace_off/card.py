"""The card of SPICE in the selection and split of MACE-OFF23."""

from equidyn.data.card import Seed, SourceCard, Typical
from equidyn.data.force_limits import ForceLimits


class SpiceMaceOff(ForceLimits):
    """The archives are taken as they are, unless limits are given: their authors have cleaned them up."""

    seed: Seed = 0


CARD = SourceCard(
    task="force_field",
    source="spice-mace-off",
    text="SPICE in the split of MACE-OFF23, the paper's; the split is by frames: nearly every held-out molecule is a "
    "training molecule in another conformation.",
    build="equidyn.data.sources.spice_mace_off.build:build_store",
    recipe=SpiceMaceOff,
    typical=Typical(1_001_200, 50_195, mean=30, largest=90),
    dataset="spice_mace_off",
    has_split=True,
)
