//! The whole of the settings: the keys outside every table, and the list of tables.

use std::path::PathBuf;

use super::reading::{
    Context, FLAG, Key, Optional, PATH, Parts as _, Place, Reader, Section, Table, TableKey, TablesKey, section,
};
use super::sections::account::{self, AccountSettings};
use super::sections::admin::{self, AdminSettings};
use super::sections::auth::{self, AuthSettings};
use super::sections::cache::{self, CacheSettings};
use super::sections::certificate::{self, CertificateGives, CertificateSettings};
use super::sections::hosted::{self, HostedSettings};
use super::sections::http::{self, HttpSettings};
use super::sections::listener::{self, Access, LISTENER, Listener, Listeners};
use super::sections::meta::{self, MetaSettings};
use super::sections::metering::{self, MeteringSettings};
use super::sections::oidc::{self, OidcSettings};
use super::sections::repository::{self, RepositorySettings};
use super::sections::role::{self, RoleSettings};
use super::sections::rules::{self, RulesSettings};
use super::sections::storage::{self, StorageSettings};
use super::sections::telemetry::{self, TelemetrySettings};
use super::sections::upstream::{self, UpstreamSettings};
use super::sections::user::{self, UserSettings};

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

section! {
    pub static SECTION = Section::one("", "These keys stand above the first table of the file.");

    pub static LISTEN: Listeners = Listeners::usual("listen", r#"["127.0.0.1:5000"]"#, "Where clients are served.");
    pub static DATA: Key<PathBuf> = Key::usual(
        "data",
        PATH,
        "./entrepot-data",
        "The folder that holds blobs, unfinished fills and the database.",
    );
    pub static WELL_KNOWN_UPSTREAMS: Optional<bool> = Optional::follows(
        "well_known_upstreams",
        FLAG,
        "`true` where the file has no `[[upstream]]`, `false` where it has",
        "Whether the well-known registries that the file does not name are upstreams, too.",
    );
    pub static HTTP: TableKey<HttpSettings> =
        TableKey::new("http", &http::SECTION, HttpSettings::read, "The wire towards clients.");
    pub static ADMIN: TableKey<AdminSettings> =
        TableKey::new("admin", &admin::SECTION, AdminSettings::read, "Where operators look.");
    pub static CACHE: TableKey<CacheSettings> =
        TableKey::new("cache", &cache::SECTION, cache::read, "How much is kept.");
    pub static HOSTED: TableKey<HostedSettings> =
        TableKey::new("hosted", &hosted::SECTION, HostedSettings::read, "Repositories of one's own.");
    pub static STORAGE: TableKey<StorageSettings> =
        TableKey::new("storage", &storage::SECTION, storage::read, "Where what is pushed is kept.");
    pub static META: TableKey<MetaSettings> =
        TableKey::new("meta", &meta::SECTION, meta::read, "Where facts are kept.");
    pub static METERING: TableKey<MeteringSettings> =
        TableKey::new("metering", &metering::SECTION, MeteringSettings::read, "Who uses how much.");
    pub static RULES: TableKey<RulesSettings> =
        TableKey::new("rules", &rules::SECTION, RulesSettings::read, "What pull-through rules may name.");
    pub static AUTH: TableKey<AuthSettings> =
        TableKey::new("auth", &auth::SECTION, AuthSettings::read, "Who may come in.");
    pub static ACCOUNT: TablesKey =
        TablesKey::new("account", &account::SECTION, "Registries of other accounts.");
    pub static REPOSITORY: TablesKey =
        TablesKey::new("repository", &repository::SECTION, "What holds for repositories of a name.");
    pub static USER: TablesKey = TablesKey::new("user", &user::SECTION, "Users.");
    pub static ROLE: TablesKey = TablesKey::new("role", &role::SECTION, "Roles.");
    pub static OIDC: TablesKey = TablesKey::new("oidc", &oidc::SECTION, "Identity providers.");
    pub static CERTIFICATE: TablesKey =
        TablesKey::new("certificate", &certificate::SECTION, "Clients' certificates.");
    pub static LOG: TableKey<TelemetrySettings> =
        TableKey::new("log", &telemetry::SECTION, TelemetrySettings::read, "What is written.");
    pub static UPSTREAM: TablesKey =
        TablesKey::new("upstream", &upstream::SECTION, "The registries that are asked.")
            .at_most(upstream::MAX_UPSTREAMS);
}

/// Every table of the file, in the order of the reference.
pub static SECTIONS: &[&Section] = &[
    &SECTION,
    &upstream::SECTION,
    &upstream::HELPER,
    &cache::SECTION,
    &hosted::SECTION,
    &storage::SECTION,
    &meta::SECTION,
    &metering::SECTION,
    &rules::SECTION,
    &auth::SECTION,
    &account::SECTION,
    &repository::SECTION,
    &user::SECTION,
    &role::SECTION,
    &oidc::SECTION,
    &certificate::SECTION,
    &LISTENER,
    &listener::TLS_SECTION,
    &http::SECTION,
    &admin::SECTION,
    &telemetry::SECTION,
];

/// Reads a tree that environment and well-known upstreams have been laid into. `None` if there were problems.
pub fn read(table: Table, context: &Context) -> Option<Settings> {
    let reader = &Reader::new(&SECTION, String::new(), Place::File, table, context);
    let listen = reader.get(&LISTEN);
    let data = read_data(reader);
    // Its value has been used when the upstreams were completed; here it is only checked.
    let well_known = reader.get(&WELL_KNOWN_UPSTREAMS);
    let (http_reader, admin_reader) = (reader.table(&HTTP), reader.table(&ADMIN));
    let http = http_reader.as_ref().and_then(HttpSettings::read);
    let admin = admin_reader.as_ref().and_then(AdminSettings::read);
    let (cache, hosted, storage) = (reader.get(&CACHE), reader.get(&HOSTED), reader.get(&STORAGE));
    let (meta, metering, rules, telemetry) =
        (reader.get(&META), reader.get(&METERING), reader.get(&RULES), reader.get(&LOG));
    let accounts = account::read(&ACCOUNT, reader);
    let repositories = REPOSITORY.read(reader, RepositorySettings::read);
    let has_users = [&USER, &ROLE, &OIDC, &CERTIFICATE].iter().any(|key| key.first(reader).is_some());
    let auth = reader.table(&AUTH).and_then(|reader| auth::read(&reader, has_users));
    let users = user::read(&USER, reader, auth.as_ref());
    let roles = role::read(&ROLE, reader, auth.as_ref().map(|auth| auth.account));
    let oidc = OIDC.read(reader, oidc::read);
    let required = auth.as_ref().is_none_or(|auth| auth.required);
    let takes_pushes = listen
        .as_ref()
        .is_none_or(|listen: &Vec<Listener>| listen.iter().any(|listener| takes_pushes(listener, required)));
    let upstreams = upstream::read(&UPSTREAM, reader, takes_pushes);
    let certificates = certificate::read(&CERTIFICATE, reader, listen.as_deref(), required);
    if let (Some(http), Some(listen), Some(reader)) = (&http, &listen, &http_reader) {
        http::report_untrusted_proxies(reader, http, listen);
    }
    if let (Some(admin), Some(listen), Some(reader)) = (&admin, &listen, &admin_reader) {
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

/// Clients may push there: whoever reaches it, or those whom policies let.
fn takes_pushes(listener: &Listener, required: bool) -> bool {
    match listener.auth {
        Some(Access::Required) => true,
        None if required => true,
        Some(Access::Open) | None => listener.push,
    }
}

fn read_data(reader: &Reader<'_>) -> Option<PathBuf> {
    let data: PathBuf = reader.get(&DATA)?;
    if data.exists() && !data.is_dir() {
        reader.report(&DATA, format!("{} is not a folder", data.display()));
        return None;
    }
    Some(data)
}

fn report_shared_address(reader: &Reader<'_>, admin: &AdminSettings, listen: &[Listener]) {
    for address in &admin.listen {
        if address.port() != 0 && listen.iter().any(|listener| listener.address == *address) {
            reader.report(&admin::LISTEN, format!("{address} is an address for clients, too; choose another port"));
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

    /// The keys that differ in `new` and cannot be applied while the process runs. Upstreams and the limits of the
    /// cache can.
    pub fn needs_restart(&self, new: &Self) -> Vec<String> {
        let whole = [
            (LISTEN.declared(), self.listen == new.listen),
            (DATA.declared(), self.data == new.data),
            (STORAGE.declared(), self.storage == new.storage),
            (META.declared(), self.meta == new.meta),
            (METERING.declared(), self.metering == new.metering),
            (RULES.declared(), self.rules == new.rules),
            (AUTH.declared(), self.auth == new.auth),
            (ACCOUNT.declared(), self.accounts == new.accounts),
            (REPOSITORY.declared(), self.repositories == new.repositories),
            (USER.declared(), self.users == new.users),
            (ROLE.declared(), self.roles == new.roles),
            (OIDC.declared(), self.oidc == new.oidc),
            (CERTIFICATE.declared(), self.certificates == new.certificates),
            (HOSTED.declared(), self.hosted == new.hosted),
        ];
        let by_key = [
            (ADMIN.declared(), self.admin.differences(&new.admin)),
            (LOG.declared(), self.telemetry.differences(&new.telemetry)),
            (HTTP.declared(), self.http.differences(&new.http)),
            (CACHE.declared(), cache::differences_at_start(&self.cache, &new.cache)),
        ];
        let whole = whole.into_iter().filter(|(_, same)| !same).map(|(key, _)| key.name.to_owned());
        let by_key = by_key
            .into_iter()
            .flat_map(|(table, names)| names.into_iter().map(move |name| format!("{}.{name}", table.name)));
        whole.chain(by_key).collect()
    }
}
