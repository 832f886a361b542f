"""Which journal SQLite keeps: WAL on a local disk, a rollback journal where the disk is another machine's.

WAL shares memory between processes, which a network file system can't do for two machines.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

MOUNTS = "/proc/self/mountinfo"

_NETWORK = frozenset(
    {
        *("9p", "afs", "beegfs", "ceph", "cifs", "davfs", "glusterfs", "gpfs", "lustre", "ncpfs"),
        *("nfs", "nfs4", "pvfs2", "smb3", "smbfs"),
        *("fakeowner", "grpcfuse", "osxfs", "vboxsf", "virtiofs", "vmhgfs"),  # of a virtual machine's host
        *("fuse.davfs", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs", "fuse.vmhgfs-fuse"),
    }
)
"""Types of file systems whose files another machine may change, as Linux names them."""


def journal_mode(network: str | None) -> str:
    """Return the journal mode that is safe on a kind of network file system, or on a local one (`None`)."""
    return "DELETE" if network else "WAL"


def network_kind(database: str | os.PathLike[str]) -> str | None:
    """Return what kind of network file system a database is on; `None`: a local one, as far as is known."""
    folder = os.path.realpath(os.path.dirname(database) or os.curdir)
    if sys.platform == "win32":
        return "a network drive" if _is_remote_drive(folder) else None
    with suppress(OSError, UnicodeError), open(MOUNTS, encoding="utf-8", errors="surrogateescape") as mounts:
        kind = mounted_as(folder, mounts.read())
        return kind if kind in _NETWORK else None
    return None  # not Linux: nothing is known


def mounted_as(folder: str, mounts: str) -> str | None:
    """Return the type of the file system that a folder is on, by the text of `mountinfo`."""
    best, found = "", None
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) < 5 or not after:
            continue
        point = _unescaped(fields[4])
        inside = folder == point or folder.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):  # of two on one another the later one counts
            best, found = point, after.split(" ")[0]
    return found


def _unescaped(text: str) -> str:
    for code, character in ((r"\040", " "), (r"\011", "\t"), (r"\012", "\n"), (r"\134", "\\")):
        text = text.replace(code, character)
    return text


if sys.platform == "win32":
    import ctypes

    _DRIVE_REMOTE = 4

    def _is_remote_drive(folder: str) -> bool:
        drive = os.path.splitdrive(folder)[0]
        return drive.startswith("\\\\") or ctypes.windll.kernel32.GetDriveTypeW(drive + "\\") == _DRIVE_REMOTE
