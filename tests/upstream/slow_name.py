"""Connect to a name whose look-up takes half a minute, with 0.3 s for that; print how that failed, and if in time."""

import socket
import ssl
import time

from app.dialects import completions
from app.failure import Failure
from app.proxy import DIRECT
from app.upstream.account import Account
from app.upstream.call import Call
from app.upstream.dial import dial
from app.upstream.egress import Origin

socket.getaddrinfo = lambda *_, **__: time.sleep(30)  # type: ignore[assignment]
started = time.monotonic()
try:
    call = Call(Account("Groq", "", "k"), completions, 0)
    dial(Origin("http", "slow.test", 80), ssl.create_default_context(), DIRECT, 0.3, call)
except Failure as failure:
    print(failure.code, time.monotonic() - started < 15)
