"""Cost of measuring a calculator beside the calls themselves: 100 structures in 24 orientations, ASE's EMT.

    python benchmarks/measuring.py

Both sides calculate the same 2,400 structures in one process, the bare calls before and after the measurement. For bare
calls, structures are turned and laid ready outside of the clock. Seconds are of the processor, which other programs
disturb less.
"""

import argparse
import time

import numpy as np
from ase.build import bulk
from ase.calculators.emt import EMT

from equidyn.integrations.ase import measure_calculator
from equidyn.measuring.design import Design
from equidyn.measuring.plan import ROTATIONS
from equidyn.measuring.structures import Structures


def structures(count, rng):
    """Rattled crystals of 32 to 108 atoms."""
    sizes = ((2, 2, 2), (2, 2, 3), (2, 3, 3), (3, 3, 3))
    metals = ("Cu", "Ag", "Au", "Al", "Ni", "Pd", "Pt")
    found = []
    for number in range(count):
        atoms = bulk(metals[number % len(metals)], cubic=True).repeat(sizes[number % len(sizes)])
        atoms.rattle(0.1, rng=rng)
        found.append(atoms)
    return found


def bare(items, rotations):
    """Processor seconds of the calls alone, as somebody makes them who wants energy, forces and stress."""
    design, examples, calculator = Design.of("SO(3)", rotations, None, 0), Structures(items), EMT()
    seconds = 0.0
    for number, item in enumerate(items):
        elements = design.elements([number])
        turned = [examples.turn(item, elements[place]) for place in range(rotations)]
        start = time.process_time()
        for atoms in turned:
            atoms.calc = calculator
            atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()
        seconds += time.process_time() - start
    return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--structures", type=int, default=100)
    parser.add_argument("--rotations", type=int, default=ROTATIONS)
    options = parser.parse_args()
    items = structures(options.structures, np.random.default_rng(0))
    measure_calculator(EMT(), items[:2], rotations=2)  # what is loaded when it is first needed
    before = bare(items, options.rotations)
    start = time.process_time()
    measure_calculator(EMT(), items, rotations=options.rotations)
    measured = time.process_time() - start
    after = bare(items, options.rotations)
    calls = options.structures * options.rotations
    atoms = np.mean([len(item) for item in items])
    print(f"{calls} calls of EMT, {atoms:.0f} atoms on average")
    print(f"bare {before:.2f} s and {after:.2f} s, measured {measured:.2f} s")
    print(f"measured / bare: {2 * measured / (before + after):.3f}")


if __name__ == "__main__":
    main()
