#!/bin/sh
# Builds the Java targets into build/java/: JdkTarget needs a JDK alone, JettyTarget also Maven, once, for the archives that
# fixtures/java/pom.xml names; each must have the checksum of java.sums. Done once, it needs no network. Without a JDK >= 17: one
# line, exit 77 (skip), or, with CI=true, exit 1.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
src=$root/fixtures/java
dest=$root/build/java

skip() {
	echo "java.sh: $*" >&2
	[ "${CI:-}" = true ] && exit 1
	exit 77
}

built() { # newer than all that it is made of?
	[ -e "$1" ] && [ -z "$(find "$src" "$here/java.sums" -newer "$1")" ]
}

built "$dest/.complete" && exit 0
version=$(javac -version 2>&1 | sed -n 's/^javac \([0-9]*\).*/\1/p')
[ "${version:-0}" -ge 17 ] || skip "no JDK >= 17: the Java targets are skipped (harness/setup/apt.sh openjdk-17-jdk-headless maven)"
mkdir -p "$dest/lib"
rm -f "$dest"/*.class "$dest"/.*complete*
nice javac -nowarn -d "$dest" -sourcepath "$src" "$src/JdkTarget.java"
: >"$dest/.jdk-complete"
echo "built java/jdk"

if ! (cd "$dest/lib" && sha256sum --check --quiet --status "$here/java.sums" 2>/dev/null); then
	command -v mvn >/dev/null 2>&1 || skip "no Maven: java/jetty is skipped (harness/setup/apt.sh maven)"
	rm -f "$dest"/lib/*
	nice mvn -q -B -ntp -f "$src/pom.xml" dependency:copy-dependencies "-DoutputDirectory=$dest/lib" >"$dest/mvn.log" 2>&1 || {
		cat "$dest/mvn.log" >&2
		exit 1
	}
	(cd "$dest/lib" && sha256sum --check --quiet "$here/java.sums")
fi
nice javac -nowarn -d "$dest" -cp "$dest/lib/*" -sourcepath "$src" "$src/JettyTarget.java"
: >"$dest/.complete"
echo "built java/jetty"
