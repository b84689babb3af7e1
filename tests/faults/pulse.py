"""Asks all the while whether the service is alive: a process of its own, which waits for nobody else's lock.

Takes the port; prints the milliseconds of each answer, until its standard input ends.
"""

import select
import socket
import sys
import time

REQUEST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


def main() -> None:
    with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=60) as sock:
        while True:
            sys.stdout.write(f"{beat(sock)}\n")
            sys.stdout.flush()
            if select.select([sys.stdin], [], [], 0.01)[0]:
                break


def beat(sock: socket.socket) -> float:
    started, data = time.monotonic(), b""
    sock.sendall(REQUEST)
    while b'"ok"' not in data:
        more = sock.recv(4096)
        assert more, data
        data += more
    return (time.monotonic() - started) * 1000


if __name__ == "__main__":
    main()
