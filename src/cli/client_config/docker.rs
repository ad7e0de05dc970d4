//! dockerd: mirrors are for Docker Hub alone, and at the root of a host.

use serde_json::json;

use super::guide::Guide;
use super::service::Service;
use crate::config::DefaultFor;

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
    guide.note_access(
        service,
        &format!(
            "Docker sends no credentials to a mirror. Let everybody pull what it asks for, with [[repository]] name = \"docker.io/*\" and \
             public = true, or leave the mirror out, log in with docker login {address}, and name images in full: docker pull \
             {address}/docker.io/library/<image>",
            address = service.address()
        ),
        &format!(
            "Put it at /etc/docker/certs.d/{0}/client.cert and its key at /etc/docker/certs.d/{0}/client.key.",
            service.address()
        ),
    );
    guide.note_names_without_host(service);
    match &service.default {
        Some((host, DefaultFor::All)) if host == "docker.io" => {}
        Some((host, _)) if host == "docker.io" => guide.note(
            "Docker's requests to a mirror name no registry. This service takes pushes, so it answers them for Docker's official images \
             (nginx, which is library/nginx) and for its own, and asks Docker Hub for no other name; Docker then goes to Docker Hub \
             itself. To have all of Docker Hub come through here, set `default = \"all\"` for docker.io: names of your own that are not \
             pushed yet are then asked for there, too.",
        ),
        Some((host, _)) => guide.note(format!(
            "Take care: requests that name no upstream go to {host} here, not to Docker Hub, and Docker's name none. Set \
             `default = \"all\"` for docker.io instead."
        )),
        None => guide.note(
            "Take care: no upstream is the default, and Docker's requests to a mirror name none. Set `default = \"all\"` for docker.io.",
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
