# Back to the older version, as after a bad one.
install 2
daemon
show
install 1
daemon
show
cat /state/extensions
