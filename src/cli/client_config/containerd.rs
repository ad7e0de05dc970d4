//! containerd: one `hosts.toml` per registry. It adds `?ns=` to what it asks a mirror.

use super::guide::Guide;
use super::service::Service;

const FOLDER: &str = "/etc/containerd/certs.d";

pub(super) fn guide(service: &Service) -> Guide {
    let mut guide = Guide::new("containerd", service);
    guide.note(
        "One file per registry, for containerd 1.5 and later, Kubernetes and nerdctl. They hold at once; containerd needs \
         no restart. For `ctr`, add --hosts-dir /etc/containerd/certs.d.",
    );
    guide.note(
        "containerd must know the folder. In /etc/containerd/config.toml, for 2.x and for 1.x:\n\
         \x20   [plugins.\"io.containerd.cri.v1.images\".registry]\n\
         \x20     config_path = \"/etc/containerd/certs.d\"\n\
         \x20   [plugins.\"io.containerd.grpc.v1.cri\".registry]\n\
         \x20     config_path = \"/etc/containerd/certs.d\"",
    );
    guide.note(
        "`server` is where containerd goes when this service does not answer. To forbid that, make it the same URL as the \
         host. `dial_timeout` needs containerd 2.1; without it, a service that cannot be reached costs 30 s a request.",
    );
    if !service.is_plain_http() {
        guide.note("If the certificate is of a private authority, add ca = \"/path/to/ca.pem\" below capabilities.");
    }
    guide.note_access(
        service,
        "Put the result of `printf %s NAME:PASSWORD | base64` into each file where it says so; the user needs the rights of PullOnly. The \
         files then hold a secret: chmod 0600.",
        "Put the paths of the certificate and its key into each file where it says so.",
    );
    guide.note_names_without_host(service);
    let mut access = String::new();
    if service.wanted.certificate {
        access.push_str("  # client = [[\"/path/to/client.pem\", \"/path/to/client.key\"]]\n");
    }
    if service.wanted.login {
        access
            .push_str(&format!("  # [host.\"{}\".header]\n  #   Authorization = [\"Basic BASE64\"]\n", service.url()));
    }
    for registry in &service.registries {
        guide.file(
            format!("{FOLDER}/{}/hosts.toml", registry.host),
            format!(
                "server = \"{}\"\n\n[host.\"{}\"]\n  capabilities = [\"pull\", \"resolve\"]\n  dial_timeout = \"1s\"\n{access}",
                registry.origin,
                service.url()
            ),
        );
    }
    guide
}
