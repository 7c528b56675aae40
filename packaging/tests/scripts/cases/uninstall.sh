# All goes but alerts.
install 1
daemon
mkdir -p "$support/rules" /Library/Logs/Vedette
echo 'alerts.keep = 3' > "$support/config.toml"
for file in alerts.ndjson alerts.ndjson.1.gz health.ndjson .lock; do echo line > "/Library/Logs/Vedette/$file"; done
show
uninstall --everything
uninstall
show
