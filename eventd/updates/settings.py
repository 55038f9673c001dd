"""The settings of updates: the table `[update]` of eventd.toml."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from eventd.kernel.settings_table import Table, seconds
from eventd.unitfiles.model_calendar import calendar_problem


def _calendar(text: str) -> str:
    problem = calendar_problem(text) if text else ""
    if problem:
        raise ValueError(f'{problem}; write "Mon 04:00" or "daily"')
    return text


class Update(Table):
    """`[update]`: newer images, for workloads whose workload.toml says nothing of it."""

    live = True

    schedule: Annotated[str, AfterValidator(_calendar)] = Field(
        default="",
        description="when to update, as in OnCalendar= of systemd.timer(5); empty: only on request",
    )
    spread: Annotated[float, BeforeValidator(seconds), Field(ge=0, le=86400)] = Field(
        default=900.0, description="the updates of the workloads are spread over this long after it"
    )


TABLES = {"update": Update}
"""Key in eventd.toml -> table."""
