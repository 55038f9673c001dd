"""Uids: whose one was, by the file of used ids, and whether anybody has it now, by NSS. Both in a thread."""

from __future__ import annotations

import pwd
from collections.abc import Callable, Mapping

import anyio
import anyio.to_thread

from eventd.accounts.adapter_used_ids import UsedIds
from eventd.kernel.model.errors import TemporaryError

TIMEOUT = 5.0
"""Seconds for NSS, which may ask a server."""


async def former(used: UsedIds) -> Mapping[int, str]:
    """Return every uid that an account of a workload has had, with its last name. Raises TemporaryError."""
    try:
        return await anyio.to_thread.run_sync(used.names, abandon_on_cancel=True)
    except OSError as error:
        raise TemporaryError(f"cannot read the used ids: {error.strerror}", reason="nss-failed") from error


async def is_taken(uid: int, look_up: Callable[[int], object] = pwd.getpwuid) -> bool:
    """Tell whether an account has this uid. Raises TemporaryError(reason="nss-failed")."""
    try:
        with anyio.fail_after(TIMEOUT):
            await anyio.to_thread.run_sync(look_up, uid, abandon_on_cancel=True)
    except KeyError:
        return False
    except TimeoutError:
        why = f"no answer within {TIMEOUT:g} s"
    except OSError as error:
        why = error.strerror or str(error)
    else:
        return True
    raise TemporaryError(f"cannot look up the uid {uid}: {why}", reason="nss-failed")
