"""The card of MACE."""

from equidyn.models.card import CONTROL, Architecture

CARD = Architecture(
    name="mace",
    order=3,
    task="force_field",
    network="equidyn.models.mace.network:MACE",
    variant=CONTROL,
)
