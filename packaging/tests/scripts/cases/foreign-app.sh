# A link in the app's place is replaced, and what it leads to stays; somebody's own command of the same name stays.
mkdir -p /elsewhere/Contents/MacOS
ln -s /elsewhere /Applications/Vedette.app
echo mine > /usr/local/bin/vedette
install 1
show
find /elsewhere
