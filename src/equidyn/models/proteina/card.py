"""The card of Proteína."""

from equidyn.models.card import Architecture

CARD = Architecture(
    name="proteina",
    order=3,
    task="flow_matching",
    network="equidyn.models.proteina.network:Proteina",
    costs="equidyn.models.proteina.costs:costs",
    anatomy="equidyn.models.proteina.anatomy:anatomy",
)
