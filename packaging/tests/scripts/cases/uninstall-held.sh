# A profile holds the extension (7): nothing goes, and it says what must go first. Then macOS refuses otherwise (1).
install 1
daemon
answer 7
uninstall --purge
answer 1
uninstall
show
