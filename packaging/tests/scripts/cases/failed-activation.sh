# macOS refuses (a policy, 7): said in the log, and not asked again before the Mac is restarted.
install 1
answer 7
daemon
daemon
show
restart
daemon
show
