"""SeaweedFS as the S3 server of a stack: one process, whose parts (master, volume, filer, S3 gateway) talk over ports.

Only the gateway asks for S3 keys. The other ports would let every account of the machine read, write and delete what is
stored, so they speak TLS and take nobody without the certificate that `prepare` writes for this user's eyes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

from vgg16.stack import certificate, processes

PARTS = ("master", "volume", "filer")

# Where it opens a socket beside each gRPC port, whatever it is told.
SOCKETS = Path("/tmp")  # noqa: S108
CERTIFICATE = "certificate.pem"


def command(weed: Path, ports: Mapping[str, int]) -> list[str]:
    """What starts it in the folder that `prepare` filled; the ports are those of a configuration."""
    started = [str(weed), "server", "-dir=data", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
    started += ["-s3", "-s3.config=identities.json", f"-s3.port={ports['s3']}", "-s3.iam=false"]
    started += [f"-s3.port.grpc={ports['s3 port.grpc']}", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    for part in PARTS:
        started += [f"-{part}.port={ports[f's3 {part}']}", f"-{part}.port.grpc={ports[f's3 {part}.grpc']}"]
    # At a second start it waits for other masters to speak: by default 10 to 20 seconds, and there are none.
    started += ["-master.electionTimeout=1s", "-disableHttp", "-filer.disableHttp"]
    # A bucket takes seven volumes at its first write; no other server waits to hear that this one goes.
    started += ["-volume.max=1000", "-master.volumeSizeLimitMB=256", "-volume.preStopSeconds=0"]
    # Else they would be in SOCKETS, and stay there.
    return [*started, "-master.telemetry=false", "-filer.localSocket=filer.sock", "-s3.localSocket=s3.sock"]


def prepare(folder: Path, key_id: str, secret: str) -> None:
    """Write the folder's S3 keys, a new certificate, and the file that has every part ask for it."""
    credentials = {"accessKey": key_id, "secretKey": secret}
    identity = {"name": "vgg16", "credentials": [credentials], "actions": ["Admin", "Read", "Write", "List", "Tagging"]}
    for made in (folder, folder / "data"):
        made.mkdir(mode=0o700, exist_ok=True)
    processes.private(folder / "identities.json", json.dumps({"identities": [identity]}))
    processes.private(folder / CERTIFICATE, certificate.make())
    processes.private(folder / "security.toml", security())


def security() -> str:
    """The content of `security.toml`: TLS with the certificate on both ends of every connection between the parts."""
    own = f'cert = "{CERTIFICATE}"\nkey = "{CERTIFICATE}"\n'
    authority = f'ca = "{CERTIFICATE}"\n'
    grpc = [f"[grpc.{part}]\n{own}" for part in (*PARTS, "s3", "client")]
    https = [f"[https.{part}]\n{own}{authority}" for part in PARTS]
    return "\n".join([f"[grpc]\n{authority}", *grpc, *https, f"[https.client]\nenabled = true\n{own}{authority}"])


def blocked_ports() -> set[int]:
    """The ports beside which another account's socket lies in SOCKETS: a server there would ask that one in vain. Each
    SeaweedFS leaves some behind when it ends."""
    return {
        int(path.stem.rpartition("-")[2])
        for path in SOCKETS.glob("seaweedfs-*-grpc-*.sock")
        if path.stem.rpartition("-")[2].isdecimal() and _owner(path) not in (None, os.geteuid())
    }


def remove_sockets(ports: Collection[int]) -> None:
    """Remove what a server of ours on these ports left behind in SOCKETS."""
    for port in ports:
        for path in SOCKETS.glob(f"seaweedfs-*-grpc-{port}.sock"):
            with suppress(OSError):
                path.unlink()


def _owner(path: Path) -> int | None:
    try:
        return path.lstat().st_uid
    except FileNotFoundError:
        return None
