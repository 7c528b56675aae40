# A member of admin has put another app into its place: root does not run it.
install 1
mv /Applications/Vedette.app /Applications/Old.app
cp -a /Applications/Old.app /Applications/Vedette.app
chmod 775 /Applications/Vedette.app/Contents/MacOS
show
daemon
extension any "activated enabled"
uninstall
show
