"""podman's Quadlet generator, as far as the generated units matter (podman-systemd.unit(5)).

Names, types and dependencies of the generated services. Checked against podman 5.4.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from eventd_simulators.model.definition import Definition, Entries, define, last, parse, seconds, truth, words

SUFFIXES: Final = {
    ".container": ("Container", ""),
    ".kube": ("Kube", ""),
    ".pod": ("Pod", "-pod"),
    ".volume": ("Volume", "-volume"),
    ".network": ("Network", "-network"),
    ".image": ("Image", "-image"),
    ".build": ("Build", "-build"),
}
"""File suffix -> its section, and the suffix of the stem in the service's name."""
REQUIRED: Final = {
    ".container": (("Image", "Rootfs"), "no Image or Rootfs key specified"),
    ".kube": (("Yaml",), "no Yaml key specified"),
    ".image": (("Image",), "no Image key specified"),
    ".build": (("ImageTag",), "no ImageTag key specified"),
}
NETWORK: Final = "podman-user-wait-network-online.service"
CONTAINER_STOP: Final = 10.0
"""Seconds after which `podman rm` kills a container that ignores SIGTERM (containers.conf(5),
stop_timeout)."""


def suffix_of(name: str) -> str:
    """Return the Quadlet suffix of a file name, or an empty text."""
    dot = name.rfind(".")
    return name[dot:] if name[dot:] in SUFFIXES and dot > 0 else ""


def service_name(name: str, entries: Entries) -> str:
    """Return the service that a Quadlet file makes."""
    suffix = suffix_of(name)
    section, tail = SUFFIXES[suffix]
    stem = last(entries, section, "ServiceName") or f"{name.removesuffix(suffix)}{tail}"
    return f"{stem}.service"


def complaints(name: str, entries: Entries) -> list[str]:
    """Return why the generator refuses a file; empty if it does not."""
    suffix = suffix_of(name)
    section = SUFFIXES[suffix][0]
    keys, message = REQUIRED.get(suffix, ((), ""))
    if keys and not any(last(entries, section, key) for key in keys):
        return [f'converting "{name}": {message}']
    return [
        f"converting \"{name}\": unsupported key '{key}' in group '{section}' in {name}"
        for at, key, _ in entries
        if at == section and key.startswith("Bogus")
    ]


def generate(files: dict[str, bytes]) -> dict[str, tuple[str, Definition]]:
    """Return service -> (file name, definition) for a folder's files, drop-ins merged in."""
    merged = {name: entries_of(name, files) for name in files if "/" not in name and suffix_of(name)}
    good = {name: entries for name, entries in merged.items() if not complaints(name, entries)}
    services = {name: service_name(name, entries) for name, entries in good.items()}
    made = {services[name]: (name, _definition(name, entries, services)) for name, entries in good.items()}
    for name, entries in good.items():
        pod = services.get(last(entries, "Container", "Pod"))
        if pod is not None and truth(last(entries, "Container", "StartWithPod"), default=True):
            file, definition = made[pod]
            made[pod] = file, replace(definition, wants=(*definition.wants, services[name]))
    return made


def entries_of(name: str, files: dict[str, bytes]) -> Entries:
    """Return a file's entries, followed by those of its drop-ins `name.d/*.conf`."""
    entries = parse(files[name].decode(errors="replace"))
    for other in sorted(files):
        if other.startswith(f"{name}.d/") and other.endswith(".conf"):
            entries += parse(files[other].decode(errors="replace"))
    return entries


def _definition(name: str, entries: Entries, services: dict[str, str]) -> Definition:
    suffix = suffix_of(name)
    section = SUFFIXES[suffix][0]
    default_dependencies = truth(last(entries, "Quadlet", "DefaultDependencies"), default=True)
    definition = define(services[name], entries, generated=(NETWORK,) if default_dependencies else ())
    needed = tuple(service for text in _references(entries, section) if (service := services.get(text)))
    definition = replace(
        definition,
        requires=tuple(dict.fromkeys((*definition.requires, *needed))),
        after=tuple(dict.fromkeys((*definition.after, *needed))),
        image=last(entries, section, "Image"),
    )
    if suffix in (".volume", ".network", ".image", ".build"):
        return replace(definition, type="oneshot", remain=True, start_timeout=_start(entries, float("inf")))
    kind = last(entries, "Service", "Type")
    if kind != "oneshot":
        kind = "forking" if suffix == ".pod" else "notify"
    restart = definition.restart
    if suffix == ".pod":
        # podman's generator gives pods Restart=on-failure unless they say otherwise.
        restart = last(entries, "Service", "Restart", "on-failure")
    pod = services.get(last(entries, section, "Pod"))
    return replace(
        definition,
        type=kind,
        restart=restart,
        start_timeout=_start(entries, float("inf") if kind == "oneshot" else 90.0),
        kill_timeout=seconds(last(entries, section, "StopTimeout"), CONTAINER_STOP),
        notify_healthy=last(entries, section, "Notify") == "healthy",
        binds_to=(*definition.binds_to, *((pod,) if pod else ())),
        after=(*definition.after, *((pod,) if pod else ())),
    )


def _start(entries: Entries, default: float) -> float:
    return seconds(last(entries, "Service", "TimeoutStartSec"), default) or float("inf")


def _references(entries: Entries, section: str) -> list[str]:
    """Return the Quadlet files that Image=, Volume=, Network= and Mount= name."""
    found = [value for value in words(entries, section, "Image") if suffix_of(value)]
    found += [text.split(":", 1)[0] for text in words(entries, section, "Volume", "Network")]
    for text in words(entries, section, "Mount"):
        found += [part.split("=", 1)[1] for part in text.split(",") if part.startswith(("source=", "src="))]
    return [text for text in found if suffix_of(text)]
