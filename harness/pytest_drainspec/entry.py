"""What an installed pytest-drainspec registers: the plugin itself, under the one name that `-p pytest_drainspec` uses
too, so that having both is not an error."""

pytest_plugins = ["pytest_drainspec"]
