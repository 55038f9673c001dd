"""Podman, as a workload's user: the images in its store, what its containers run, pulls and tags.

Every command runs as a transient service of the user's own manager (`eventd.platform.processes.unit_process`): rootless
podman needs newuidmap(1) and namespaces, which the daemon's sandbox does not allow, and the processes it leaves behind
belong to the user. Its output is the user's too, so it is bounded and validated before use. Knows podman's commands and
errors; decides nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from eventd.desired.model_own_drop_ins import PAUSE_UNIT
from eventd.kernel.model.errors import DeadlineError, PermanentError, TemporaryError
from eventd.platform.model_facts import Account
from eventd.platform.processes.process import Completed
from eventd.platform.processes.unit_process import Processes
from eventd.platform.processes.unit_rights import InManager
from eventd.updates.model_images import Image, Running

ANSWER = 30.0
"""Seconds for a command that only reads."""
OUTPUT = 8 * 1024 * 1024
T = TypeVar("T")
_ID = re.compile(r"^(sha256:)?[0-9a-f]{64}$")
_BLOB = re.compile(r'parsing manifest blob ("(?:[^"\\]|\\.)*")')
UNIT_LABEL = "PODMAN_SYSTEMD_UNIT"
PROJECT_LABEL = "com.docker.compose.project"
SERVICE_LABEL = "com.docker.compose.service"
FOLDER_LABEL = "com.docker.compose.project.working_dir"
STACKS = "/etc/eventd/stacks/"


class _Model(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _Image(_Model):
    id: str = Field(alias="Id", pattern=_ID.pattern)
    digest: str = Field(default="", alias="Digest")
    digests: list[str] | None = Field(default=None, alias="RepoDigests")


class _Check(_Model):
    output: str = Field(default="", alias="Output")


class _Container(_Model):
    image: str = Field(alias="ImageID", pattern=_ID.pattern)
    labels: dict[str, str] | None = Field(default=None, alias="Labels")


class _Entry(_Model):
    digest: str


class _Manifest(_Model):
    manifests: list[_Entry] | None = None
    config: _Entry | None = None


_IMAGES = TypeAdapter(list[_Image])
_CHECKS = TypeAdapter(list[_Check])
_CONTAINERS = TypeAdapter(list[_Container])


class PodmanImages:
    """`ports.Images` over podman's command line."""

    def __init__(self, processes: Processes | None = None) -> None:
        self._processes = processes or Processes()

    async def inspect(self, account: Account, references: Sequence[str]) -> Mapping[str, Image]:
        """Return the references (or ids) that are in the user's store, with their images."""
        found: dict[str, Image] = {}
        for reference in references:
            done = await self._podman(account, "image", "inspect", "--", reference)
            if not done.ok:
                if "image not known" in done.text() or "no such image" in done.text().lower():
                    continue
                raise _failed(done, f"cannot inspect the image {reference}")
            images = _read(_IMAGES, done.stdout)
            if len(images) != 1:
                raise PermanentError(
                    f"podman's answer cannot be read: {len(images)} images for one reference",
                    reason="podman-not-understood",
                )
            image = images[0]
            digests = dict.fromkeys(image.digests or ())
            found[reference] = Image(image.id.removeprefix("sha256:"), tuple(digests))
        return found

    async def running(self, account: Account) -> Sequence[Running]:
        """Return the user's containers that run under a unit."""
        done = await self._podman(account, "ps", "--no-trunc", "--format", "json")
        if not done.ok:
            raise _failed(done, f"cannot list the containers of {account.name}")
        rows = []
        for each in _read(_CONTAINERS, done.stdout):
            labels = each.labels or {}
            # Containers of a compose provider have no unit label: the stack's unit is named like its project, or, if
            # the project has its own name, like the workload whose stack folder it is applied from.
            project = labels.get(PROJECT_LABEL, "")
            if labels.get(FOLDER_LABEL, "").startswith(STACKS):
                project = account.name
            unit = labels.get(UNIT_LABEL) or (f"{project}.service" if project else "")
            if unit:
                rows.append(Running(unit, labels.get(SERVICE_LABEL, ""), each.image.removeprefix("sha256:")))
        return rows

    async def last_check(self, account: Account, container: str) -> str:
        """Return what the last health check of a container printed; empty if there was none, or it is gone."""
        form = "{{if .State.Health}}{{json .State.Health.Log}}{{end}}"
        done = await self._podman(account, "container", "inspect", "--format", form, "--", container)
        if not done.ok or done.stdout.strip() in (b"", b"null"):
            return ""
        checks = _read(_CHECKS, done.stdout)
        return checks[-1].output.strip() if checks else ""

    async def complaint(self, account: Account) -> str:
        """Return podman's stderr while it reads containers and networks; empty if nothing is wrong."""
        said = []
        for command in (("ps", "--all", "--quiet"), ("network", "ls", "--quiet")):
            done = await self._podman(account, *command)
            said.append(done.stderr.decode("utf-8", "replace"))
        return "\n".join(said).strip()

    async def set_aside(self, account: Account, path: str, aside: str) -> None:
        """Rename a file of the user's, as the user. Raises PermanentError(reason="not-set-aside")."""
        done = await self._as_user(account, "mv", "--no-target-directory", "--", path, aside, timeout=ANSWER)
        if not done.ok:
            said = done.text().rpartition("\n")[2]
            raise PermanentError(
                f"{path} cannot be moved aside: {said}",
                reason="not-set-aside",
                hint=f"as {account.name}: mv {path} {aside}",
            )

    async def pull(self, account: Account, reference: str, *, timeout: float) -> None:
        """Pull; the tag of the user's store is moved to what the registry has. Raises TemporaryError("pull-failed")."""
        try:
            done = await self._podman(account, "pull", "--quiet", "--", reference, timeout=timeout)
        except DeadlineError as error:
            message = f"cannot pull {reference}: podman did not finish within {timeout:g} s"
            raise TemporaryError(message, reason="pull-failed") from error
        if not done.ok:
            raise _failed(done, f"cannot pull {reference}", reason="pull-failed")

    async def tag(self, account: Account, image: str, reference: str) -> None:
        """Tag an image with a reference. Raises PermanentError(reason="image-gone")."""
        if not _ID.fullmatch(image):
            raise PermanentError(f"{image!r} is not an image id", reason="image-gone")
        done = await self._podman(account, "tag", "--", image, reference)
        if not done.ok:
            if "image not known" in done.text():
                raise PermanentError(
                    f"the image {image[:12]} that {reference} named is gone",
                    reason="image-gone",
                    hint="it was removed or pruned",
                )
            raise _failed(done, f"cannot tag {reference}")

    async def newer(
        self, account: Account, reference: str, local: Image | None, *, timeout: float
    ) -> bool | None:
        """Return whether the registry has another image than the store, without a pull; None: unknown.

        podman-manifest-inspect(1) asks the registry for a list of platforms. For a reference to a single image it
        fails and quotes the manifest (podman 5.4.2), whose configuration digest is the image's id.
        Raises TemporaryError(reason="registry-unreachable").
        """
        try:
            done = await self._podman(account, "manifest", "inspect", "--", reference, timeout=timeout)
        except DeadlineError as error:
            message = f"cannot check {reference}: the registry did not answer within {timeout:g} s"
            raise TemporaryError(message, reason="registry-unreachable") from error
        text = done.stdout.decode("utf-8", "replace")
        if not done.ok:
            quoted = _BLOB.search(done.stderr.decode("utf-8", "replace"))
            if quoted is None:
                raise _failed(done, f"cannot check {reference}", reason="registry-unreachable")
            try:
                text = json.loads(quoted[1])
            except ValueError:
                return None
        try:
            manifest = _Manifest.model_validate_json(text)
        except ValidationError:
            return None
        if local is None:
            return True
        if manifest.manifests:
            ours = {each.rpartition("@")[2] for each in local.digests}
            return not ours & {entry.digest for entry in manifest.manifests}
        if manifest.config is not None:
            return manifest.config.digest.removeprefix("sha256:") != local.id
        return None

    async def _podman(self, account: Account, *arguments: str, timeout: float = ANSWER) -> Completed:
        return await self._as_user(account, "podman", *arguments, timeout=timeout)

    async def _as_user(self, account: Account, *command: str, timeout: float) -> Completed:
        # Podman's first command after a boot leaves a process behind that all later ones need.
        who = InManager(account, after=(PAUSE_UNIT,))
        return await self._processes.run(
            who,
            list(command),
            timeout=timeout,
            output_limit=OUTPUT,
            called=" ".join(command[:2]),
        )


def _read(codec: TypeAdapter[T], output: bytes) -> T:
    try:
        return codec.validate_json(output or b"[]")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise PermanentError(
            f"podman's answer cannot be read: {first['msg']}", reason="podman-not-understood"
        ) from error


def _failed(done: Completed, what: str, *, reason: str = "podman-failed") -> TemporaryError:
    said = done.text().rpartition("\n")[2].removeprefix("Error: ")
    return TemporaryError(f"{what}: {said or f'podman exited with {done.status}'}", reason=reason)
