# Another volume than the one that runs: refused before anything is written.
install 1 /Volumes/Other
show
