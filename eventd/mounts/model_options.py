"""The mount options that a repository may use: an allow-list per file system, because root mounts it.

Pure. Other options could change who owns files, run a helper, mount something else, or stop the host (`errors=panic`).
Sources: mount(8), ext4(5), xfs(5), btrfs(5), and the kernel's documentation of f2fs, vfat, exfat and ntfs3.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_COMMON = frozenset(
    {
        *("ro", "rw", "noexec", "exec", "nosuid", "nodev", "nofail", "sync", "async", "dirsync", "iversion"),
        *("atime", "noatime", "relatime", "strictatime", "nodiratime", "diratime", "lazytime", "nolazytime"),
    }
)
_NUMBER, _SIZE = r"\d{1,10}", r"\d{1,10}[kKmMgG]?"
_EXT = {
    **dict.fromkeys(
        ("acl", "user_xattr", "discard", "nodiscard", "barrier", "nobarrier", "auto_da_alloc"), ""
    ),
    **dict.fromkeys(
        ("noauto_da_alloc", "journal_checksum", "delalloc", "nodelalloc", "grpid", "nogrpid"), ""
    ),
    **dict.fromkeys(("block_validity", "noblock_validity", "dioread_lock", "dioread_nolock", "noload"), ""),
    "commit": _NUMBER,
    "barrier": "[01]",
    "data": "journal|ordered|writeback",
    "errors": "continue|remount-ro",
    "inode_readahead_blks": _NUMBER,
    "stripe": _NUMBER,
    "max_batch_time": _NUMBER,
    "min_batch_time": _NUMBER,
    "journal_ioprio": "[0-7]",
}
_FAT = {
    **dict.fromkeys(("utf8", "quiet", "flush", "discard", "tz=UTC"), ""),
    **dict.fromkeys(("uid", "gid"), _NUMBER),
    **dict.fromkeys(("umask", "dmask", "fmask"), "[0-7]{1,4}"),
    **dict.fromkeys(("iocharset", "codepage", "shortname", "nls"), "[a-z0-9-]{1,20}"),
    "errors": "continue|remount-ro",
}
_BY_TYPE: Mapping[str, Mapping[str, str]] = {
    **dict.fromkeys(("ext4", "ext3", "ext2"), _EXT),
    "xfs": {
        **dict.fromkeys(
            ("discard", "nodiscard", "inode64", "largeio", "nolargeio", "swalloc", "wsync", "norecovery"), ""
        ),
        **dict.fromkeys(
            ("noquota", "uquota", "gquota", "pquota", "usrquota", "grpquota", "prjquota", "attr2"), ""
        ),
        "allocsize": _SIZE,
        "logbufs": "[2-8]",
        "logbsize": _SIZE,
        "sunit": _NUMBER,
        "swidth": _NUMBER,
    },
    "btrfs": {
        **dict.fromkeys(
            ("autodefrag", "noautodefrag", "ssd", "nossd", "ssd_spread", "discard", "nodiscard"), ""
        ),
        **dict.fromkeys(
            ("compress", "compress-force", "datacow", "datasum", "flushoncommit", "degraded"), ""
        ),
        **dict.fromkeys(
            ("treelog", "notreelog", "skip_balance", "space_cache", "nospace_cache", "acl", "noacl"), ""
        ),
        "compress": "(zlib|lzo|zstd)(:[0-9]{1,2})?|no",
        "compress-force": "(zlib|lzo|zstd)(:[0-9]{1,2})?",
        "discard": "async|sync",
        "space_cache": "v1|v2",
        "commit": _NUMBER,
        "max_inline": _SIZE,
        "subvol": r"/?[A-Za-z0-9@_][A-Za-z0-9@_.+-]*(/[A-Za-z0-9@_][A-Za-z0-9@_.+-]*)*",
        "subvolid": _NUMBER,
        "thread_pool": _NUMBER,
    },
    "f2fs": {
        **dict.fromkeys(("discard", "nodiscard", "acl", "user_xattr", "gc_merge", "atgc", "flush_merge"), ""),
        "background_gc": "on|off|sync",
        "compress_algorithm": "(lz4|lzo|zstd|lzo-rle)(:[0-9]{1,2})?",
        "mode": "adaptive|lfs",
    },
    "vfat": _FAT,
    "exfat": _FAT,
    "ntfs3": {**_FAT, **dict.fromkeys(("windows_names", "hide_dot_files", "prealloc", "acl"), "")},
}


def is_allowed(option: str, fstypes: Iterable[str]) -> bool:
    """Return whether an option is allowed on at least one of these file systems."""
    key, equals, value = option.partition("=")
    if option in _COMMON:
        return True
    return any(_matches(_BY_TYPE.get(fstype, {}), option, key, equals, value) for fstype in fstypes)


def _matches(known: Mapping[str, str], option: str, key: str, equals: str, value: str) -> bool:
    if not equals:
        # Some keys can be written with or without a value; both forms are listed under the key.
        return key in known and (known[key] == "" or key in _BARE)
    pattern = known.get(key)
    return option in known or bool(pattern and re.fullmatch(pattern, value, re.ASCII))


_BARE = frozenset({"barrier", "compress", "compress-force", "discard", "space_cache"})
"""Keys that can be written with or without a value."""


def allowed(fstypes: Iterable[str]) -> list[str]:
    """Return the keys of the options that are allowed on these file systems, for a hint."""
    return sorted({*_COMMON, *(key for fstype in fstypes for key in _BY_TYPE.get(fstype, ()))})
