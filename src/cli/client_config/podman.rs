//! podman, CRI-O, buildah and skopeo: `registries.conf`, with the upstream's name as path of the mirror.

use super::guide::Guide;
use super::service::Service;

pub(super) fn guide(service: &Service) -> Guide {
    let mut guide = Guide::new("podman", service);
    guide.note(
        "For podman, CRI-O, buildah and skopeo. For one user, the folder is ~/.config/containers/registries.conf.d. podman \
         reads it at each start; CRI-O reads it on SIGHUP: systemctl reload crio.",
    );
    guide.note(
        "When this service does not answer, the registry itself is asked. To forbid that, write the mirror's location into \
         the registry's `location` and leave the mirror out.",
    );
    if !service.is_plain_http() {
        guide.note(format!(
            "If the certificate is of a private authority, put it at /etc/containers/certs.d/{}/ca.crt.",
            service.address()
        ));
    }
    guide.note_access(
        service,
        &format!(
            "podman login {}, as the user that pulls; CRI-O reads the file of its `global_auth_file`, which podman login --authfile writes.",
            service.address()
        ),
        &format!(
            "Put it at /etc/containers/certs.d/{0}/client.cert and its key at /etc/containers/certs.d/{0}/client.key.",
            service.address()
        ),
    );
    guide.note_names_without_host(service);
    let mut content = String::new();
    for registry in &service.registries {
        let separator = if content.is_empty() { "" } else { "\n" };
        let insecure = if service.is_plain_http() { "insecure = true\n" } else { "" };
        if registry.offline {
            content.push_str(&format!(
                "{separator}[[registry]]\nprefix = \"{}\"\nlocation = \"{}/{}\"\n{insecure}",
                registry.host,
                service.address(),
                registry.name
            ));
            continue;
        }
        content.push_str(&format!(
            "{separator}[[registry]]\nprefix = \"{host}\"\nlocation = \"{host}\"\n\n[[registry.mirror]]\nlocation = \
             \"{address}/{name}\"\n{insecure}",
            host = registry.host,
            address = service.address(),
            name = registry.name,
        ));
    }
    guide.file("/etc/containers/registries.conf.d/50-entrepot.conf", content);
    guide
}
