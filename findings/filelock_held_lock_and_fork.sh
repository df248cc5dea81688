#!/usr/bin/env bash
# filelock 4.2.12 (Linux, Python 3.11): a child that the holder forks has no share in the lock, where a plain flock has.
#
# Seen: a process takes a lock, forks a child that sleeps, and is killed. With fcntl.flock the lock stays taken for as long as the child
# lives, because both have the same open file. With filelock.FileLock it is free at once: filelock closes its file in the child. The child's
# lock object says is_locked False, although it was locked when the process was forked, and its end does not free the parent's.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q --disable-pip-version-check install filelock==4.2.12
cat > "$work/holder.py" <<'PY'
import fcntl, os, sys, time
from filelock import FileLock
kind, path, ready = sys.argv[1:]
if kind == "flock":
    lock = open(path, "w"); fcntl.flock(lock, fcntl.LOCK_EX)
else:
    lock = FileLock(path); lock.acquire()
child = os.fork()
if child == 0:
    state = "-" if kind == "flock" else lock.is_locked
    open(ready, "w").write(f"{os.getpid()} {state}")
    time.sleep(60)
time.sleep(60)
PY
cat > "$work/ask.py" <<'PY'
import os, signal, subprocess, sys, time
from filelock import FileLock, Timeout
def free(path):
    try:
        FileLock(path).acquire(timeout=0).lock.release()
        return True
    except Timeout:
        return False
for kind in ("flock", "filelock"):
    path, ready = f"{sys.argv[1]}/{kind}", f"{sys.argv[1]}/{kind}.ready"
    holder = subprocess.Popen([sys.executable, f"{sys.argv[1]}/holder.py", kind, path, ready])
    while not (os.path.exists(ready) and open(ready).read()):
        time.sleep(0.05)
    child, state = open(ready).read().split()
    held = not free(path)
    holder.kill(); holder.wait()
    print(kind, "held:", held, "| locked in the child:", state, "| free after the kill, while the child lives:", free(path))
    os.kill(int(child), signal.SIGKILL)
PY
said=$("$work/venv/bin/python" "$work/ask.py" "$work"); echo "$said"
grep -qx "flock held: True | locked in the child: - | free after the kill, while the child lives: False" <<<"$said"
grep -qx "filelock held: True | locked in the child: False | free after the kill, while the child lives: True" <<<"$said"
