#!/bin/sh
# The main job, shown: the battery against a good server, then against one with a fault.
# Succeeds when the good one passes and the faulty one is found out.
set -u
check() {
	./drainspec check --slow gate --stream 'GET /gate/chunked' --big 'GET /big' --upload 'POST /upload' \
		--grace 3s -- fixtures/bin/http1_server --port '${PORT}' "$@"
}
echo '$ drainspec check --slow gate ... -- fixtures/bin/http1_server --port ${PORT}'
check
good=$?
echo
echo '$ drainspec check --slow gate ... -- fixtures/bin/http1_server --port ${PORT} --fault drop-inflight'
check --fault drop-inflight
bad=$?
echo
if [ "$good" = 0 ] && [ "$bad" = 1 ]; then
	echo "demo: the good server passed (exit 0), the faulty one was found out (exit 1)."
	exit 0
fi
echo "demo: expected exit 0 and 1, got $good and $bad" >&2
exit 1
