# systemextensionsctl and launchctl do not do their part: installed all the same.
touch /state/launchctl-fails /state/systemextensionsctl-fails
install 1
daemon
uninstall
show
