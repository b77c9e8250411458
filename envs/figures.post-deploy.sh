#!/usr/bin/env bash
# The package itself, from this repository; its dependencies are in figures.yaml.
set -euo pipefail
python -m pip install --no-deps --no-build-isolation --editable .
