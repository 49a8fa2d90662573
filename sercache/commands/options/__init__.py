"""Options and help of the commands: click alone, so that `sercache --help` loads nothing heavy."""
