# The targets that are not C, for the Makefile to include. Each script is incremental and works
# offline once its things are cached; a missing toolchain (status 77) skips its targets, except in CI,
# where the scripts fail.
.PHONY: real-targets go-targets node-targets python-targets rust-targets java-targets apt-targets real-report

real-targets: go-targets node-targets python-targets rust-targets java-targets apt-targets
	@harness/setup/toolchains.sh

go-targets:
	@harness/setup/go.sh || test $$? -eq 77
node-targets:
	@harness/setup/node.sh || test $$? -eq 77
python-targets:
	@harness/setup/python.sh || test $$? -eq 77
rust-targets:
	@harness/setup/rust.sh || test $$? -eq 77
java-targets:
	@harness/setup/java.sh || test $$? -eq 77
apt-targets:
	@harness/setup/apt.sh @check @real || test "$$CI" != true
real-report:
	@harness/setup/toolchains.sh -a
