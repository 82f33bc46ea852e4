import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.settings import Settings as ApiSettings
from cli.main import VERBS
from gateway.key_wrapping import SETTING as KEY_ENCRYPTION_KEY
from gateway.key_wrapping import new_key_encryption_key
from gateway.settings import Settings as GatewaySettings

ROOT = Path(__file__).resolve().parents[2]
TOP_LEVEL = frozenset({"name", "services", "volumes", "networks", "configs", "secrets"})
OF_A_SERVICE = frozenset(
    {
        "build",
        "command",
        "depends_on",
        "entrypoint",
        "environment",
        "healthcheck",
        "image",
        "ports",
        "restart",
        "stop_grace_period",
        "user",
        "volumes",
    }
)
"""What ours use; each is a key of the Compose specification."""
CONDITIONS = frozenset({"service_started", "service_healthy", "service_completed_successfully"})
PINNED = re.compile(r"^[a-z0-9./-]+:[0-9]+\.[0-9]+[a-z0-9.-]*$|^latchkey:local$")
LOOPBACK_PORT = re.compile(r"^127\.0\.0\.1:\d+:\d+$")
DURATION = re.compile(r"^\d+(ms|s|m|h)$")


@pytest.fixture(scope="module")
def compose() -> Mapping[str, Any]:
    loaded = yaml.safe_load((ROOT / "compose.yaml").read_text())
    assert isinstance(loaded, dict)
    return {name: value for name, value in loaded.items() if not name.startswith("x-")}


@pytest.fixture(scope="module")
def services(compose: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    found: Mapping[str, Mapping[str, Any]] = compose["services"]
    return found


def test_every_key_is_one_that_compose_knows(
    compose: Mapping[str, Any], services: Mapping[str, Mapping[str, Any]]
) -> None:
    assert set(compose) <= TOP_LEVEL
    assert {
        name: set(service) - OF_A_SERVICE for name, service in services.items() if set(service) - OF_A_SERVICE
    } == {}


def test_values_have_the_form_that_compose_wants(services: Mapping[str, Mapping[str, Any]]) -> None:
    for name, service in services.items():
        assert all(isinstance(value, str) for value in service.get("environment", {}).values()), name
        assert all(isinstance(word, str) for word in service.get("command", [])), name
        assert service.get("restart", "no") in ("no", "always", "on-failure", "unless-stopped"), name
        check = service.get("healthcheck")
        if check is not None:
            assert check["test"][0] in ("CMD", "CMD-SHELL"), name
            assert all(DURATION.match(check[key]) for key in ("interval", "timeout")), name


def test_images_are_pinned(services: Mapping[str, Mapping[str, Any]]) -> None:
    assert [service["image"] for service in services.values() if not PINNED.match(service["image"])] == []


def test_a_service_waits_only_for_services_that_can_reach_the_state(
    services: Mapping[str, Mapping[str, Any]],
) -> None:
    for name, service in services.items():
        for other, wish in service.get("depends_on", {}).items():
            assert wish["condition"] in CONDITIONS, name
            if wish["condition"] == "service_healthy":
                assert "healthcheck" in services[other], f"{name} waits for the health of {other}"
            if wish["condition"] == "service_completed_successfully":
                assert services[other]["restart"] == "no", f"{name} waits for the end of {other}"


def test_nothing_is_offered_beyond_this_machine(services: Mapping[str, Mapping[str, Any]]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert ports
    assert [port for port in ports if not LOOPBACK_PORT.match(port)] == []


def test_every_named_volume_is_declared(
    compose: Mapping[str, Any], services: Mapping[str, Mapping[str, Any]]
) -> None:
    used = {volume.split(":")[0] for service in services.values() for volume in service.get("volumes", [])}
    assert {name for name in used if not name.startswith(".")} == set(compose["volumes"])
    assert all((ROOT / name).exists() for name in used if name.startswith("."))


def test_no_password_stands_in_the_file_and_the_example_names_every_one() -> None:
    text = (ROOT / "compose.yaml").read_text()
    wanted = set(re.findall(r"\$\{(LATCHKEY_[A-Z_]+)", text))
    named = set(
        re.findall(r"^(LATCHKEY_[A-Z_]+)=", (ROOT / "deploy" / "env.example").read_text(), re.MULTILINE)
    )
    assert wanted == named
    assert not re.findall(r"PASSWORD: (?!\$\{)", text)


def test_our_own_services_run_verbs_that_exist(services: Mapping[str, Mapping[str, Any]]) -> None:
    ours = [service["command"][0] for service in services.values() if service["image"] == "latchkey:local"]
    assert set(ours) <= set(VERBS)


def filled(environment: Mapping[str, str]) -> dict[str, str]:
    """As compose gives it to the process, with a password, or a key, in each place of one."""
    given = {
        name: re.sub(r"\$\{[^}]*\}", "0123456789abcdef" * 2, value) for name, value in environment.items()
    }
    return given | {name: new_key_encryption_key("a") for name in given if name == KEY_ENCRYPTION_KEY}


def test_gateway_and_api_take_the_settings_they_are_given(
    services: Mapping[str, Mapping[str, Any]], tmp_path: Path
) -> None:
    (tmp_path / "index.html").write_text("the page is built into the image")
    given = filled(services["api"]["environment"]) | {"LATCHKEY_WEB_DIR": str(tmp_path)}
    api = ApiSettings.from_environment(given)
    gateway = GatewaySettings.from_environment(filled(services["gateway"]["environment"]))
    assert services["api"]["ports"] == [f"127.0.0.1:{api.port}:{api.port}"]
    assert f":{api.port}/readyz" in services["api"]["healthcheck"]["test"][-1]
    assert f":{gateway.gateway_http_port}/readyz" in services["gateway"]["healthcheck"]["test"][-1]
    assert (gateway.mqtt_host, gateway.redis_url.rpartition("@")[2]) == ("mosquitto", "redis:6379/0")
    assert str(gateway.mqtt_port) in services["mosquitto"]["healthcheck"]["test"][-1]


def test_the_gateway_watches_the_disk_that_the_broker_writes_to(
    services: Mapping[str, Mapping[str, Any]],
) -> None:
    watched = GatewaySettings.from_environment(filled(services["gateway"]["environment"])).broker_folder
    # Where `broker-files --into` has mosquitto keep its data.
    command = services["broker-files"]["command"]
    assert watched == Path(command[command.index("--into") + 1]) / "data"
    mounts = [set(services[name]["volumes"]) for name in ("gateway", "mosquitto", "broker-files")]
    assert f"broker:{watched.parent}" in set.intersection(*mounts)


def test_the_image_holds_every_package_and_installs_only_what_is_locked() -> None:
    text = (ROOT / "Dockerfile").read_text()
    for package in ("firmware_protocol", "geo", "gateway", "api", "device_sim", "cli", "bench", "deploy"):
        assert f"COPY {package}/ {package}/" in text
    assert "--require-hashes" in text
    assert re.search(r"^USER 10001", text, re.MULTILINE)
    assert all(
        PINNED.match(image) or ":" in image for image in re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    )
