# A link in the place of the folder would lead root's writes elsewhere.
mkdir /elsewhere
ln -s /elsewhere "$support"
install 1
show
