#!/usr/bin/env bash
# safetensors 0.8.0 (numpy 2.4.6, Python 3.11): equal tensors with equal metadata are not equal bytes, from one process to the next.
#
# Seen: `save({"keypoints": x}, metadata={"fps": "16", "height": "64", "width": "48", "source": "a"})` in 12 processes gives several different sha256, all
# of one length, and all read back alike: the keys of `__metadata__` come in another order each time. With one key of metadata, or none, the bytes are
# always the same. Whoever names files by their hash (DVC does) sees a change where there is none; a header written by hand, with its keys sorted, is read
# by the library as any other.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q --disable-pip-version-check install safetensors==0.8.0 numpy==2.4.6
cat > "$work/once.py" <<'PY'
import hashlib, sys
import numpy as np
from safetensors.numpy import load, save

several = {"fps": "16", "height": "64", "width": "48", "source": "a"}
data = save({"keypoints": np.arange(12, dtype=np.float32)}, metadata=several if sys.argv[1] == "several" else {"fps": "16"})
assert load(data)["keypoints"].tolist() == list(range(12))
print(len(data), hashlib.sha256(data).hexdigest())
PY
for keys in several one; do
  for _ in $(seq 12); do "$work/venv/bin/python" "$work/once.py" $keys; done | sort -u > "$work/$keys"
  echo "$keys: $(wc -l < "$work/$keys") different files, lengths $(cut -d' ' -f1 "$work/$keys" | sort -u | tr '\n' ' ')"
done
[ "$(wc -l < "$work/several")" -gt 1 ] || { echo "several keys give equal bytes now"; exit 1; }
[ "$(wc -l < "$work/one")" -eq 1 ] || { echo "one key gives different bytes now"; exit 1; }
[ "$(cut -d' ' -f1 "$work/several" | sort -u | wc -l)" -eq 1 ] || { echo "the lengths differ now"; exit 1; }
