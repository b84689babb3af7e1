"""Ask the provider at a URL the first question of a process; print whether that connected, and which programs ran."""

import sys

from app.config import Settings
from app.dialects import completions
from app.upstream import Upstream
from app.upstream.account import Account

started: set[str] = set()
sys.addaudithook(lambda event, _: started.add(event))
body: dict[str, object] = {"model": "m", "messages": []}
answer = Upstream(Settings()).ask(Account("L", sys.argv[1], "k"), completions, "/chat/completions", body)
print("socket.connect" in started, started & {"subprocess.Popen", "os.fork", "os.posix_spawn", "os.system", "os.exec"})
