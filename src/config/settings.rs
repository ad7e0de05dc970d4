//! The whole of the settings: the keys outside every table, and the list of tables.

use std::path::PathBuf;

use super::reading::key::{Fallback, Key, Kind, Section};
use super::reading::problem::Place;
use super::reading::reader::{Context, Reader};
use super::reading::tree;
use super::reading::tree::{Entry, Node, Table, Value};
use super::sections::account::{self, AccountSettings};
use super::sections::admin::{self, AdminSettings};
use super::sections::auth::{self, AuthSettings, UserSettings};
use super::sections::cache::{self, CacheSettings};
use super::sections::certificate::{self, CertificateGives, CertificateSettings};
use super::sections::credential;
use super::sections::hosted::{self, HostedSettings};
use super::sections::http::{self, HttpSettings, LISTENER, Listener};
use super::sections::meta::{self, MetaSettings};
use super::sections::metering::{self, MeteringSettings};
use super::sections::oidc::{self, OidcSettings};
use super::sections::repository::{self, RepositorySettings};
use super::sections::role::{self, RoleSettings};
use super::sections::rules::{self, RulesSettings};
use super::sections::storage::{self, StorageSettings};
use super::sections::telemetry::{self, TelemetrySettings};
use super::sections::upstream::{self, UpstreamSettings};

/// Everything that an operator can choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `listen`: where clients are served.
    pub listen: Vec<Listener>,
    /// `data`: the folder that holds blobs, staging files and the database.
    pub data: PathBuf,
    pub http: HttpSettings,
    pub admin: AdminSettings,
    pub cache: CacheSettings,
    pub hosted: HostedSettings,
    pub storage: StorageSettings,
    pub meta: MetaSettings,
    pub metering: MeteringSettings,
    pub rules: RulesSettings,
    pub auth: AuthSettings,
    /// `[[account]]`, in the order of the file.
    pub accounts: Vec<AccountSettings>,
    /// `[[repository]]`, in the order of the file.
    pub repositories: Vec<RepositorySettings>,
    /// `[[user]]`.
    pub users: Vec<UserSettings>,
    /// `[[role]]`.
    pub roles: Vec<RoleSettings>,
    /// `[[oidc]]`, in the order of the file.
    pub oidc: Vec<OidcSettings>,
    /// `[[certificate]]`, in the order of the file.
    pub certificates: Vec<CertificateSettings>,
    pub telemetry: TelemetrySettings,
    /// `[[upstream]]`, in the order of the file; the well-known ones where the file names none.
    pub upstreams: Vec<UpstreamSettings>,
}

const USUAL_LISTEN: &str = r#"["127.0.0.1:5000"]"#;

pub static SECTION: Section = Section {
    name: "",
    meaning: "These keys stand above the first table of the file.",
    keys: &[
        Key {
            name: "listen",
            kind: Kind::Listeners(&LISTENER),
            fallback: Fallback::Value(USUAL_LISTEN),
            meaning: "Where clients are served.",
        },
        Key {
            name: "data",
            kind: Kind::Path,
            fallback: Fallback::Value(r#""./entrepot-data""#),
            meaning: "The folder that holds blobs, unfinished fills and the database.",
        },
        Key {
            name: "well_known_upstreams",
            kind: Kind::Flag,
            fallback: Fallback::Follows("`true` where the file has no `[[upstream]]`, `false` where it has"),
            meaning: "Whether the well-known registries that the file does not name are upstreams, too.",
        },
        Key {
            name: "http",
            kind: Kind::Table(&http::SECTION),
            fallback: Fallback::Unset,
            meaning: "The wire towards clients.",
        },
        Key {
            name: "admin",
            kind: Kind::Table(&admin::SECTION),
            fallback: Fallback::Unset,
            meaning: "Where operators look.",
        },
        Key {
            name: "cache",
            kind: Kind::Table(&cache::SECTION),
            fallback: Fallback::Unset,
            meaning: "How much is kept.",
        },
        Key {
            name: "hosted",
            kind: Kind::Table(&hosted::SECTION),
            fallback: Fallback::Unset,
            meaning: "Repositories of one's own.",
        },
        Key {
            name: "storage",
            kind: Kind::Table(&storage::SECTION),
            fallback: Fallback::Unset,
            meaning: "Where what is pushed is kept.",
        },
        Key {
            name: "meta",
            kind: Kind::Table(&meta::SECTION),
            fallback: Fallback::Unset,
            meaning: "Where facts are kept.",
        },
        Key {
            name: "metering",
            kind: Kind::Table(&metering::SECTION),
            fallback: Fallback::Unset,
            meaning: "Who uses how much.",
        },
        Key {
            name: "rules",
            kind: Kind::Table(&rules::SECTION),
            fallback: Fallback::Unset,
            meaning: "What pull-through rules may name.",
        },
        Key { name: "auth", kind: Kind::Table(&auth::SECTION), fallback: Fallback::Unset, meaning: "Who may come in." },
        Key {
            name: "account",
            kind: Kind::Tables(&account::SECTION),
            fallback: Fallback::Unset,
            meaning: "Registries of other accounts.",
        },
        Key {
            name: "repository",
            kind: Kind::Tables(&repository::SECTION),
            fallback: Fallback::Unset,
            meaning: "What holds for repositories of a name.",
        },
        Key { name: "user", kind: Kind::Tables(&auth::USER), fallback: Fallback::Unset, meaning: "Users." },
        Key { name: "role", kind: Kind::Tables(&role::SECTION), fallback: Fallback::Unset, meaning: "Roles." },
        Key {
            name: "oidc",
            kind: Kind::Tables(&oidc::SECTION),
            fallback: Fallback::Unset,
            meaning: "Identity providers.",
        },
        Key {
            name: "certificate",
            kind: Kind::Tables(&certificate::SECTION),
            fallback: Fallback::Unset,
            meaning: "Clients' certificates.",
        },
        Key {
            name: "log",
            kind: Kind::Table(&telemetry::SECTION),
            fallback: Fallback::Unset,
            meaning: "What is written.",
        },
        Key {
            name: "upstream",
            kind: Kind::Tables(&upstream::SECTION),
            fallback: Fallback::Unset,
            meaning: "The registries that are asked.",
        },
    ],
};

/// Every table of the file, in the order of the reference.
pub fn sections() -> impl Iterator<Item = &'static Section> {
    [
        &SECTION,
        &upstream::SECTION,
        &credential::HELPER,
        &cache::SECTION,
        &hosted::SECTION,
        &storage::SECTION,
        &meta::SECTION,
        &metering::SECTION,
        &rules::SECTION,
        &auth::SECTION,
        &account::SECTION,
        &repository::SECTION,
        &auth::USER,
        &role::SECTION,
        &oidc::SECTION,
        &certificate::SECTION,
        &LISTENER,
        &http::TLS,
        &http::SECTION,
        &admin::SECTION,
        &telemetry::SECTION,
    ]
    .into_iter()
}

/// Reads a tree that environment and well-known upstreams have been laid into. `None` if there were problems.
pub fn read(table: Table, context: &Context) -> Option<Settings> {
    let mut reader = Reader::new(&SECTION, String::new(), Place::File, table, context);
    let listen = http::read_listeners(listen_entry(&mut reader)?, context);
    let data = read_data(&reader);
    // Its value has been used when the upstreams were completed; here it is only checked.
    let well_known = reader.optional("well_known_upstreams", super::reading::value::flag);
    let http_reader = reader.table("http", &http::SECTION);
    let http = http_reader.as_ref().and_then(http::read);
    let admin_reader = reader.table("admin", &admin::SECTION);
    let admin = admin_reader.as_ref().and_then(admin::read);
    let cache = reader.table("cache", &cache::SECTION).and_then(|reader| cache::read(&reader));
    let hosted = reader.table("hosted", &hosted::SECTION).and_then(|reader| hosted::read(&reader));
    let storage = reader.table("storage", &storage::SECTION).and_then(|reader| storage::read(&reader));
    let meta = reader.table("meta", &meta::SECTION).and_then(|reader| meta::read(&reader));
    let metering = reader.table("metering", &metering::SECTION).and_then(|reader| metering::read(&reader));
    let rules = reader.table("rules", &rules::SECTION).and_then(|reader| rules::read(&reader));
    let telemetry = reader.table("log", &telemetry::SECTION).and_then(|reader| telemetry::read(&reader));
    let upstreams = nodes(&mut reader, "upstream");
    let accounts = nodes(&mut reader, "account").and_then(|nodes| account::read(nodes, context));
    let repositories = nodes(&mut reader, "repository").and_then(|nodes| repository::read(nodes, context));
    let users = nodes(&mut reader, "user");
    let roles = nodes(&mut reader, "role");
    let oidc = nodes(&mut reader, "oidc");
    let is_any = |nodes: &Option<Vec<Node>>| nodes.as_ref().is_some_and(|nodes| !nodes.is_empty());
    let certificates = nodes(&mut reader, "certificate");
    let has_users = is_any(&users) || is_any(&roles) || is_any(&oidc) || is_any(&certificates);
    let auth = reader.table("auth", &auth::SECTION).and_then(|reader| auth::read(&reader, has_users));
    let account = auth.as_ref().map(|auth| auth.account);
    let users = users.and_then(|nodes| auth::read_users(nodes, auth.as_ref(), context));
    let roles = roles.and_then(|nodes| role::read(nodes, account, context));
    let oidc = oidc.and_then(|nodes| oidc::read(nodes, context));
    let required = auth.as_ref().is_none_or(|auth| auth.required);
    let takes_pushes =
        listen.as_ref().is_none_or(|listen| listen.iter().any(|listener| takes_pushes(listener, required)));
    let upstreams = upstreams.and_then(|nodes| upstream::read(nodes, takes_pushes, context));
    let certificates = certificates.and_then(|nodes| certificate::read(nodes, listen.as_deref(), required, context));
    if let (Some(reader), Some(http), Some(listen)) = (&http_reader, &http, &listen) {
        http::report_untrusted_proxies(reader, http, listen);
    }
    if let (Some(reader), Some(admin), Some(listen)) = (&admin_reader, &admin, &listen) {
        report_shared_address(reader, admin, listen);
    }
    well_known?;
    Some(Settings {
        listen: listen?,
        data: data?,
        http: http?,
        admin: admin?,
        cache: cache?,
        hosted: hosted?,
        storage: storage?,
        meta: meta?,
        metering: metering?,
        rules: rules?,
        auth: auth?,
        accounts: accounts?,
        repositories: repositories?,
        users: users?,
        roles: roles?,
        oidc: oidc?,
        certificates: certificates?,
        telemetry: telemetry?,
        upstreams: upstreams?,
    })
}

/// Whether anybody may push there: whoever reaches it, or those whom policies let.
fn takes_pushes(listener: &Listener, required: bool) -> bool {
    match listener.auth {
        Some(http::Access::Required) => true,
        None if required => true,
        Some(http::Access::Open) | None => listener.push,
    }
}

fn listen_entry(reader: &mut Reader<'_>) -> Option<Entry> {
    match reader.take("listen") {
        Some(entry) => Some(entry),
        None => Some(Entry::new(Place::BuiltIn, tree::parse_value(USUAL_LISTEN)?)),
    }
}

fn read_data(reader: &Reader<'_>) -> Option<PathBuf> {
    let data = reader.path("data")??;
    if data.exists() && !data.is_dir() {
        reader.report("data", format!("{} is not a folder", data.display()));
        return None;
    }
    Some(data)
}

fn nodes(reader: &mut Reader<'_>, name: &str) -> Option<Vec<Node>> {
    let Some(entry) = reader.take(name) else { return Some(Vec::new()) };
    match entry.node.value {
        Value::List(nodes) => Some(nodes),
        Value::Table(_) => {
            let message = format!("is one table where a list is needed: write [[{name}]], with two brackets");
            reader.context().report(&entry.place, name, message);
            None
        }
        other => {
            let message = format!("is {} where a list of tables is needed: write [[{name}]]", other.words());
            reader.context().report(&entry.place, name, message);
            None
        }
    }
}

fn report_shared_address(reader: &Reader<'_>, admin: &AdminSettings, listen: &[Listener]) {
    for address in &admin.listen {
        if address.port() != 0 && listen.iter().any(|listener| listener.address == *address) {
            reader.report("listen", format!("{address} is an address for clients, too; choose another port"));
        }
    }
}

impl Settings {
    /// The roles that rules give, each with its policies. Rules may share one: it has the policies of all of them.
    pub fn ruled_roles(&self) -> impl Iterator<Item = (&str, &[(String, String)])> {
        let of_tokens = self.oidc.iter().map(|rule| (rule.role.as_str(), rule.policies.as_slice()));
        let of_certificates = self.certificates.iter().filter_map(|rule| match &rule.gives {
            CertificateGives::Role { role, policies } => Some((role.as_str(), policies.as_slice())),
            CertificateGives::User { .. } => None,
        });
        of_tokens.chain(of_certificates)
    }

    /// The keys that differ in `new` and cannot be applied while the process runs. Upstreams and the limits of the cache
    /// can.
    pub fn needs_restart(&self, new: &Self) -> Vec<&'static str> {
        let keys = [
            ("listen", self.listen == new.listen),
            ("data", self.data == new.data),
            ("admin.listen", self.admin.listen == new.admin.listen),
            ("storage", self.storage == new.storage),
            ("meta", self.meta == new.meta),
            ("metering", self.metering == new.metering),
            ("rules", self.rules == new.rules),
            ("auth", self.auth == new.auth),
            ("account", self.accounts == new.accounts),
            ("repository", self.repositories == new.repositories),
            ("user", self.users == new.users),
            ("role", self.roles == new.roles),
            ("oidc", self.oidc == new.oidc),
            ("certificate", self.certificates == new.certificates),
            ("hosted", self.hosted == new.hosted),
            ("log.format", self.telemetry.format == new.telemetry.format),
            ("log.level", self.telemetry.level == new.telemetry.level),
            ("log.audit", self.telemetry.audit == new.telemetry.audit),
            ("log.access", self.telemetry.access == new.telemetry.access),
            ("http.max_connections", self.http.max_connections == new.http.max_connections),
            (
                "http.max_connections_per_client",
                self.http.max_connections_per_client == new.http.max_connections_per_client,
            ),
            ("http.max_streams", self.http.max_streams == new.http.max_streams),
            ("http.body_memory", self.http.body_memory == new.http.body_memory),
            ("http.header_timeout", self.http.header_timeout == new.http.header_timeout),
            ("http.idle_timeout", self.http.idle_timeout == new.http.idle_timeout),
            ("http.stall_timeout", self.http.stall_timeout == new.http.stall_timeout),
            ("http.max_header_bytes", self.http.max_header_bytes == new.http.max_header_bytes),
            ("http.drain_timeout", self.http.drain_timeout == new.http.drain_timeout),
            ("http.hosts", self.http.hosts == new.http.hosts),
            ("http.trusted_proxies", self.http.trusted_proxies == new.http.trusted_proxies),
        ];
        keys.into_iter().filter(|(_, same)| !same).map(|(key, _)| key).collect()
    }
}
