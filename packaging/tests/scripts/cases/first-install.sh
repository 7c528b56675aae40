# Nothing was there. The daemon asks once, macOS agrees, and there is nothing left to ask.
install 1
show
daemon
show
daemon
show
