"""Fork while the background thread is busy and its lock is held; print what the child and then the parent see of it."""

import os
import threading

from app.background import Background

done, go_on = threading.Event(), threading.Event()


def work() -> None:
    """Be busy."""
    done.set()
    go_on.wait()


background = Background(work)
background.wake()
done.wait()
with background._lock:  # noqa: SLF001 - as another thread of the parent may hold it
    child = os.fork()
if not child:
    done.clear()
    print(background.is_running, background.wake(), done.wait(20), flush=True)
    os._exit(0)
os.waitpid(child, 0)
print(background.is_running)
