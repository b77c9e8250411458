"""The card of EScAIP."""

from equidyn.models.card import Architecture

CARD = Architecture(
    name="escaip",
    order=1,
    task="force_field",
    network="equidyn.models.escaip.network:EScAIP",
    costs="equidyn.models.escaip.costs:costs",
    anatomy="equidyn.models.escaip.anatomy:anatomy",
    is_exact=True,
)
