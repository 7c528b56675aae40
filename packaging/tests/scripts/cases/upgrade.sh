# A newer version: the app is another as a whole; configuration, rules, alerts stay; the extension is asked for again in
# the same boot, as it is of another version.
install 1
daemon
mkdir -p "$support/rules" /Library/Logs/Vedette
echo 'alerts.keep = 3' > "$support/config.toml"
echo rule > "$support/rules/own.toml"
echo alert > /Library/Logs/Vedette/alerts.ndjson
touch /Applications/Vedette.app/Contents/of-the-old-version
show
install 2
show
daemon
show
ls /Applications/Vedette.app/Contents
