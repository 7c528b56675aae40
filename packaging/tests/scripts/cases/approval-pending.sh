# The user has not agreed yet (3): nobody asks again, not after a restart either, nor for another version.
install 1
answer 3
daemon
show
daemon
restart
daemon
install 2
daemon
show
echo "== the user agrees; the extension is of the old version"
extension "$(sed -n 's/.*(\(.*\)).*/\1/p' /state/extensions)" "activated enabled"
answer 0
daemon
show
cat /state/extensions
