"""The card of protein chains from the user's own files."""

from pydantic import Field

from equidyn.data.card import SourceCard, Typical
from equidyn.data.chain_limits import ChainRecipe


class StructureFilesRecipe(ChainRecipe):
    """The folder of files, and the chains that are taken from them."""

    folder: str = Field(description="Folder of PDB and mmCIF files, plain or gzipped; folders below it are read too.")


CARD = SourceCard(
    task="flow_matching",
    source="files",
    text="PDB and mmCIF files in a folder.",
    build="equidyn.data.sources.structure_files.build:build_store",
    recipe=StructureFilesRecipe,
    typical=Typical(10_000),
)
