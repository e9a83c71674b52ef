#!/bin/sh
# Stands in for kvctl: a node answers if its stand-in runs, the first one that does leads, one file is the store.
here=$(dirname "$0")
endpoints=$2
while [ "${1#-}" != "$1" ]; do shift 2; done
case $1 in
put) echo "$3" > "$here/store" ;;
get) cat "$here/store" ;;
del) rm "$here/store" ;;
bench) echo '{"op":"'"$3"'","callers":'"$7"',"connections":'"$9"',"seconds":1,"operations":100,"errors":0,
    "ops_per_second":100,"p50_us":10,"p99_us":20,"p999_us":30}' ;;
status)
    role=leader separator='' code=5
    printf '{"nodes":['
    for address in $(echo "$endpoints" | tr , ' '); do
        pid=$(cat "$here/$address.pid" 2> /dev/null)
        printf '%s{"client_address":"%s",' "$separator" "$address"
        if [ -n "$pid" ] && [ -n "$(tr -d '\0' 2> /dev/null < "/proc/$pid/cmdline")" ]; then
            printf '"reachable":true,"role":"%s","term":1,"commit_index":4,"applied_index":4}' "$role"
            role=follower code=0
        else
            printf '"reachable":false,"error":"connection refused"}'
        fi
        separator=,
    done
    echo ']}'
    exit "$code"
    ;;
esac
