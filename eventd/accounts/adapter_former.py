"""Uids: whose one was, by the file of used ids, and whether anybody has it now, by NSS. Both in a thread."""

from __future__ import annotations

import pwd
from collections.abc import Callable, Mapping

import anyio.to_thread

from eventd.accounts.adapter_used_ids import UsedIds
from eventd.kernel.model.errors import TemporaryError
from eventd.platform import nss


async def former(used: UsedIds) -> Mapping[int, str]:
    """Return every uid that an account of a workload has had, with its last name. Raises TemporaryError."""
    try:
        return await anyio.to_thread.run_sync(used.names, abandon_on_cancel=True)
    except OSError as error:
        raise TemporaryError(f"cannot read the used ids: {error.strerror}", reason="nss-failed") from error


async def is_taken(uid: int, look_up: Callable[[int], object] = pwd.getpwuid) -> bool:
    """Tell whether an account has this uid. Raises TemporaryError(reason="nss-failed")."""
    return await nss.ask(lambda: look_up(uid), f"the uid {uid}") is not None
