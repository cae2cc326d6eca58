#!/bin/sh
# Print C source that holds the given files: struct battery_file battery_files[] of cli/cli.h.
set -eu
echo '#include "cli/cli.h"'
echo 'const struct battery_file battery_files[] = {'
for f in "$@"; do
	printf '\t{"battery/%s",\n' "$(basename "$f")"
	sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/\t "/' -e 's/$/\\n"/' "$f"
	printf '\t , %s},\n' "$(wc -c < "$f")"
done
echo '};'
echo 'const unsigned long n_battery_files = sizeof battery_files / sizeof *battery_files;'
