"""What each command of the command line does; `options` says how they are called."""
