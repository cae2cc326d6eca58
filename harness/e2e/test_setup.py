"""What `make check` installs is what its tests ask for: a machine that happens to have the rest says nothing of a fresh one."""
import re

from support import ROOT

SETUP = ROOT / "harness" / "setup"


def packages(group):
    lines = re.findall(rf"^{group}:(.*)$", (SETUP / "packages.txt").read_text(), re.M)
    return {name for line in lines for name in line.split()}


def package_of(tool):
    """As toolchains.sh says what is to be installed; None: no package of Debian's."""
    found = re.search(rf'^target "?{re.escape(tool)}"? "harness/setup/apt\.sh (\S+)"', (SETUP / "toolchains.sh").read_text(), re.M)
    return found and found.group(1)


def test_servers_of_check_are_installed_by_check():
    wanted = set()
    for table in sorted((ROOT / "harness" / "real").glob("*.tsv")):
        for line in table.read_text().splitlines():
            needs = line.split("\t")[1] if line.count("\t") > 2 and not line.startswith("#") else ""
            if needs.split(" ")[0] == "apt":
                wanted |= {tool.strip() for tool in needs[4:].split("+")} - {""}
    named = {package_of(tool) for tool in wanted} - {None, "python3"}
    assert len(named) > 8, "the tables name no servers any more"
    assert named <= packages("check"), named - packages("check")
