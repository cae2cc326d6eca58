#!/bin/sh
# toolchains.sh [-a]: which targets cannot be launched here, and what would change that; with -a also
# those that can. What is not ready is SKIPped by the harness; with CI=true that is an error, exit 1.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
all=${1:-}
bad=0
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

ready() { [ "$all" != -a ] || printf 'ready   %-22s %s\n' "$1" "$2"; }
absent() {
	bad=$((bad + 1))
	printf 'absent  %-22s SKIP until: %s\n' "$1" "$2"
}

have() { command -v "$1" >/dev/null 2>&1; }

# target TARGET HOW TEST...
target() {
	name=$1 how=$2
	shift 2
	if "$@" >/dev/null 2>&1; then ready "$name" ""; else absent "$name" "$how"; fi
}

system_python() { /usr/bin/python3 -c "import $1"; }

for dir in "$root"/fixtures/go/*/main.go; do
	program=$(basename "$(dirname "$dir")")
	if have go; then how="harness/setup/go.sh"; else how="harness/setup/apt.sh @lang; harness/setup/go.sh"; fi
	target "go/$program" "$how" test -x "$root/fixtures/bin/go/$program"
done
while read -r _ package; do
	case $package in
	node-linux-*) item=node/${package##*@} ;;
	*) item=${package%%@*}/${package##*@} ;;
	esac
	if have npm; then how="harness/setup/node.sh"; else how="harness/setup/apt.sh @lang; harness/setup/node.sh"; fi
	target "$item" "$how" test -e "$root/build/real/$item/.complete"
done <"$root/harness/setup/node.sums"
for list in "$root"/harness/setup/python/*.txt; do
	name=$(basename "$list" .txt)
	target "py/$name" "harness/setup/apt.sh python3-venv; harness/setup/python.sh" \
		cmp "$list" "$root/build/real/py/$name/.complete"
done
for program in axum actix; do
	target "rust/$program" "harness/setup/rust.sh" test -x "$root/fixtures/bin/rust/$program"
done
if have javac; then how="harness/setup/java.sh"; else how="harness/setup/apt.sh @lang; harness/setup/java.sh"; fi
target java/jdk "$how" test -e "$root/build/java/JdkTarget.class"
target java/jetty "$how" test -e "$root/build/java/JettyTarget.class"
item=fastify/$(sed -n 's/.*"fastify": "\(.*\)".*/\1/p' "$root/fixtures/node/fastify/package.json")
target "$item" "harness/setup/node.sh" test -e "$root/build/real/$item/.complete"
target apache "harness/setup/apt.sh apache2-bin" have apache2
target lighttpd "harness/setup/apt.sh lighttpd" have lighttpd
target puma "harness/setup/apt.sh puma" have puma
target nginx "harness/setup/apt.sh nginx-light" have nginx
target haproxy "harness/setup/apt.sh haproxy" have haproxy
target nghttpd "harness/setup/apt.sh nghttp2-server" have nghttpd
target redis "harness/setup/apt.sh redis-server" have redis-server
target "gunicorn (Debian)" "harness/setup/apt.sh gunicorn" system_python gunicorn
target "uvicorn (Debian)" "harness/setup/apt.sh uvicorn" system_python uvicorn
target "http.server" "harness/setup/apt.sh python3" have python3
target tini "harness/setup/apt.sh tini" have tini
target dumb-init "harness/setup/apt.sh dumb-init" have dumb-init
target tcp_migrate_req "Linux 5.14" test -e /proc/sys/net/ipv4/tcp_migrate_req

[ "$bad" -eq 0 ] || [ "${CI:-}" != true ] || exit 1
