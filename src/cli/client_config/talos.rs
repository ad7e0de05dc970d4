//! Talos: a document per registry in the machine configuration.

use super::guide::Guide;
use super::service::Service;

pub(super) fn guide(service: &Service) -> Guide {
    let mut guide = Guide::new("talos", service);
    guide.note(
        "For Talos 1.12 and later: talosctl patch machineconfig --patch @registry-mirrors.yaml. Before 1.12, write the same \
         as machine.registries.mirrors: a key per registry with `endpoints`, a list of URLs.",
    );
    guide.note(
        "When this service does not answer, the registry itself is asked. To forbid that, add skipFallback: true to each \
         document.",
    );
    if service.is_loopback() {
        guide.note(
            "127.0.0.1 is right where this service runs on every node with the host's network; otherwise give its address \
             with --url.",
        );
    }
    if !service.is_plain_http() {
        guide.note("If the certificate is of a private authority, add a RegistryTLSConfig document with its `ca`.");
    }
    guide.note_access(
        service,
        "Fill in the name and the password of a user with the rights of PullOnly in the last document.",
        "Fill in the certificate and its key in the last document.",
    );
    guide.note_names_without_host(service);
    let mut documents: Vec<_> = service
        .registries
        .iter()
        .map(|registry| {
            format!(
                "apiVersion: v1alpha1\nkind: RegistryMirrorConfig\nname: \"{}\"\nendpoints:\n  - url: \"{}\"\n",
                registry.host,
                service.url()
            )
        })
        .collect();
    if service.wanted.login {
        documents.push(format!(
            "# apiVersion: v1alpha1\n# kind: RegistryAuthConfig\n# name: \"{}\"\n# username: NAME\n# password: PASSWORD\n",
            service.address()
        ));
    }
    if service.wanted.certificate {
        documents.push(format!(
            "# apiVersion: v1alpha1\n# kind: RegistryTLSConfig\n# name: \"{}\"\n# clientIdentity:\n#   cert: ...\n#   key: ...\n",
            service.address()
        ));
    }
    guide.file("registry-mirrors.yaml", documents.join("---\n"));
    guide
}
