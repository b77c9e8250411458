"""Published calculators, measured: a table of what turning their structures does to each.

    python examples/calculators.py                    # those that are installed
    python examples/calculators.py chgnet sevennet    # some; pip install "equidyn[calculators]"

Crystals and molecules are made by `ase.build`; they are measured with atoms on their sites, where symmetry makes many
distances equal and forces zero, and with atoms displaced at random. There are no true values: the table has the
equivariance error itself, and the verdict on it. `docs/calculators.md` shows it.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones

from equidyn.integrations.ase import measure_calculator
from equidyn.integrations.networks import escaip_small, escaip_tiny

METALS = {"Cu": 3.61, "Ag": 4.09, "Au": 4.08, "Al": 4.05, "Ni": 3.52, "Pd": 3.89, "Pt": 3.92}
CRYSTALS = [
    ("NaCl", "rocksalt", 5.64), ("MgO", "rocksalt", 4.21), ("LiF", "rocksalt", 4.03), ("CaO", "rocksalt", 4.81),
    ("TiN", "rocksalt", 4.24), ("KBr", "rocksalt", 6.60), ("GaAs", "zincblende", 5.65), ("ZnS", "zincblende", 5.41),
    ("SiC", "zincblende", 4.36), ("InP", "zincblende", 5.87), ("CsCl", "cesiumchloride", 4.12), ("Si", "diamond", 5.43),
    ("Ge", "diamond", 5.66), ("Fe", "bcc", 2.87), ("W", "bcc", 3.17), ("Al", "fcc", 4.05), ("Cu", "fcc", 3.61),
    ("Pt", "fcc", 3.92), ("Na", "bcc", 4.29), ("CaF2", "fluorite", 5.46),
]  # fmt: skip
MOLECULES = (
    "H2O", "NH3", "CH4", "CO2", "C2H4", "CH3OH", "HCN", "H2CO", "C2H6", "CH3CN", "SO2", "HCl", "CH3SH", "N2H4", "C2H2",
    "HCOOH", "CH3ONO", "C6H6", "CH3CHO", "PH3",
)  # fmt: skip
ORGANIC = (
    "CH4", "CH3OH", "H2CO", "C2H6", "CH3CN", "CH3SH", "HCOOH", "C6H6", "CH3CHO", "CH3CH2OH", "CH3COOH", "C3H8",
    "CH3COCH3", "CH3CONH2", "C5H5N", "C4H4O", "C4H4NH", "CH3CH2NH2", "HCOOCH3", "C2H4",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A calculator, where it comes from, and structures that it can calculate.

    Attributes:
        make: Makes the calculator.
        package: The package of it, for its version.
        structures: Makes structures with atoms on their sites.
        rattle: Displacements (Å) of atoms at random.
    """

    make: Callable
    package: str
    structures: Callable
    rattle: float = 0.1


def metals():
    return [bulk(name, "fcc", a=a, cubic=True).repeat((2, 2, n)) for n in (1, 2) for name, a in METALS.items()]


def crystals():
    return [bulk(name, kind, a=a, cubic=kind != "cesiumchloride") for name, kind, a in CRYSTALS]


def molecules():
    return [molecule(name) for name in MOLECULES]


def organic():
    return [molecule(name) for name in ORGANIC]


def tblite():
    from tblite.ase import TBLite

    return TBLite(method="GFN2-xTB", verbosity=0)


def chgnet():
    from chgnet.model.dynamics import CHGNetCalculator

    return CHGNetCalculator(use_device="cpu")


def sevennet():
    from sevenn.calculator import SevenNetCalculator

    return SevenNetCalculator("7net-0", device="cpu")


CASES = {
    "emt": Case(EMT, "ase", metals),
    "lennard-jones": Case(lambda: LennardJones(sigma=2.5, epsilon=0.4, rc=6), "ase", metals),
    "gfn2-xtb": Case(tblite, "tblite", molecules, 0.05),
    "chgnet": Case(chgnet, "chgnet", crystals),
    "sevennet": Case(sevennet, "sevenn", crystals),
    "escaip_tiny": Case(escaip_tiny, "equidyn", organic, 0.05),
    "escaip_small": Case(escaip_small, "equidyn", organic, 0.05),
}


def installed(package):
    """Whether a package is installed."""
    try:
        return bool(version(package))
    except PackageNotFoundError:
        return False


def rows(name, count, rotations):
    """Lines of the table: one for each property, of atoms on their sites and displaced."""
    case = CASES[name]
    label = f"{name} ({case.package} {version(case.package)})"
    calculator = case.make()
    for rattle in (0, case.rattle):
        items = case.structures()[:count]
        for number, atoms in enumerate(items):
            atoms.rattle(rattle, seed=number)
        found = measure_calculator(calculator, items, rotations=rotations)
        for one in found.properties.values():
            if one.name != "energy":
                where = "displaced" if rattle else "on their sites"
                numbers = f"{one.rmse['equivariance']:.1e} | {one.floor:.1e}"
                yield f"| {label} | {len(items)}, {where} | {one.name} | {numbers} | {one.verdict} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("calculators", nargs="*", metavar="calculator", help=f"some of {', '.join(CASES)}")
    parser.add_argument("--structures", type=int, help="no more than so many")
    parser.add_argument("--rotations", type=int, default=24)
    options = parser.parse_args()
    print("| calculator | structures | property | equivariance error (RMS, eV, Å) | floor | verdict |")
    print("|---|---|---|---|---|---|")
    for name in options.calculators or [name for name, case in CASES.items() if installed(case.package)]:
        for row in rows(name, options.structures, options.rotations):
            print(row, flush=True)


if __name__ == "__main__":
    main()
