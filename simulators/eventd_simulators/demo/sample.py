"""The sample repository, as its three commits."""

from __future__ import annotations

from collections.abc import Mapping

WEB = """\
[Unit]
Description=The web server

[Container]
Image=registry.example.org/demo/web:{tag}
ContainerName=web
PublishPort=8080:80
Volume=./site.conf:/etc/web/site.conf:ro

[Install]
WantedBy=default.target
"""
DB = """\
[Unit]
Description=The database

[Container]
Image=registry.example.org/demo/db:16
ContainerName=db
Volume=data.volume:/var/lib/db

[Install]
WantedBy=default.target
"""
FILES: Mapping[str, str] = {
    "workloads/web/web.container": WEB.format(tag="1.0"),
    "workloads/web/site.conf": "greeting = hello\n",
    "workloads/db/db.container": DB,
    "workloads/db/data.volume": "[Volume]\nVolumeName=db-data\n",
    "workloads/jobs/report.container": """\
[Unit]
Description=A report, made when its timer says so

[Container]
Image=registry.example.org/demo/report:3
ContainerName=report

[Service]
Type=oneshot
""",
    "workloads/jobs/report.timer": "[Timer]\nOnCalendar=daily\n",
}
CHANGED: Mapping[str, str] = {"workloads/web/web.container": WEB.format(tag="1.1")}
MISTAKE: Mapping[str, str] = {
    "workloads/web/web.container": WEB.format(tag="1.2").replace("PublishPort", "PublishPrt")
}
"""A misspelled key."""
