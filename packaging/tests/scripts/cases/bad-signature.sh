# What is in the package is not what was signed: the version that was there stays.
install 1
show
touch /state/codesign-fails
install 2
show
