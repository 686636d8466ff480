"""The manifest of docs/serve.md by schema: no cluster is at hand to try it on."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from liveedit_cam.service.settings import ServeSettings
from liveedit_cam.service.tokens import read_tokens

MANIFEST = Path(__file__).parents[2] / "docs" / "kuberay.yaml"


def parts() -> tuple[dict[str, Any], dict[str, Any]]:
    """The secret and the service."""
    secret, service = yaml.safe_load_all(MANIFEST.read_text("utf-8"))
    return secret, service


def test_its_tokens_and_arguments_are_what_a_replica_takes(tmp_path: Path) -> None:
    """Catches a manifest that names a setting of an earlier version."""
    secret, service = parts()
    file = tmp_path / "tokens.toml"
    file.write_text(secret["stringData"]["tokens.toml"])
    assert [token.name for token in read_tokens(file)] == ["studio"]
    (application,) = yaml.safe_load(service["spec"]["serveConfigV2"])["applications"]
    assert application["import_path"] == "liveedit_cam.service.deployment:build"
    settings = ServeSettings.model_validate(application["args"])
    cluster = service["spec"]["rayClusterConfig"]
    (workers,) = cluster["workerGroupSpecs"]
    limits = workers["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert settings.num_gpus <= limits["nvidia.com/gpu"]
    assert settings.num_cpus <= float(limits["cpu"])
    assert settings.max_replicas <= workers["maxReplicas"]


def test_every_pod_has_the_tokens() -> None:
    """Catches a replica, or the head that builds the application, without its token file."""
    secret, service = parts()
    cluster = service["spec"]["rayClusterConfig"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        assert pod["volumes"][0]["secret"]["secretName"] == secret["metadata"]["name"]
        assert pod["containers"][0]["volumeMounts"][0]["mountPath"] == "/tokens"


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra serve")
# Ray 2.60 itself imports with this, where pydantic is 2.14
@pytest.mark.filterwarnings("ignore:Using extra keyword arguments:DeprecationWarning")
def test_ray_reads_it() -> None:
    """Catches what Ray's own schema refuses."""
    from ray.serve.schema import ServeDeploySchema

    ServeDeploySchema.model_validate(yaml.safe_load(parts()[1]["spec"]["serveConfigV2"]))
