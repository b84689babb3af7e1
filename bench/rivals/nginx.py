"""nginx as the floor: it passes the provider's bytes on, and does nothing else."""

import os
import re
import shutil
from functools import cache
from pathlib import Path
from subprocess import STDOUT, CalledProcessError, check_output

from bench import readers
from bench.servers import CACHE, Kind, Missing, Place

_CONFIGURATION = """
worker_processes 1;
worker_rlimit_nofile 16384;
daemon off;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 1000000;
    upstream provider {{
        server 127.0.0.1:{upstream};
        keepalive 100;
        keepalive_requests 1000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://provider;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }}
    }}
}}
"""


@cache
def _binary() -> str:
    """Return the nginx of this machine, or else Debian's, unpacked here: its package would start a service."""
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if found:
        return found
    folder = CACHE / "nginx"
    binary = folder / "usr/sbin/nginx"
    if not binary.exists():
        _unpack(folder)
    return str(binary)


def _unpack(folder: Path) -> None:
    if not shutil.which("apt-get"):
        raise Missing("is not installed, and this is not Debian")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if os.geteuid() == 0 and not [*Path("/var/lib/apt/lists").glob("*Packages*")]:
            check_output(["apt-get", "update"], stderr=STDOUT, text=True)
        check_output(["apt-get", "download", "nginx"], cwd=folder, stderr=STDOUT, text=True)
        package = next(folder.glob("nginx_*.deb"))
        check_output(["dpkg-deb", "--extract", package, folder], stderr=STDOUT, text=True)
    except CalledProcessError as error:
        raise Missing(f"cannot be had from Debian: {error.output.strip().splitlines()[-1]}") from error


def _install() -> str:
    try:
        said = check_output([_binary(), "-v"], stderr=STDOUT, text=True)
    except CalledProcessError as error:
        raise Missing(f"does not run: {error.output.strip().splitlines()[-1]}") from error
    found = re.search(r"nginx/(\S+)", said)
    return found[1] if found else said.strip()


def _command(place: Place) -> list[str]:
    folder = place.folder / "nginx"
    folder.mkdir(exist_ok=True)
    (folder / "nginx.conf").write_text(_CONFIGURATION.format(folder=folder, port=place.port, upstream=place.upstream))
    return [_binary(), "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")]


KIND = Kind(
    name="nginx",
    about="the floor: `proxy_pass` without buffering, one worker, kept connections; it reads nothing of what it passes",
    install=_install,
    command=_command,
    read=readers.completions,
)
