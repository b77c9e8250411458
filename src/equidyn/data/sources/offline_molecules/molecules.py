"""The molecules that are made: capped amino acids and dipeptides, small monomers, fragments of drugs, compounds."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from equidyn.core.seeding import seed_for
from equidyn.data.embedding import RejectError, read_molecule
from equidyn.data.screening import constitution, listed_molecules, unwanted

FAMILIES = ("amino acid", "dipeptide", "monomer", "fragment", "compound")

ELEMENTS = (1, 6, 7, 8, 9, 15, 16, 17, 35, 53)
"""Atomic numbers that occur, those of the SPICE data set without ions."""

COMPOUND_ATOMS = 25
"""Most atoms of a screening compound, so that 50,000 labels of all molecules take two cores some 20 minutes."""

# Twenty residues as -NH-CHR-CO- pieces: L configuration, side chains neutral.
RESIDUES = {
    "GLY": "NCC(=O)",
    "ALA": "N[C@@H](C)C(=O)",
    "SER": "N[C@@H](CO)C(=O)",
    "CYS": "N[C@@H](CS)C(=O)",
    "PRO": "N1CCC[C@H]1C(=O)",
    "VAL": "N[C@@H](C(C)C)C(=O)",
    "THR": "N[C@@H]([C@H](O)C)C(=O)",
    "ASN": "N[C@@H](CC(=O)N)C(=O)",
    "ASP": "N[C@@H](CC(=O)O)C(=O)",
    "LEU": "N[C@@H](CC(C)C)C(=O)",
    "ILE": "N[C@@H]([C@@H](C)CC)C(=O)",
    "GLN": "N[C@@H](CCC(=O)N)C(=O)",
    "GLU": "N[C@@H](CCC(=O)O)C(=O)",
    "MET": "N[C@@H](CCSC)C(=O)",
    "HIS": "N[C@@H](Cc1cnc[nH]1)C(=O)",
    "LYS": "N[C@@H](CCCCN)C(=O)",
    "PHE": "N[C@@H](Cc1ccccc1)C(=O)",
    "TYR": "N[C@@H](Cc1ccc(O)cc1)C(=O)",
    "ARG": "N[C@@H](CCCNC(=N)N)C(=O)",
    "TRP": "N[C@@H](Cc1c[nH]c2ccccc12)C(=O)",
}


def _listed(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# Solvents, functional groups and small rings, as in collections of interacting monomers.
MONOMERS = _listed("""
    O C N CO CN S P F Cl C=C C#C C=O C#N CCO COC CN(C)C CSC CF CCl CBr
    CC(C)=O OC=O CC(O)=O NC=O CC(N)=O CNC(C)=O NC(N)=O CC#N C[N+](=O)[O-] CS(C)=O CS(C)(=O)=O
    CP CP(C)(C)=O OP(O)(O)=O COP(O)(O)=O CC(C)C C1CCCC1 C1CCCCC1 C1CCOC1 C1COCCO1
    c1ccccc1 Cc1ccccc1 Oc1ccccc1 Nc1ccccc1 c1ccncc1 c1cc[nH]c1 c1ccoc1 c1ccsc1 c1c[nH]cn1
""")

# Pieces of drugs: rings with the substituents and linkers of medicinal chemistry, 4 to 13 heavy
# atoms. RDKit's screening compounds, which come after them, are larger and hold hardly any phosphorus.
FRAGMENTS = _listed("""
    CC(=O)Nc1ccc(O)cc1 CC(=O)Oc1ccccc1 COc1ccccc1 CNC(=O)c1ccccc1 NC(=O)c1cccnc1 NS(=O)(=O)c1ccccc1
    CS(=O)(=O)c1ccccc1 CSc1ccccc1 FC(F)(F)c1ccccc1 Fc1ccc(Cl)cc1 Clc1ccc(Cl)cc1 Brc1ccc(F)cc1
    Brc1cccnc1 Brc1ccsc1 BrCc1ccccc1 Nc1ccc(Br)cn1 Clc1ccncc1 Clc1ncccn1 Nc1ncccn1 Nc1nccs1 Cc1nccs1
    Cc1ccon1 Cc1nnc(C)o1 Cc1nnc(N)s1 c1ccc2[nH]ccc2c1 c1ccc2[nH]cnc2c1 c1ccc2ncccc2c1 c1ccc2occc2c1
    c1ccc2sccc2c1 c1ccc2scnc2c1 c1ccc2c(c1)OCO2 c1ncc2nc[nH]c2n1 Nc1ncnc2[nH]cnc12
    O=c1cc[nH]c(=O)[nH]1 Cc1c[nH]c(=O)[nH]c1=O Nc1cc[nH]c(=O)n1 O=C1NC(=O)CC1 O=C1CCCN1C CN1CCNCC1
    CN1CCOCC1 C1COCCN1C(C)=O CC(=O)N1CCCC1 C1CCNCC1 OC1CCNCC1 OC1CCCCC1 NC1CCCCC1 O=C1CCCCC1
    FC1CCCCC1 CC(C)(C)O CC(C)(C)C#N COCCOC CN(C)CCO CN(C)C(=O)N(C)C CCOC(=O)C=C CCOC(C)=O
    CC(=O)CC(C)=O OCC(O)CO NCCO NCCS OC(=O)CCS OC(=O)c1ccccc1 OC(=O)c1ccco1 O=Cc1ccccc1
    O=Cc1ccc(O)cc1 COc1ccccc1O Oc1ccccc1F N#Cc1ccccc1 N#Cc1ccncc1 C#Cc1ccccc1 C=Cc1ccccc1 NCc1ccccc1
    NCCc1c[nH]cn1 CNCc1ccco1 OCc1ccc(Cl)cc1 O=[N+]([O-])c1ccccc1 FC(F)Oc1ccccc1 FC(F)(F)C(N)=O
    FC(F)(F)CO ClC(F)(F)C(O)=O CS(=O)(=O)N CS(=O)(=O)NC CNS(=O)(=O)N COP(C)(=O)OC CP(=O)(O)OC
    COP(=O)(OC)OC CSP(=O)(C)OC COP(=S)(OC)OC CP(C)(=O)c1ccccc1 OP(O)(=O)CN CP(C)c1ccccc1 NC(=S)N
    CC(=S)N CN1C=NCC1 CC1=NCCS1 N=C(N)c1ccccc1 CC(C)NCC(O)C CN1CC=CC1 O=C1C=CC(=O)N1 C1CC1C(N)=O
    O=C(N)C1CCN1 BrC1=CCCC1 CC(=O)CBr ClCC(N)=O SCC(N)C(=O)OC CNC(=O)OC CC(=NO)C CN=C=S
""")


@dataclass(frozen=True)
class Molecule:
    """A molecule to be made: its SMILES and the family it stands for."""

    smiles: str
    family: str


def capped_peptide(*residues: str) -> str:
    """Return the SMILES of ACE-X-...-NME for three-letter residue names."""
    return "CC(=O)" + "".join(RESIDUES[name] for name in residues) + "NC"


def force_field_molecules(count: int | None = None, *, seed: int = 0) -> tuple[list[Molecule], str]:
    """List the molecules of the offline set.

    The first 206 are the amino acids, monomers and fragments of this module and 30 dipeptides, families interleaved so
    that any prefix is mixed. By rising number of atoms follow the other dipeptides and, of the screening compounds that
    RDKit ships, those of at most `COMPOUND_ATOMS` atoms. No two molecules have one constitution.

    Args:
        count: Keep this many; None for all.
        seed: Chooses the dipeptides among the first and the order within families and among equal sizes.

    Returns:
        Distinct molecules, and the source of those that are not of this module; empty if there are none.

    Raises:
        ValueError: There are not as many.
        StoreError: RDKit was installed without its list.
    """
    molecules = _own_molecules(seed)
    source = ""
    if count is None or count > len(molecules):
        others, source = _other_molecules({constitution(molecule.smiles) for molecule in molecules}, seed)
        molecules += others
    if count is not None and count > len(molecules):
        raise ValueError(f"{count} molecules asked, {len(molecules)} available: ask for fewer, or for all")
    return molecules[:count], source


def _own_molecules(seed: int) -> list[Molecule]:
    pairs = [smiles for smiles in _dipeptides() if _atom_count(smiles) <= 40]
    lists = {
        "amino acid": [capped_peptide(name) for name in RESIDUES],
        "dipeptide": _shuffled(pairs, seed)[:30],
        "monomer": _shuffled(MONOMERS, seed),
        "fragment": _shuffled(FRAGMENTS, seed),
    }
    ranked = [
        ((position + 0.5) / len(members), FAMILIES.index(family), Molecule(smiles, family))
        for family, members in lists.items()
        for position, smiles in enumerate(members)
    ]
    return [molecule for _, _, molecule in sorted(ranked, key=lambda entry: entry[:2])]


def _other_molecules(taken: set[str], seed: int) -> tuple[list[Molecule], str]:
    """Return the molecules of other constitutions than those taken, by rising number of atoms, and their source."""
    compounds, source = listed_molecules()
    sized: list[tuple[int, Molecule]] = []
    for family, members in (("dipeptide", _dipeptides()), ("compound", filter(_is_wanted, compounds))):
        for smiles in members:
            if (bonds := constitution(smiles)) not in taken:
                taken.add(bonds)
                sized.append((_atom_count(smiles), Molecule(smiles, family)))
    sized.sort(key=lambda entry: (entry[0], seed_for(seed, "order", entry[1].smiles)))
    return [molecule for _, molecule in sized], source


def _dipeptides() -> list[str]:
    return [capped_peptide(*pair) for pair in product(RESIDUES, repeat=2)]


def _is_wanted(smiles: str) -> bool:
    """Whether a compound is small, neutral, of closed shell, in one piece and of the elements of SPICE."""
    if _atom_count(smiles) > COMPOUND_ATOMS:
        return False
    try:
        return not unwanted(read_molecule(smiles), ELEMENTS)
    except RejectError:
        return False


def _atom_count(smiles: str) -> int:
    from rdkit import Chem

    return Chem.MolFromSmiles(smiles).GetNumAtoms(onlyExplicit=False)


def _shuffled(members: Sequence[str], seed: int) -> list[str]:
    return sorted(members, key=lambda smiles: seed_for(seed, "order", smiles))
