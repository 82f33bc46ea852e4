#!/bin/sh
# Runs mosquitto and tells it when the list of devices changed, at most once in two seconds.
set -eu
folder="${1:-/broker}"
mosquitto -c "$folder/mosquitto.conf" &
broker=$!
trap 'kill -TERM "$broker" 2>/dev/null || true' TERM INT
# The list of revoked certificates and the rights beside it exist only where there are certificates.
listed() { stat -c '%i %Y %s' "$folder/devices.passwords" "$folder/devices.crl" "$folder/certificates.acl" 2>/dev/null || true; }
before="$(listed)"
pause=1
while kill -0 "$broker" 2>/dev/null; do
    sleep "$pause" &
    wait $! || true
    pause=1
    now="$(listed)"
    if [ "$now" != "$before" ]; then
        before="$now"
        kill -HUP "$broker" 2>/dev/null || true
        pause=2
    fi
done
wait "$broker"
