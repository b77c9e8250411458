"""The card of the exactly equivariant network of molecules."""

from equidyn.models.card import CONTROL, Architecture

CARD = Architecture(
    name="molecule_control",
    order=2,
    task="force_field",
    network="equidyn.models.molecule_control.network:Control",
    costs="equidyn.models.molecule_control.costs:costs",
    variant=CONTROL,
)
