# Somebody has thrown the app away. macOS still has the extension, and only the app can ask for its removal.
install 1
daemon
rm -rf /Applications/Vedette.app
uninstall
echo "== macOS has noticed"
: > /state/extensions
uninstall
show
