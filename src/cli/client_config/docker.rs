//! dockerd: mirrors are for Docker Hub alone, and at the root of a host.

use serde_json::json;

use super::guide::Guide;
use super::service::Service;

pub(super) fn guide(service: &Service) -> Guide {
    let mut guide = Guide::new("docker", service);
    guide.note(
        "Merge this into /etc/docker/daemon.json, then: systemctl reload docker. (JSON has no comments; leave these lines \
         out.) `docker info` shows the mirror.",
    );
    let mut others = String::from("Docker asks mirrors for images of Docker Hub only. Name the others in full:");
    for registry in service.registries.iter().filter(|registry| registry.host != "docker.io") {
        others.push_str(&format!("\n    docker pull {}/{}/<image>", service.address(), registry.name));
    }
    guide.note(others);
    guide.note_names_without_host(service);
    match service.default_host.as_deref() {
        Some("docker.io") => {}
        Some(host) => guide.note(format!(
            "Take care: requests that name no upstream go to {host} here, not to Docker Hub, and Docker's name none. Set \
             `default = true` for docker.io instead."
        )),
        None => guide.note(
            "Take care: no upstream has `default = true`, and Docker's requests to a mirror name none. Set it for docker.io.",
        ),
    }
    let mut daemon = json!({ "registry-mirrors": [service.url()] });
    if service.is_plain_http() && !service.is_loopback() {
        guide.note("Over plain HTTP, Docker must be told that it may; with TLS, leave `insecure-registries` out.");
        if let Some(daemon) = daemon.as_object_mut() {
            daemon.insert("insecure-registries".to_owned(), json!([service.address()]));
        }
    }
    guide.file("/etc/docker/daemon.json", format!("{daemon:#}\n"));
    guide
}
