"""The host as the runtime sees it: one value that holds the ports. Composed in `eventd.daemon` or by the simulator."""

from __future__ import annotations

from dataclasses import dataclass

from eventd.accounts.ports import AccountRemoval, Accounts
from eventd.adoption.ports import AccountInspector
from eventd.files.ports import Files, FileWatch
from eventd.kernel.ports import HostLock
from eventd.platform.ports import UnitLog
from eventd.platform.systemd.ports import Logins, Manager, UserManagers
from eventd.repository.ports import Repository
from eventd.unitfiles.ports import QuadletGenerator
from eventd.updates.ports import Images
from eventd.workloads.ports import PortOwners


@dataclass(frozen=True, slots=True)
class Host:
    """Ports only; who is behind them does not matter here."""

    accounts: Accounts
    removal: AccountRemoval
    logins: Logins
    system: Manager
    user_managers: UserManagers
    files: Files
    file_watch: FileWatch
    repository: Repository
    unit_log: UnitLog
    port_owners: PortOwners
    generator: QuadletGenerator
    lock: HostLock
    images: Images
    account_inspector: AccountInspector
