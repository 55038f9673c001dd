"""The host as the runtime sees it: one value that holds the ports. Composed in `eventd.daemon` or by the simulator."""

from __future__ import annotations

from dataclasses import dataclass

from eventd.ports import (
    AccountInspector,
    AccountRemoval,
    Accounts,
    Files,
    FileWatch,
    HostLock,
    Images,
    Listeners,
    Logins,
    Manager,
    QuadletGenerator,
    Repository,
    Store,
    UnitLog,
    UserManagers,
)


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
    listeners: Listeners
    generator: QuadletGenerator
    store: Store
    lock: HostLock
    images: Images
    account_inspector: AccountInspector
