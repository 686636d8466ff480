"""The host as a Ray Serve application. The only file that knows Ray.

Ray places replicas, counts their sessions (each is one WebSocket, one ongoing request), starts and
ends replicas by that count, asks for their health and exports figures to Prometheus. Where a
replica goes its connections close; each camera goes on with its local model and connects again.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import ray
from fastapi import FastAPI
from ray import serve
from ray.serve.config import HTTPOptions
from ray.util.metrics import Gauge

from liveedit_cam.errors import EngineError
from liveedit_cam.service.app import add_routes
from liveedit_cam.service.host import SessionHost
from liveedit_cam.service.plain import Listen
from liveedit_cam.service.settings import ServeSettings, make_host

NAME = "liveedit-cam"
FULL_SHARE = 0.8
"""Share of its sessions from which on a replica calls for another."""
SPARE_REQUESTS = 2
"""Requests beyond its sessions that a replica takes: to say "full", and health checks."""
QUEUED_REQUESTS = 8
"""Connections that wait where all replicas are full; more are answered HTTP 503 at once."""
DRAIN_S = 5.0
"""Time to end answers under way; a session would go on for hours, so it is cut then."""
FIGURES = {
    "sessions": "Open sessions.",
    "max_sessions": "Sessions there is room for.",
    "edits": "Chunks edited since the replica's start.",
    "busy_s": "Seconds spent in the model since the replica's start.",
}
"""What each replica exports: fields of ``Health``, and what they are."""


def _host() -> SessionHost:
    """Of the replica that this process is."""
    replica: Replica = serve.get_replica_context().servable_object
    return replica.host


_app = FastAPI(openapi_url=None)
add_routes(_app, _host)


@serve.deployment
@serve.ingress(_app)
class Replica:
    """One model with its sessions."""

    def __init__(self, settings: ServeSettings) -> None:
        self.host = make_host(settings)
        self._figures = {
            name: Gauge(f"liveedit_{name}", text, tag_keys=("model",))
            for name, text in FIGURES.items()
        }

    def check_health(self) -> None:
        """Called by Ray every few seconds; also the moment to export figures."""
        found = self.host.health()
        for name, gauge in self._figures.items():
            gauge.set(getattr(found, name), {"model": found.model})


def build(args: Mapping[str, Any] | ServeSettings) -> serve.Application:
    """The application: ``liveedit_cam.service.deployment:build`` as Ray's tools name it.

    Raises ValidationError, UsageError.
    """
    settings = ServeSettings.model_validate(args)
    settings.tokens()  # where it is built, so that a wrong file is told before any replica starts
    # mypy takes no note of what a decorator makes of a class: here a Deployment
    replica = Replica.options(  # type: ignore[attr-defined]
        name=NAME,
        max_ongoing_requests=settings.max_sessions + SPARE_REQUESTS,
        max_queued_requests=QUEUED_REQUESTS,
        graceful_shutdown_timeout_s=DRAIN_S,
        ray_actor_options={"num_cpus": settings.num_cpus, "num_gpus": settings.num_gpus},
        autoscaling_config={
            "min_replicas": settings.min_replicas,
            "max_replicas": settings.max_replicas,
            "target_ongoing_requests": max(1.0, FULL_SHARE * settings.max_sessions),
        },
    )
    return replica.bind(settings)


class LocalCluster:
    """A Ray of its own on this computer, with the application in it."""

    def __init__(self, settings: ServeSettings, listen: Listen) -> None:
        """Nothing starts yet. Raises UsageError, ControlError."""
        listen.check()
        listen.bind().close()  # Ray would say "port taken" in a log of its own
        self._settings = settings
        self._listen = listen
        self.port = listen.port

    def start(self) -> None:
        """Start Ray and wait until a replica is ready. Raises EngineError."""
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
        try:
            self._start()
        except Exception as error:  # Ray raises what it likes, bare Exception among it
            raise EngineError(
                f"Ray could not start the model: {error}",
                hint="Its logs are in /tmp/ray/session_latest/logs/serve; `serve --no-ray` with "
                "the same options shows the reason here.",
            ) from error

    def _start(self) -> None:
        settings, listen = self._settings, self._listen
        ray.init(
            address="local",
            num_cpus=max(1, round(settings.num_cpus * settings.max_replicas)),
            include_dashboard=False,
            log_to_driver=False,
            configure_logging=False,
        )
        options: dict[str, Any] = {"host": listen.host, "port": listen.port, "num_cpus": 0}
        if listen.certificate is not None:
            options["ssl_certfile"] = str(listen.certificate)
            options["ssl_keyfile"] = str(listen.key or listen.certificate)
        serve.start(http_options=HTTPOptions(**options))
        serve.run(build(settings), name=NAME)

    def stop(self) -> None:
        """End all of it. May be called twice."""
        if ray.is_initialized():
            serve.shutdown()
            ray.shutdown()
