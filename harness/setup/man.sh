#!/bin/sh
# man.sh: prints docs/drainspec.1. Commands, options, checks, phases and protocols come from the program itself (and so from
# its tables); the rest stands here. `sh harness/setup/man.sh > docs/drainspec.1` writes it, `man.sh --check` compares.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
program=${DRAINSPEC:-$root/drainspec}
page=$root/docs/drainspec.1

[ -x "$program" ] || { echo "man.sh: no program at $program: run make first" >&2; exit 1; }

# Text of the program as roff: backslashes, minus signs, and a dot or quote at the line's begin.
roff() { sed -e 's/\\/\\e/g' -e 's/-/\\-/g' -e "s/^\([.']\)/\\\\\&\1/"; }

commands() { # "  drainspec NAME  USAGE  help" to a tagged paragraph; columns are two blanks apart
	"$program" help | sed -n 's/^  drainspec //p' | roff | awk '{
		name = $1; sub(/^[^ ]+ +/, ""); at = match($0, /  +[^ ]/)
		usage = substr($0, 1, at - 1); help = substr($0, at); sub(/^ +/, "", help)
		printf ".TP\n.B %s \\fR%s\n%s\n", name, usage, help }'
}

options() { # "  -p, --port PORT   help"
	"$program" help | sed -n '/^Options of/,/^$/s/^  //p' | roff | awk '{
		sub(/^ +/, ""); at = match($0, /  +[^ ]/)
		left = substr($0, 1, at - 1); help = substr($0, at); sub(/^ +/, "", help)
		n = split(left, word, " "); arg = ""
		if (word[n] !~ /^\\-/) { arg = " \\fI" word[n] "\\fR"; n-- }
		flags = word[1]; for (i = 2; i <= n; i++) flags = flags " " word[i]
		printf ".TP\n\\fB%s\\fR%s\n%s\n", flags, arg, help }'
}

checks() { "$program" list checks | roff | awk '{ id = $1; level = $2; sub(/^[^ ]+ +[^ ]+ +/, "")
	printf ".TP\n.B %s\n(%s) %s\n", id, level, $0 }'; }

phases() { "$program" list phases | roff | awk '
	/^ / { sub(/^ +/, ""); printf "(%s)\n", $0; next }
	{ name = $1; sub(/^[^ ]+ +/, ""); printf ".TP\n.B %s\n%s\n", name, $0 }'; }

protocols() { "$program" list protocols | roff | awk '{ name = $1; sub(/^[^ ]+ +/, "")
	printf ".TP\n.B %s\n%s\n", name, $0 }'; }

print_page() {
	version=$("$program" --version)
	cat <<-EOF
	.\\" Made by harness/setup/man.sh: change that, or the program's tables.
	.TH DRAINSPEC 1 2026 "$version" "User Commands"
	.nh
	.SH NAME
	drainspec \\- does a server shut down correctly? With evidence
	.SH SYNOPSIS
	.B drainspec check
	.RI [ options ]
	.B \\-\\-
	.I command
	.RI [ argument ...]
	.br
	.B drainspec run
	.RI [ options ]
	.IR file | directory ...
	.RB [ \\-\\-
	.IR command ...]
	.br
	.B drainspec judge
	.RB [ \\-o
	.IR format ]
	.I run_dir
	.br
	.B drainspec port
	.RB [ \\-o
	.BR text | json ]
	.I port
	.br
	.B drainspec explain
	.I id
	.br
	.B drainspec list
	.BR checks | phases | protocols | keys | scenarios | schema
	EOF
	cat <<'EOF'
.SH DESCRIPTION
.B drainspec
launches a network server, parks client connections in chosen phases of a request, sends the server
one or several signals at a proven moment, and says with evidence whether it shut down correctly.
.PP
It waits for facts and never for time: a request is in flight because the kernel shows it as
accepted and read, or because its handler called the gate, an HTTP server inside
.B drainspec
that answers when the scenario says so.
What could not be proven is UNSURE and never PASS.
Every FAIL cites lines of the event log and, where packets prove it, packets of the trace.
.PP
A check is a MUST or a SHOULD.
Only a MUST that fails makes the run fail, unless
.B \-\-strict
is given.
.SH COMMANDS
EOF
	commands
	cat <<'EOF'
.SH OPTIONS
Options of
.B check
and
.BR run .
.I TIME
is a number and a unit: 250ms, 10s.
.I REQUEST
is \(aqMETHOD /path\(aq in HTTP, and the bytes to send in raw.
EOF
	options
	cat <<'EOF'
.SH THE TARGET
.B ${PORT}
in
.I command
is replaced by the port to listen on; with named ports there is
.BI ${PORT_ name }
too.
Quote it, so that the shell leaves it alone.
The target's environment is that of
.BR drainspec ,
and:
.TP
.BR PORT ", " PORT_\fIname\fR
The same ports.
.TP
.B DRAINSPEC_GATE
Host and port of the gate.
A handler that sends \(aqGET /gate\(aq there, with the header X\-Drainspec\-Nonce of its own request, and answers
when the gate has answered, is in flight exactly as long as the scenario wants.
.TP
.B TMPDIR
A folder of this run, removed after it.
.TP
.B NOTIFY_SOCKET
With \fB\-\-ready notify\fR: the target sends READY=1 to it, as to systemd.
.SH CHECKS
.B drainspec explain
.I ID
says why a check matters, how it is proven and how to fix a server that fails it.
EOF
	checks
	cat <<'EOF'
.SH PHASES
Where a client is when the signal comes, and (in brackets) what proves it.
EOF
	phases
	cat <<'EOF'
.SH PROTOCOLS
EOF
	protocols
	cat <<'EOF'
.SH OUTCOMES
.TP
.B PASS
Judged, and it holds.
.TP
.B FAIL
It does not hold; a SHOULD is shown as WARN.
.TP
.B UNSURE
It could not be proven, either way.
.TP
.B SKIP
Not applicable, or not visible here; the reason is given.
.TP
.B BROKEN
.B drainspec
itself failed.
.SH EXIT STATUS
The first of these that applies:
.TP
.B 1
A check FAILed.
.TP
.B 3
.B drainspec
itself failed (BROKEN), or a report could not be written.
.TP
.B 2
UNSURE, and nothing worse.
.TP
.B 0
All MUST that could be judged hold.
.TP
.B 77
All scenarios were skipped.
.TP
.B 5
Nothing was selected.
.PP
Before anything was judged:
.TP
.B 4
Wrong usage, or an error in a scenario file.
.TP
.B 126
The command cannot be executed, ended before it was ready, or did not get ready in time.
.TP
.B 127
The command was not found.
.PP
Told to stop:
.TP
.BR 130 ", " 143
SIGINT, SIGTERM. All targets were ended and the reports written first.
.PP
.B drainspec port
exits with 0 if a bind with SO_REUSEADDR would succeed and with 1 if not.
.SH ENVIRONMENT
.TP
.B DRAINSPEC_TIMEOUT_MULTIPLIER
0.1 to 1000: makes deadlines longer on slow machines, and never the times that are part of a scenario.
.TP
.B NO_COLOR
No colours.
.TP
.B CI
No status line.
.TP
.B GITHUB_STEP_SUMMARY
Where
.B \-o github
adds its page.
.TP
.B TMPDIR
Where the folders for the targets are made (/tmp).
.SH FILES
.TP
.I drainspec.yaml
Settings, read from the working folder:
.B command
and the long options without their dashes.
What the command line says wins.
.TP
.IR reports/<time>\-<name> /
The evidence, one folder for each scenario:
.I events.jsonl
(what was seen),
.I wire.pcap
(the packets), the target's
.I stdout.log
and
.IR stderr.log .
It holds what the target printed and was sent: treat it as such.
.SH NOTES
To see packets and to give the target namespaces of its own
.B drainspec
needs to be root or to be allowed to make user namespaces.
Without, it works on the host's network; what cannot be seen then is SKIPped, with the reason.
.PP
WebSocket is not built yet.
.SH TLS
.B \\-P tls+http1
speaks HTTP/1 inside TLS; any protocol can stand behind the plus.
Each run makes an authority of its own, which is thrown away, and a certificate for 127.0.0.1, ::1 and localhost:
the target finds chain, key and authority in
.BR ${TLS_CERT} ,
.B ${TLS_KEY}
and
.B ${TLS_CA}
of its command, and in DRAINSPEC_TLS_CERT, DRAINSPEC_TLS_KEY and DRAINSPEC_TLS_CA.
A certificate of the target's own is not verified.
The evidence holds
.IR tls.keys ,
with which Wireshark reads the trace.
.SH EXAMPLES
.nf
drainspec check \-\- ./server \-\-port \(aq${PORT}\(aq
drainspec check \-\-slow \(aqGET /sleep\(aq \-\-grace 5s \-o junit=drain.xml \-\- ./server \-\-port \(aq${PORT}\(aq
drainspec check \-\-only in\-flight,late \-\-slow gate \-\- ./server \-\-port \(aq${PORT}\(aq
drainspec run scenarios/http1 \-\- ./server \-\-port \(aq${PORT}\(aq
drainspec judge reports/20260101\-120000\-server
drainspec port 8080
drainspec explain CON\-1
.fi
.SH SEE ALSO
.BR signal (7),
.BR ss (8),
.BR systemd.kill (5),
.BR wireshark (1)
EOF
}

case ${1:-} in
'') print_page ;;
--check) print_page | cmp -s - "$page" || { echo "man.sh: docs/drainspec.1 is not what the program says: sh harness/setup/man.sh > docs/drainspec.1" >&2; exit 1; } ;;
*) echo "usage: man.sh [--check]" >&2; exit 2 ;;
esac
