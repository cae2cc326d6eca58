#!/bin/sh
# Prints an interpreter that can import pytest >= 7.2: $PYTHON, python3, Debian's own, then any version by name; the first that has
# pytest-xdist too, for with it the tests run side by side, else the first. None: one line on stderr, exit 1.
# The path is the interpreter's own, not a version manager's shim: those start slowly.
for also in ", xdist" ""; do
	for candidate in ${PYTHON:-} python3 /usr/bin/python3 python3.14 python3.13 python3.12 python3.11 python3.10 python3.9; do
		found=$("$candidate" -c "import sys, pytest$also
if tuple(map(int, pytest.__version__.split('.')[:2])) >= (7, 2): print(sys.executable)" 2>/dev/null)
		[ -n "$found" ] && { echo "$found"; exit 0; }
	done
done
echo "pytest.sh: no Python with pytest >= 7.2 (harness/setup/apt.sh python3-pytest, or pip install pytest)" >&2
exit 1
