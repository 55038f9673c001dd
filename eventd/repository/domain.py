"""The repository domain: what it adds to eventd."""

from __future__ import annotations

from collections.abc import Iterable

from eventd.configured import git_options
from eventd.kernel.domain import Context, Domain, Source
from eventd.platform.inotify import Inotify
from eventd.platform.processes.unit_process import Processes
from eventd.platform.service_accounts import ServiceAccounts
from eventd.repository import routes as routes_sync
from eventd.repository.adapter_git import GitRepository
from eventd.repository.documents_metrics import families
from eventd.repository.model_events import RepositoryEvent, RepositoryOrigin
from eventd.repository.model_facts import RepositoryFact
from eventd.repository.ports import Repository
from eventd.repository.source_triggers import PathTriggers


def connect(context: Context) -> Iterable[Source]:
    """Share the repository, and watch the paths that tell of a push."""
    repository = GitRepository(
        git_options(context.settings, context.need(ServiceAccounts)), context.need(Processes)
    )
    context.share(GitRepository, repository)
    context.share(Repository, repository)
    triggers = context.share(PathTriggers, PathTriggers(context.need(Inotify), context.emit))
    return (Source("triggers", triggers.run, invalidate=triggers.invalidate),)


DOMAIN = Domain(
    name="repository",
    facts=(RepositoryFact,),
    events=(RepositoryEvent,),
    origins=(RepositoryOrigin,),
    routes=routes_sync.ROUTES,
    metrics=(families,),
    connect=connect,
)
