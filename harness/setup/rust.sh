#!/bin/sh
# Builds the Rust target programs into fixtures/bin/rust/, with exactly the crates of Cargo.lock. Cargo makes it
# incremental; once the crates are there it needs no network. Without a Rust that is new enough: one line, exit 77 (skip), or,
# with CI=true, exit 1.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
cargo=${CARGO:-cargo}
need=89 # 1.89: the newest that one of the crates asks for

minor=$("$cargo" --version 2>/dev/null | sed -n 's/^cargo 1\.\([0-9]*\).*/\1/p')
if [ "${minor:-0}" -lt "$need" ]; then
	echo "rust.sh: no Rust >= 1.$need (found: ${minor:+1.}${minor:-none}): the Rust targets are skipped (rustup, or a newer Debian)" >&2
	[ "${CI:-}" = true ] && exit 1
	exit 77
fi
mkdir -p "$root/build/rust" "$root/fixtures/bin/rust"
cd "$root/fixtures/rust"
export CARGO_TARGET_DIR="$root/build/rust"
nice "$cargo" build --locked --quiet
for program in axum actix; do
	# replaced, not written over: the old one may be running
	cmp -s "$CARGO_TARGET_DIR/debug/$program-target" "$root/fixtures/bin/rust/$program" && continue
	cp "$CARGO_TARGET_DIR/debug/$program-target" "$root/fixtures/bin/rust/$program.new"
	mv "$root/fixtures/bin/rust/$program.new" "$root/fixtures/bin/rust/$program"
	echo "built rust/$program"
done
