#!/bin/sh
# apt.sh PACKAGE|@GROUP...: installs the Debian packages that are missing; silent when none is.
# @GROUP stands for the lines of packages.txt. Nothing that comes with a package is started, now or
# at the next boot: the harness launches its targets itself.
# shellcheck disable=SC2086,SC2116 # package lists are split into words on purpose
set -eu
here=$(cd "$(dirname "$0")" && pwd)
policy=/usr/sbin/policy-rc.d
saved=$policy.drainspec-saved

say() { echo "apt.sh: $*" >&2; }

wanted() { # the arguments with every @GROUP replaced by its packages
	for word in "$@"; do
		case $word in
		@*)
			group=$(sed -n "s/^${word#@}:[[:space:]]*//p" "$here/packages.txt")
			[ -n "$group" ] || { say "no group '${word#@}' in packages.txt"; exit 2; }
			echo "$group"
			;;
		-*) say "usage: apt.sh PACKAGE|@GROUP..."; exit 2 ;;
		*) echo "$word" ;;
		esac
	done
}

missing() {
	for package in "$@"; do
		state=$(dpkg-query -W -f='${db:Status-Status}\n' "$package" 2>/dev/null || true)
		case "
$state
" in
		*"
installed
"*) ;;
		*) echo "$package" ;;
		esac
	done
}

known() { # has every package a version that can be installed?
	for package in "$@"; do
		apt-cache policy "$package" 2>/dev/null | grep -q 'Candidate: [^(]' || return 1
	done
}

# While packages are configured, invoke-rc.d and deb-systemd-invoke ask policy-rc.d; 101 forbids.
forbid_starts() {
	[ -e "$saved" ] || [ ! -e "$policy" ] || mv "$policy" "$saved"
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
}

allow_starts() {
	rm -f "$policy"
	[ ! -e "$saved" ] || mv "$saved" "$policy"
}

# What would start at the next boot: systemd's links and, elsewhere, those of /etc/rc*.d.
enabled() {
	{
		find /etc/systemd/system -type l '(' -name '*.service' -o -name '*.socket' ')'
		find /etc/rc2.d /etc/rc3.d /etc/rc4.d /etc/rc5.d -name 'S??*'
	} 2>/dev/null | sort
}

# What the packages have just enabled is disabled again, as an administrator would do it.
undo_enables() {
	enabled | comm -13 "$tmp/enabled" - | while read -r link; do
		unit=$(basename "$link")
		case $link in
		/etc/rc*) update-rc.d "${unit#S??}" disable ;;
		*) systemctl disable "$unit" || rm -f "$link" ;;
		esac >/dev/null 2>&1 || say "could not disable $unit"
	done
}

install_all() {
	apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=300 "$@"
}

[ $# -gt 0 ] || { say "usage: apt.sh PACKAGE|@GROUP..."; exit 2; }
packages=$(wanted "$@")
if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
	say "this is no Debian: please install what answers to: $(echo $packages)"
	exit 1
fi
packages=$(missing $packages)
[ -n "$packages" ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
	if command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
		exec sudo -- "$here/$(basename "$0")" $packages
	fi
	say "no rights to install: $(echo $packages)"
	say "run as root: apt-get install $(echo $packages)"
	exit 1
fi

# One at a time: a second run must not take the first one's policy-rc.d for the machine's own.
exec 9>/run/drainspec-apt.lock
flock 9
packages=$(missing $packages)
[ -n "$packages" ] || exit 0

export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 NEEDRESTART_SUSPEND=1
tmp=$(mktemp -d)
trap 'allow_starts; rm -rf "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
enabled >"$tmp/enabled"
forbid_starts
{
	if ! known $packages; then
		apt-get update -q
		install_all $packages
	else
		install_all $packages || { apt-get update -q && install_all $packages; }
	fi
} >"$tmp/log" 2>&1 9>&- || {
	tail -n 20 "$tmp/log" >&2
	say "could not install: $(echo $packages)"
	exit 1
}
undo_enables
say "installed: $(echo $packages)"
