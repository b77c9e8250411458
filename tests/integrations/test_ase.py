"""Calculators of ASE: exact ones, wrong ones, those with known closed forms, files, and bad input."""

import runpy
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress
from ase.calculators.lj import LennardJones
from ase.calculators.mixing import SumCalculator
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from ase.io import write
from calculators import FewNeighbours, ForgottenCell, LabAxis, Pairs, Spring, crystals

from equidyn import measure
from equidyn.integrations.ase import Symmetrised, measure_calculator, single_point
from equidyn.measuring.examples import MeasureError

CASES = runpy.run_path(str(Path(__file__).parents[2] / "examples/calculators.py"))["CASES"]
REAL = {name: case for name, case in CASES.items() if case.package != "equidyn"}  # ours are not equivariant
CRYSTALS = crystals(10)
METALS = CRYSTALS[:7]  # of which EMT has parameters
A = np.array([[1.0, 0.2, 0.0], [0.2, 1.5, -0.3], [0.0, -0.3, 0.5]])


def clouds(count):
    """Atoms about the origin, of formulas of their own, with stored results."""
    rng = np.random.default_rng(0)
    found = []
    for number in range(count):
        atoms = Atoms(f"C{number + 1}H3", rng.normal(size=(number + 4, 3)))
        forces = rng.normal(size=atoms.positions.shape)
        atoms.arrays["REF_forces"] = forces
        atoms.calc = SinglePointCalculator(atoms, energy=rng.normal(), forces=forces)
        found.append(atoms)
    return found


class Failing(Pairs):
    """Fails for, or gives no number for, a structure of an element."""

    def __init__(self, element, how):
        super().__init__()
        self.element, self.how = element, how

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        """Energy, forces and stress, or not."""
        super().calculate(atoms, properties, system_changes)
        if self.element in atoms.symbols:
            self.how(self.results)


def raise_error(results):
    raise RuntimeError("no convergence")


class TestMeasurement:
    def test_numbers_are_those_of_the_functions(self):
        items = clouds(10)
        found = measure_calculator(Spring(A), items, "stored", exact=5, clusters="structures", floors=False)
        points = [item.positions for item in items]
        true = {
            "energy": [item.calc.results["energy"] for item in items],
            "forces": [item.calc.results["forces"] for item in items],
        }
        expected = measure(
            lambda many: {"energy": [(x @ A * x).sum() / 2 for x in many], "forces": [-x @ A for x in many]},
            points,
            true,
            exact=5,
            floors=False,
        )
        for name in ("energy", "forces", "energy per atom"):
            assert found[name].numbers == pytest.approx(expected[name].numbers, rel=1e-9), name

    @pytest.mark.parametrize(
        "calculator", [EMT, LennardJones(sigma=2.5, rc=6), Pairs(), SumCalculator([Pairs(), Pairs()])]
    )
    @pytest.mark.parametrize("group", ["SO(3)", "O(3)", "translations"])
    def test_exact_calculators_are_exact(self, calculator, group):
        found = measure_calculator(calculator, METALS, group=group, rotations=4)
        assert found.turned == ("cell", "positions")
        assert set(found.properties) >= {"energy", "forces", "energy per atom"}
        for name, one in found.properties.items():
            assert one.rmse["equivariance"] < 1e-12, name

    @pytest.mark.parametrize("rattle", [0, 0.1])
    @pytest.mark.parametrize(("dtype", "most"), [(np.float32, 1e-7), (np.float64, 1e-14)])
    def test_rounding_is_round_off(self, rattle, dtype, most):
        """Also where symmetry cancels forces, where stresses are divided in double precision, and where the order of
        neighbours depends on the orientation."""
        found = measure_calculator(Pairs(dtype), crystals(10, rattle=rattle))
        assert found["stress"].rmse["equivariance"] > most / 1e5
        for one in found.properties.values():
            assert one.rmse["equivariance"] < most
            assert one.verdict == "round-off"

    @pytest.mark.parametrize(
        ("calculator", "suspect"),
        [(ForgottenCell(), "a cell that is not turned"), (LabAxis(), "a feature tied to the z axis of the laboratory")],
    )
    def test_wrong_calculators_are_wrong(self, calculator, suspect):
        found = measure_calculator(calculator, CRYSTALS)
        for one in found.properties.values():
            assert one.rmse["equivariance"] > 1e-5
            assert one.verdict == "real"
            assert one.suspects[0].name == suspect

    def test_ties_that_rounding_breaks_are_an_error(self):
        found = measure_calculator(FewNeighbours(), crystals(10, rattle=0))
        assert found["forces"].relative_error > 0.1
        assert found["forces"].verdict == "real"
        assert "neighbours" in found["forces"].suspects[0].name
        assert found["energy"].verdict == "round-off"

    def test_constraints_are_left_out(self):
        items = clouds(10)
        for item in items:
            item.set_constraint(FixAtoms([0]))
        found = measure_calculator(Spring(A), items, exact=5)["forces"]
        free = measure_calculator(Spring(A), clouds(10), exact=5)["forces"]
        assert found.numbers == pytest.approx(free.numbers, nan_ok=True)

    def test_a_factory_is_called_once_and_nothing_is_remembered(self):
        made = []

        class Remembering(Pairs):
            """Adds how many calculations were made since everything changed."""

            def __init__(self):
                super().__init__()
                made.append(self)

            def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
                """Energy, forces and stress."""
                self.count = 0 if set(system_changes) >= set(all_changes) else self.count + 1
                super().calculate(atoms, properties, system_changes)
                self.results["energy"] += self.count

        assert measure_calculator(Remembering, CRYSTALS[:3])["energy"].rmse["equivariance"] < 1e-12
        assert len(made) == 1

    def test_chance_shows_in_the_floor(self):
        """Though structures that are turned by nothing are equal, and calculators keep results of equal ones."""
        rng = np.random.default_rng(0)

        class Random(Pairs):
            def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
                super().calculate(atoms, properties, system_changes)
                self.results["energy"] += rng.normal()

        assert measure_calculator(Random(), CRYSTALS)["energy"].floor == pytest.approx(1, rel=0.5)

    def test_results_are_copies(self):
        class Reusing(Pairs):
            """Fills the same arrays again."""

            kept = np.zeros((4, 3))

            def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
                super().calculate(atoms, properties, system_changes)
                self.kept[:] = self.results["forces"]
                self.results["forces"] = self.kept

        found = measure_calculator(Reusing(), CRYSTALS[:2], rotations=4)["forces"]
        expected = measure_calculator(Pairs(), CRYSTALS[:2], rotations=4)["forces"]
        assert found.numbers == pytest.approx(expected.numbers, nan_ok=True)


@pytest.mark.filterwarnings("ignore")  # of other packages
@pytest.mark.parametrize("name", REAL)
def test_calculators_of_people_are_round_off(name):
    """In double and in single precision, with distances that are equal by symmetry and without."""
    case = REAL[name]
    pytest.importorskip(case.package, reason=f"{case.package} is not installed, see the extra calculators")
    calculator = case.make()
    for rattle in (0, case.rattle):
        items = case.structures()[:3]
        for number, atoms in enumerate(items):
            atoms.rattle(rattle, seed=number)
        found = measure_calculator(calculator, items, rotations=4)
        assert {one.verdict for one in found.properties.values()} == {"round-off"}, found


class Fourth(Pairs):
    """Energies of degree four in the rotation, which twelve rotations do not average out."""

    def anisotropy(self, directions):
        """1 + z⁴."""
        by_direction = np.zeros_like(directions)
        by_direction[:, 2] = 4 * directions[:, 2] ** 3
        return 1 + directions[:, 2] ** 4, by_direction


class TestSymmetrised:
    @pytest.mark.parametrize("group", ["SO(3)", "O(3)", "cube"])
    def test_forces_and_stress_are_derivatives_of_the_energy(self, group):
        atoms = CRYSTALS[3].repeat((2, 1, 1))
        atoms.calc = Symmetrised(Fourth, exact=2, group=group)
        forces, stress = atoms.get_forces(), atoms.get_stress()
        assert abs(forces - single_point(Fourth(), atoms, ["forces"])["forces"]).max() > 0.005
        numerical = calculate_numerical_forces(atoms, eps=1e-4, iatoms=[0, 3])
        assert forces[[0, 3]] == pytest.approx(numerical, abs=1e-8)
        assert stress == pytest.approx(calculate_numerical_stress(atoms, eps=1e-5, force_consistent=False), abs=1e-10)

    @pytest.mark.parametrize(("calculator", "exact"), [(LabAxis, 2), (Fourth, 5)])
    def test_low_degrees_are_gone(self, calculator, exact):
        found = measure_calculator(Symmetrised(calculator, exact=exact), CRYSTALS[:2], rotations=2)
        for one in found.properties.values():
            assert one.verdict == "round-off"

    def test_deviations_are_those_of_the_measurement(self):
        measured = measure_calculator(Fourth(), CRYSTALS, exact=5, floors=False)
        calculator = Symmetrised(Fourth, exact=5)
        for number in (0, 7):
            calculator.calculate(CRYSTALS[number])
            for name in ("energy", "forces", "stress"):
                table = measured[name].by_example
                deviation = calculator.results[f"{name}_std"]
                assert np.square(deviation).sum() == pytest.approx(table["equivariance"][number], rel=1e-8), name
        assert calculator.results["forces_std"].shape == (4,)

    def test_it_is_a_calculator(self):
        atoms = CRYSTALS[0].copy()
        atoms.calc = Symmetrised(EMT(), exact=2)
        exact = single_point(EMT(), atoms, ["energy", "forces", "stress", "energies"])
        assert atoms.get_potential_energy() == pytest.approx(exact["energy"])
        assert atoms.get_stress(voigt=False) == pytest.approx(exact["stress"])
        assert atoms.get_potential_energies() == pytest.approx(exact["energies"])
        assert set(atoms.get_properties(["forces"])) >= {"energy", "forces", "stress"}
        assert atoms.calc.results["energy_std"] < 1e-13

    def test_the_same_energy_each_time(self):
        calculator = Symmetrised(Fourth(), exact=2)
        first, second = (single_point(calculator, CRYSTALS[0], ["energy"])["energy"] for _ in range(2))
        assert first == second

    def test_bad_settings_are_refused(self):
        with pytest.raises(MeasureError, match="no exact set of translations"):
            Symmetrised(EMT(), group="translations")
        with pytest.raises(MeasureError, match="exact: degree is 1000"):
            Symmetrised(EMT(), exact=1000)
        with pytest.raises(MeasureError, match="no calculator of ASE"):
            Symmetrised("emt")


class TestFiles:
    def test_targets_that_a_file_stores(self, tmp_path):
        items = clouds(12)
        write(tmp_path / "a.extxyz", items)
        stored = measure_calculator(Spring(A), tmp_path / "a.extxyz", "stored", exact=3)
        named = measure_calculator(Spring(A), items, {"forces": "REF_forces"}, exact=3)
        given = measure_calculator(
            Spring(A), items, [item.arrays["REF_forces"] for item in items], exact=3, properties="forces"
        )
        assert stored["energy"].percent > 0
        assert not any("REF_forces" in text for text in named.warnings)
        assert any("REF_forces" in text for text in stored.warnings)
        assert np.isnan(named["energy"].percent)
        for found in (stored, given):
            assert found["forces"].percent == pytest.approx(named["forces"].percent, rel=1e-5)

    @pytest.mark.parametrize(("index", "count"), [("", 12), ("@2:7", 5), ("@3", 1)])
    def test_frames_are_chosen(self, tmp_path, index, count):
        write(tmp_path / "a.extxyz", clouds(12))
        found = measure_calculator(Spring(A), f"{tmp_path / 'a.extxyz'}{index}", rotations=2, floors=False)
        assert found["energy"].numbers["examples"] == count

    def test_stresses_of_six_components(self):
        six = [np.arange(6.0) + number for number in range(10)]
        full = [np.array([[s[0], s[5], s[4]], [s[5], s[1], s[3]], [s[4], s[3], s[2]]]) for s in six]
        found, expected = (
            measure_calculator(LabAxis(), CRYSTALS, {"stress": values}, exact=3, floors=False) for values in (six, full)
        )
        assert found["stress"].numbers == expected["stress"].numbers


class TestClusters:
    def test_structures_of_a_formula_are_one(self):
        found = measure_calculator(Pairs(), [*CRYSTALS, *CRYSTALS], rotations=2, floors=False)
        assert found["energy"].numbers["clusters"] == 10
        assert not any("formula" in text for text in found.warnings)

    def test_one_formula_alone_is_noted(self):
        items = [CRYSTALS[0]] * 20
        found = measure_calculator(Pairs(), items, rotations=2, floors=False)
        assert found["energy"].numbers["clusters"] == 20
        assert any("frames of a trajectory" in text and "Cu4" in text for text in found.warnings)
        found = measure_calculator(Pairs(), items, rotations=2, floors=False, clusters=8)
        assert found["energy"].numbers["clusters"] == 3
        assert any("clusters of examples (3)" in text for text in found.warnings)

    def test_one_structure_is_noted(self):
        found = measure_calculator(Pairs(), CRYSTALS[0], rotations=2, floors=False)
        assert any("clusters of examples (1)" in text for text in found.warnings)


class TestBadInput:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"structures": "nowhere.xyz"}, "there is no file nowhere.xyz"),
            ({"structures": "nowhere.xyz@3:"}, "there is no file nowhere.xyz"),
            ({"structures": "empty.xyz"}, "ASE cannot read empty.xyz"),
            ({"structures": "strange.foo"}, "ASE cannot read strange.foo"),
            ({"structures": "one.xyz@5:"}, "one.xyz@5: holds none"),
            ({"structures": []}, "there are none"),
            ({"structures": [molecule("H2O"), "H2O"]}, "number 1 is of type str"),
            ({"calculator": "emt"}, "'emt' is no calculator"),
            ({"calculator": dict}, "no calculator of ASE"),
            ({"properties": ["energy", "dipole"]}, "has no 'dipole'; it implements energy, forces, stress"),
            ({"properties": ["born_charges"]}, "'born_charges' cannot be measured"),
            ({"properties": ["stress"], "structures": [*CRYSTALS, molecule("H2")]}, "needs a cell, which structure 10"),
            ({"properties": []}, "name some"),
            ({"calculator": Failing("Al", raise_error)}, "fails for structure 3, Al4: RuntimeError: no convergence"),
            ({"calculator": Failing("Ag", lambda found: found.pop("forces"))}, "structure 1, Ag4: .*no 'forces'"),
            (
                {"calculator": Failing("Au", lambda found: found.update(energy=np.nan))},
                "structure 2, Au4: its 'energy' is not finite",
            ),
            ({"targets": "stored"}, "store none of energy, forces, stress.*REF_energy"),
            ({"targets": "store"}, "'store' is not known"),
            ({"targets": {"energy": "dft"}}, "structure 0 has no array and no info 'dft'"),
            ({"targets": {"dipole": np.zeros((10, 3))}}, "not 'dipole'"),
            ({"clusters": "molecules"}, "'molecules' is not known"),
            ({"clusters": 0}, "0 consecutive structures"),
            ({"clusters": [1, 2]}, "give one for each"),
            ({"kinds": {"spin": "vectors"}}, "of the name 'spin'"),
        ],
    )
    def test_is_refused(self, tmp_path, monkeypatch, options, message):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "empty.xyz").touch()
        (tmp_path / "strange.foo").write_text("what is this")
        write("one.xyz", molecule("H2O"))
        with pytest.raises(MeasureError, match=message):
            measure_calculator(**{"calculator": Pairs(), "structures": CRYSTALS, "floors": False} | options)

    def test_results_that_some_structures_lack(self):
        items = clouds(3)
        items[1].calc = None
        with pytest.raises(MeasureError, match="structure 1 stores no 'energy'"):
            measure_calculator(Spring(A), items, "stored")

    def test_moments_that_are_vectors(self):
        class Magnet(Calculator):
            implemented_properties = ("magmoms",)

            def calculate(self, atoms=None, properties=(), system_changes=all_changes):
                self.results = {"magmoms": np.zeros((len(atoms), 3))}

        with pytest.raises(MeasureError, match="'magmoms' are vectors"):
            measure_calculator(Magnet(), [bulk("Fe")], properties="magmoms")
