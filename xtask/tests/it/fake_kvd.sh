#!/bin/sh
# Stands in for kvd: it only stays. Called as `kvd run --name NAME --dir DIR --client ADDRESS ...`.
here=$(dirname "$0")
name=$3 address=$7
echo "$name starts at $address" >&2
if [ -e "$here/broken-$name" ]; then
    echo "$name cannot open its log" >&2
    exit 7
fi
echo "$$" > "$here/$address.pid"
exec sleep 600
