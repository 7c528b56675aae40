# All goes; the extension with the next restart (4). Then it can be installed again, in the same boot.
install 1
daemon
mkdir -p /Library/Logs/Vedette
echo alert > /Library/Logs/Vedette/alerts.ndjson
answer 4
show
uninstall --purge
show
install 1
answer 0
daemon
show
