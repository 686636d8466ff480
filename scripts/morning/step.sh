# Runs as root in the machine of first-morning, once in the evening and once in the morning.
set -x
cd /mnt

as_ada() { # as_ada COMMAND: in the session of the user at the screen
  runuser -u ada -- env HOME=/home/ada LANG=C.UTF-8 XDG_RUNTIME_DIR=/run/user/1000 \
    DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus \
    PATH=/home/ada/.venv/bin:/usr/bin:/bin:/usr/sbin:/sbin bash -c "cd; $1"
}

until [[ -S /run/user/1000/bus ]]; do sleep 1; done # the login at the screen
if [[ ! -e evening.txt ]]; then
  {
    apt-get update
    as_ada "python3 -m venv .venv &&
      pip install --no-index --find-links /mnt/wheels liveedit-cam"
    as_ada "liveedit-cam doctor --quick" > doctor-before.txt
    as_ada "liveedit-cam doctor --quick --fix --yes" # quick: an emulated machine edits nothing in time
    as_ada "liveedit-cam doctor --quick" > doctor-after.txt
    # small, rare and without haste: an emulated machine needs minutes for one edit
    as_ada "liveedit-cam service install 'make it black and white' --width 320 --height 180 \
      --fps 5 --steps 1 --edit-timeout-s 3600 --hold-s 3600"
    sleep 10
    as_ada "liveedit-cam service status"
  } > evening.txt 2>&1
  sync
  systemctl reboot
else
  {
    # its own start takes seconds, and minutes where the machine is emulated
    as_ada "until liveedit-cam status; do sleep 10; done; cat /proc/uptime; ls /dev/video*"
    while sleep 60; do # where it stands, for who waits outside
      cat /proc/uptime
      as_ada "timeout 50 liveedit-cam status"
    done > during.txt 2>&1 &
    as_ada "python3 /mnt/steps/look.py look.json & sleep 1; \
      timeout 4000 nice chromium --headless=new --no-first-run --disable-gpu \
        --enable-features=NetworkServiceInProcess,NetworkServiceInProcess2 \
        --use-fake-ui-for-media-stream --user-data-dir=/tmp/ada http://127.0.0.1:8600/ & \
      timeout 4000 tail -f /dev/null --pid=\$(jobs -p %1); kill %1 %2"
    cp /home/ada/look.json .
    as_ada "liveedit-cam status; liveedit-cam service status; journalctl --user --no-pager | tail -60"
  } > morning.txt 2>&1
  sync
  systemctl poweroff
fi
