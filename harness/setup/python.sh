#!/bin/sh
# Makes one virtual environment per line-up in python/NAME.txt at build/real/py/NAME: pinned, with
# checksums, wheels only. `python.sh` all of them, `python.sh NAME...` only these. Done once, it
# needs no network. Without a Python that can make environments: one line, exit 77 (skip), or,
# with CI=true, exit 1.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
real=$root/build/real/py

# Debian's own interpreter first: a version manager's shim is slower and may change under us.
python=
for candidate in ${PYTHON:-} /usr/bin/python3 python3; do
	if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' \
		>/dev/null 2>&1; then
		python=$candidate
		break
	fi
done

if [ $# -eq 0 ]; then
	for file in "$here"/python/*.txt; do set -- "$@" "$(basename "$file" .txt)"; done
fi
for name in "$@"; do
	list=$here/python/$name.txt
	[ -f "$list" ] || { echo "python.sh: no python/$name.txt" >&2; exit 1; }
	cmp -s "$list" "$real/$name/.complete" && continue
	if [ -z "$python" ]; then
		echo "python.sh: no Python >= 3.10 with venv: skipped (harness/setup/apt.sh python3-venv)" >&2
		[ "${CI:-}" = true ] && exit 1
		exit 77
	fi
	# "# Python >= 3.11": there are no wheels for an older one
	least=$(sed -n 's/^# Python >= 3\.\([0-9]*\).*/\1/p' "$list")
	if ! "$python" -c "import sys; sys.exit(sys.version_info < (3, ${least:-10}))"; then
		echo "python.sh: $name needs Python >= 3.$least: skipped" >&2
		[ "${CI:-}" = true ] && exit 1
		continue
	fi
	rm -rf "${real:?}/$name"
	mkdir -p "$real"
	"$python" -m venv "$real/$name"
	"$real/$name/bin/python" -m pip install --quiet --disable-pip-version-check \
		--no-deps --only-binary :all: --require-hashes -r "$list"
	cp "$list" "$real/$name/.complete"
	echo "installed py/$name"
done
