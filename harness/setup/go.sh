#!/bin/sh
# Builds the Go target programs into fixtures/bin/go/. The Go tool's cache makes it incremental;
# once the modules are cached it needs no network. Without Go: one line, exit 77 (skip), or, with
# CI=true, exit 1. Arguments name single programs: go.sh ./nethttp
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
go=${GO:-go}

if ! command -v "$go" >/dev/null 2>&1; then
	echo "go.sh: no Go toolchain: the Go targets are skipped (harness/setup/apt.sh @lang)" >&2
	[ "${CI:-}" = true ] && exit 1
	exit 77
fi
mkdir -p "$root/fixtures/bin/go"
cd "$root/fixtures/go"
# Static, without paths of this machine, with exactly the modules of go.sum and this toolchain.
export CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS=-mod=readonly

# The programs on gRPC and on the Kubernetes API server need Go 1.21; all others are content with 1.19.
minor=$("$go" env GOVERSION | sed -n 's/^go1\.\([0-9]*\).*/\1/p')
if [ $# -eq 0 ]; then
	for program in */main.go; do
		program=./$(dirname "$program")
		if [ "${minor:-99}" -lt 21 ] && grep -q -e k8s.io/ -e internal/greeter "$program/main.go"; then
			echo "go.sh: $program needs Go 1.21 and is skipped: this is 1.$minor" >&2
		else
			set -- "$@" "$program"
		fi
	done
fi
exec nice "$go" build -trimpath -buildvcs=false -ldflags='-s -w' -o ../bin/go/ "$@"
