#!/bin/sh
# Runs mosquitto and tells it when the list of devices changed, at most once in two seconds.
set -eu
folder="${1:-/broker}"
mosquitto -c "$folder/mosquitto.conf" &
broker=$!
trap 'kill -TERM "$broker" 2>/dev/null || true' TERM INT
listed() { stat -c '%i %Y %s' "$folder/devices.passwords"; }
before="$(listed)"
while kill -0 "$broker" 2>/dev/null; do
    sleep 2 &
    wait $! || true
    now="$(listed)"
    if [ "$now" != "$before" ]; then
        before="$now"
        kill -HUP "$broker" 2>/dev/null || true
    fi
done
wait "$broker"
