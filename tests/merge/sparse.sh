# Files with holes at every place where one can be. Usage: bash sparse.sh DIRECTORY
set -eu
mkdir "$1" && cd "$1"
block() { printf "$1%.0s" $(seq 4096); }
truncate -s 1M all-hole
truncate -s 12345678 odd-length
block a > front; truncate -s 1M front
truncate -s 1020K back; block b >> back
truncate -s 9G huge; block h | dd of=huge bs=4096 seek=2359295 conv=notrunc status=none
truncate -s 16M many
for at in $(seq 1 60); do block m | dd of=many bs=4096 seek=$((at * 66)) conv=notrunc status=none; done
block t > touching; truncate -s 64K touching; printf tail | dd of=touching bs=1 seek=65536 conv=notrunc status=none
echo dense > dense
name=$(printf 's%.0s' $(seq 150)); truncate -s 256K "$name"; printf long | dd of="$name" bs=4096 seek=9 conv=notrunc status=none
