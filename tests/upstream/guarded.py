"""Connect to a public endpoint: its port, its host, and the addresses that its name leads to; print how that failed."""

import socket
import ssl
import sys

from app.dialects import completions
from app.failure import Failure
from app.proxy import DIRECT
from app.upstream.account import Account
from app.upstream.call import Call
from app.upstream.dial import dial
from app.upstream.egress import Origin

port, host, *leads = sys.argv[1:]
found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, int(port))) for address in leads]
if found:
    socket.getaddrinfo = lambda *_, **__: found  # type: ignore[assignment]
try:
    call = Call(Account("Azure OpenAI", "", "k"), completions, 0)
    origin = Origin("https", host, int(port))
    dial(origin, ssl.create_default_context(), DIRECT, 5, call, public_only=True)
except Failure as failure:
    print(failure.code)
