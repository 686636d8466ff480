#!/bin/sh
# Run a command beside a real systemd user manager of its own: user_systemd.sh FOLDER COMMAND...
# Inside a private mount namespace (needs root), so that this computer itself is left as it is.
set -eu
folder="$1"
shift
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system "$folder/run"
chmod 700 "$folder/run"
export HOME="$folder" XDG_RUNTIME_DIR="$folder/run"
unset XDG_CONFIG_HOME DBUS_SESSION_BUS_ADDRESS
/lib/systemd/systemd --user --log-target=console > "$folder/systemd.log" 2>&1 &
manager=$!
trap 'kill -TERM "$manager"; wait "$manager" || true' EXIT
for _ in $(seq 100); do
  systemctl --user is-system-running > /dev/null 2>&1 && break
  sleep 0.1
done
"$@"
