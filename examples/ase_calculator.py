"""What share of a calculator's error is broken symmetry: an exact potential, and one that knows where up is."""

from ase.build import bulk
from ase.calculators.calculator import all_changes
from ase.calculators.emt import EMT

from equidyn.integrations.ase import measure_calculator


class Tilted(EMT):
    """EMT in a field that acts on copper alone: energies and forces depend on the orientation."""

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        """Energy, forces and stress."""
        super().calculate(atoms, properties, system_changes)
        self.results["energy"] += 0.01 * self.atoms.positions[self.atoms.symbols == "Cu", 2].sum()
        self.results["forces"][self.atoms.symbols == "Cu", 2] -= 0.01


structures = []
for number, (first, second) in enumerate([("Cu", "Au"), ("Cu", "Ag"), ("Cu", "Pd"), ("Cu", "Ni"), ("Cu", "Pt")] * 2):
    atoms = bulk(first, "fcc", a=4.0, cubic=True).repeat((1, 1, 1 + number // 5))
    atoms.symbols[0] = second
    atoms.rattle(0.1, seed=number)
    structures.append(atoms)

# Any calculator will do as the truth; a file with energies and forces is usual: `targets="stored"`.
truth = {"energy": [], "forces": []}
for atoms in structures:
    atoms.calc = EMT(asap_cutoff=True)
    truth["energy"].append(atoms.get_potential_energy())
    truth["forces"].append(atoms.get_forces())

print(measure_calculator(EMT(), structures, truth), end="\n\n")
print(measure_calculator(Tilted, structures, truth))
