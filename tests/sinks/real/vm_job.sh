#!/bin/bash
# Inside the machine of scripts/v4l2-vm: load both drivers, then run the Python file named.
#   vm_job.sh PYTHON FILE [ARGUMENT...]
set -eu

load() { # load NAME [PARAMETER...]: the module and what it needs
  local name="$1" file
  shift
  while read -r file; do
    [[ "$file" == "$name.ko" ]] || insmod "$VM_MODULES/$file" 2> /dev/null || true  # may be there
  done < "$VM_MODULES/$name.order"
  insmod "$VM_MODULES/$name.ko" "$@"
}

load vivid node_types=0x1 num_inputs=1 input_types=0x0
load v4l2loopback devices=3 video_nr=9,10,11 card_label=LiveEdit,Spare,Open exclusive_caps=1,1,0

python="$1"
shift
here="$(cd "$(dirname "$1")" && pwd)"
PYTHONPATH="$PWD:$here" exec "$python" -u "$@"
