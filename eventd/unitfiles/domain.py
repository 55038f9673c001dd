"""What the domain `unitfiles` adds to eventd."""

from __future__ import annotations

from collections.abc import Iterable

from eventd.configured import check_identity
from eventd.kernel.domain import Context, Domain, Source
from eventd.platform.service_accounts import ServiceAccounts
from eventd.unitfiles.adapter_quadlet_generator import HostQuadletGenerator
from eventd.unitfiles.ports import QuadletGenerator


def connect(context: Context) -> Iterable[Source]:
    """Share podman's Quadlet generator."""
    settings = context.settings
    identity = check_identity(settings, context.need(ServiceAccounts))
    generator = HostQuadletGenerator(generator=settings.paths.generator, identity=identity)
    context.share(QuadletGenerator, generator)
    return ()


DOMAIN = Domain(name="unitfiles", connect=connect)
