"""The card of the exactly equivariant network of chains."""

from equidyn.models.card import CONTROL, Architecture

CARD = Architecture(
    name="chain_control",
    order=4,
    task="flow_matching",
    network="equidyn.models.chain_control.network:ChainControl",
    costs="equidyn.models.chain_control.costs:costs",
    variant=CONTROL,
)
