#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# @WHAT@
#
# To be run as root. Everything is made in a new folder in ${TMPDIR:-/var/tmp}, and is gone at the end; nothing else
# is written to. Exit code: 0 all is as the model says, 1 something is different, 2 it could not be tried.

set -u
count=@COUNT@
size=@SIZE@

refuse() {
    echo "$0: $1" >&2
    exit 2
}

[ "$(id -u)" = 0 ] || refuse "run this as root: it makes loop devices and mounts"
for tool in losetup mkfs.btrfs btrfs mount umount mountpoint python3 truncate fallocate chattr df; do
    command -v $tool > /dev/null || refuse "$tool is missing: install it"
done
place=${TMPDIR:-/var/tmp}
free=$(df --output=avail -B1 "$place" | tail -n 1)
[ "${free:-0}" -gt $((count * 67108864 + @BYTES@)) ] ||
    refuse "$place has too little space: set TMPDIR to a folder with more"
work=$(mktemp -d "$place/iodiff-repeat-XXXXXXXXXX") || refuse "no folder can be made in $place"
work=$(realpath "$work")
mnt=$work/mnt
devices=()

# Whether loop device $1 is on our file $2: only such a device is formatted, mounted or detached.
ours() {
    [ "$(losetup --noheadings --output BACK-FILE "$1" 2> /dev/null)" = "$2" ]
}

clean() {
    trap '' INT TERM HUP
    mountpoint -q "$mnt" && umount "$mnt"
    [ -d "$work/tracing/instances/${work##*/}" ] && rmdir "$work/tracing/instances/${work##*/}"
    mountpoint -q "$work/tracing" && umount "$work/tracing"
    for n in "${!devices[@]}"; do
        btrfs device scan --forget "${devices[n]}" > /dev/null 2>&1
        ours "${devices[n]}" "$work/device-$n.img" && losetup --detach "${devices[n]}"
        # Detached when nobody looks at it any more.
        for _ in $(seq 50); do
            ours "${devices[n]}" "$work/device-$n.img" || break
            sleep 0.1
        done
    done
    rm -f "$work"/device-*.img "$work/repeat.py"
    rmdir "$mnt" "$work/tracing" "$work"
}
trap clean EXIT
trap 'exit 2' INT TERM HUP

try() {
    "$@" || refuse "failed: $*"
}

mount_it() {
    others=$(printf ',device=%s' "${devices[@]}")
    try mount -i -t btrfs -o "@OPTIONS@$others" "${devices[0]}" "$mnt"
}

# write FILE OFFSET LENGTH SEED WORDS: blocks each of which counts up, for so many words of 8 bytes
write() {
    try python3 "$work/repeat.py" write "$mnt/$1" "$2" "$3" "$4" "$5"
}

# share SOURCE OFFSET LENGTH FILE OFFSET: FICLONERANGE
share() {
    try python3 "$work/repeat.py" share "$mnt/$1" "$2" "$3" "$mnt/$4" "$5"
}

mkdir "$mnt" "$work/tracing"
try mount -t tracefs iodiff-repeat "$work/tracing"
cat > "$work/repeat.py" << 'END OF REPEAT.PY'
@PROGRAM@END OF REPEAT.PY

for ((n = 0; n < count; n++)); do
    try truncate --size $size "$work/device-$n.img"
    devices+=("$(losetup --find --show "$work/device-$n.img")")
    ours "${devices[n]}" "$work/device-$n.img" || refuse "no loop device could be made"
done
try mkfs.btrfs -q @MKFS@ "${devices[@]}"
mount_it
try mkdir "$mnt/donors"
try btrfs -q subvolume create "$mnt/files"

@STEPS@

try sync --file-system "$mnt"
# So that nothing of the files is in memory.
try umount "$mnt"
mount_it

python3 "$work/repeat.py" read "$work" "${devices[@]}" << 'END OF READS'
@READS@
END OF READS
result=$?
[ $result -le 1 ] || exit 2
exit $result
