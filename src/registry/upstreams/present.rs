//! What is declared and what rules say, kept together and put in place as a table of names for each registry.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::rule::{self, Rule};
use super::{MAX_RULES, SecretError, secret};
use crate::config::{Credential, DefaultFor, RulesSettings, UpstreamName, UpstreamSettings};
use crate::ecr::Prefix;
use crate::memory::{self, Map};
use crate::meta::{Change, Changes, DocumentKind, Error, Meta};
use crate::metering::Meter;
use crate::oci::{AccountId, QualifiedName, RepositoryName};
use crate::registry::names::{Names, Repository};
use crate::registry::registries::Registries;
use crate::telemetry::Metrics;
use crate::turns::Asker;
use crate::upstream::Upstream;

/// A secret that changed, and a rule whose change was not announced, are seen after this.
const FOLLOW_EVERY: Duration = Duration::from_secs(5);

/// What an upstream without endpoints weighs, with its clients, about.
const UPSTREAM_BYTES: usize = 32 << 10;

pub struct Upstreams {
    accounts: Arc<Registries>,
    /// By the account of the registry. One without rules has the names of none.
    names: ArcSwap<HashMap<AccountId, Arc<Names>>>,
    known: Mutex<Known>,
    /// One reads the rules at a time, so that the last to read is the last to put them in place.
    turn: Semaphore,
    meta: Meta,
    /// Since before the rules were read first.
    changes: Changes,
    /// The folder of the rules' credentials.
    secrets: PathBuf,
    metrics: Metrics,
    meter: Meter,
    /// What the upstreams of rules may be.
    rules: RulesSettings,
    /// When what is declared was read first.
    started_at_ms: i64,
    /// Upstreams of rules that were deleted, for what is kept of them.
    gone: Map<UpstreamName, Option<Arc<Upstream>>>,
}

#[derive(Default)]
struct Known {
    declared: Vec<Arc<Upstream>>,
    rules: Vec<(AccountId, Arc<Upstream>)>,
    /// What was wrong when the rules were read last; each is told once.
    problems: Vec<String>,
}

/// Why a prefix is not to be had for a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is the name of an upstream of the configuration.
    Declared,
    /// It is a host of this upstream of the configuration.
    Host(UpstreamName),
    /// It is a host that clients come to.
    OwnHost,
    /// It lies below a name or a host of this upstream of the configuration, whose repositories would be the rule's.
    Below(UpstreamName),
    /// This upstream of the configuration is the default already.
    Default(UpstreamName),
    /// It is how the upstream of the rule `ROOT` is called.
    NameOfRoot,
    /// Its first part is twelve digits: so the upstreams of other registries' rules are called.
    NameOfAccount,
}

impl Upstreams {
    /// With what the configuration declares; rules are not read yet.
    pub fn new(
        accounts: Arc<Registries>,
        declared: Vec<Arc<Upstream>>,
        secrets: PathBuf,
        meta: Meta,
        metrics: Metrics,
    ) -> Self {
        let known = Known { declared, ..Known::default() };
        Self {
            names: ArcSwap::from_pointee(names(&accounts, &known)),
            accounts,
            known: Mutex::new(known),
            turn: Semaphore::new(1),
            changes: meta.changes(),
            meta,
            secrets,
            metrics,
            meter: Meter::default(),
            rules: RulesSettings::default(),
            started_at_ms: crate::meta::now_ms(),
            gone: Map::new(memory::Kind::DeletedRules, |name, upstream| {
                name.as_str().len() + if upstream.is_some() { UPSTREAM_BYTES } else { 0 }
            }),
        }
    }

    /// What comes from the upstreams of rules is counted from now on.
    #[must_use]
    pub fn metered_by(self, meter: Meter) -> Self {
        Self { meter, ..self }
    }

    /// Rules may name from now on what `rules` allows.
    #[must_use]
    pub fn ruled_by(self, rules: RulesSettings) -> Self {
        Self { rules, ..self }
    }

    pub(in crate::registry) fn registries(&self) -> &Arc<Registries> {
        &self.accounts
    }

    /// What names mean in the registry of this account, which must be one of this process.
    pub(in crate::registry) fn names(&self, account: AccountId) -> Arc<Names> {
        let all = self.names.load();
        match all.get(&account) {
            Some(names) => names.clone(),
            None => Arc::new(Names::new(account, self.declared(account))),
        }
    }

    /// Those of the configuration, and those of all rules.
    pub(in crate::registry) fn all(&self) -> Vec<Arc<Upstream>> {
        let known = self.lock();
        known.declared.iter().chain(known.rules.iter().map(|(_, upstream)| upstream)).cloned().collect()
    }

    pub(in crate::registry) fn started_at_ms(&self) -> i64 {
        self.started_at_ms
    }

    /// Those of the configuration that the registry of this account has.
    pub(in crate::registry) fn declared(&self, account: AccountId) -> Vec<Arc<Upstream>> {
        declared_for(&self.lock().declared, account, self.accounts.home())
    }

    /// Takes others from the configuration. Requests under way end with those that they began with.
    pub(in crate::registry) fn declare(&self, declared: Vec<Arc<Upstream>>) {
        let mut known = self.lock();
        known.declared = declared;
        self.put_in_place(&known);
    }

    /// Reads the rules again and puts them in place. An upstream that did not change keeps its tokens, connections and circuit
    /// breakers.
    pub async fn read_rules(&self) -> Result<(), Error> {
        let _turn = self.turn.acquire().await;
        let registries = u32::try_from(self.accounts.all().count()).unwrap_or(u32::MAX);
        let limit = registries.saturating_mul(MAX_RULES * 2);
        let rows = self.meta.documents_of_all(DocumentKind::PullThroughRule, limit).await?;
        let present = self.lock().rules.clone();
        let (mut rules, mut problems) = (Vec::with_capacity(rows.len()), Vec::new());
        for (account, row) in rows.into_iter().filter(|(account, _)| self.accounts.has(*account)) {
            let Some(rule) = Rule::of_row(&row) else {
                problems.push(format!("the rule {} cannot be read", row.name));
                continue;
            };
            let credential = self.credential(account, &rule).await.unwrap_or_else(|error| {
                problems.push(format!("the rule {} goes without a login: {error}", row.name));
                Credential::Anonymous
            });
            let settings = self.upstream(account, &rule, credential);
            match settings.and_then(|settings| self.keep_or_make(settings, &present)) {
                Ok(upstream) => rules.push((account, upstream)),
                Err(why) => problems.push(format!("the rule {} has no effect: {why}", row.name)),
            }
        }
        let mut known = self.lock();
        for problem in problems.iter().filter(|problem| !known.problems.contains(problem)) {
            tracing::warn!("{problem}");
        }
        known.problems = problems;
        let same = rules.len() == known.rules.len()
            && rules.iter().zip(&known.rules).all(|(a, b)| a.0 == b.0 && Arc::ptr_eq(&a.1, &b.1));
        if !same {
            known.rules = rules;
            self.put_in_place(&known);
        }
        Ok(())
    }

    /// Sees what other processes change, until `stop`.
    pub(in crate::registry) async fn follow_rules(&self, stop: CancellationToken) {
        let mut changes = self.changes.clone();
        loop {
            let announced = tokio::select! {
                () = stop.cancelled() => return,
                () = changes.next_of(Change::Rules) => true,
                () = tokio::time::sleep(FOLLOW_EVERY) => false,
            };
            if let Err(error) = self.read_rules().await {
                tracing::warn!(%error, "the pull-through rules cannot be read; those that were read last are in place");
            } else if announced {
                self.metrics.announced_changes.with_label_values(&[Change::Rules.name()]).inc();
            }
        }
    }

    /// Who the rule is at its upstream, from its secret. No registry gets at the secrets of another.
    pub(in crate::registry) async fn credential(
        &self,
        account: AccountId,
        rule: &Rule,
    ) -> Result<Credential, SecretError> {
        let Some(arn) = &rule.said.credential_arn else { return Ok(Credential::Anonymous) };
        let settings = self.upstream(account, rule, Credential::Anonymous);
        // A rule without a URL has no upstream that could be told a secret.
        let Some(url) = settings.ok().and_then(|settings| settings.urls.into_iter().next()) else {
            return Ok(Credential::Anonymous);
        };
        match self.unless_home(account) {
            None => secret::read(&self.secrets, arn, &url).await,
            Some(account) => secret::read(&self.secrets.join(account.as_str()), arn, &url).await,
        }
    }

    /// The upstream that a rule of this registry stands for.
    pub(in crate::registry) fn upstream(
        &self,
        account: AccountId,
        rule: &Rule,
        credential: Credential,
    ) -> Result<UpstreamSettings, String> {
        let settings = rule.upstream(self.unless_home(account), credential)?;
        Ok(UpstreamSettings { rule: Some(self.rules.clone()), ..settings })
    }

    fn unless_home(&self, account: AccountId) -> Option<AccountId> {
        Some(account).filter(|account| *account != self.accounts.home())
    }

    /// Why a rule of this prefix cannot be made beside what is declared.
    pub(in crate::registry) fn claim(&self, account: AccountId, prefix: &Prefix) -> Option<Claim> {
        if rule::is_name_of_root(prefix) {
            return Some(Claim::NameOfRoot);
        }
        if prefix.path().is_some_and(|path| self.accounts.is_own_host(path)) {
            return Some(Claim::OwnHost);
        }
        let declared = self.declared(account);
        claim(declared.iter().map(|upstream| upstream.settings()), &rule::name(prefix), prefix.is_root())
    }

    fn keep_or_make(
        &self,
        settings: UpstreamSettings,
        present: &[(AccountId, Arc<Upstream>)],
    ) -> Result<Arc<Upstream>, String> {
        match present.iter().find(|(_, upstream)| *upstream.settings() == settings) {
            Some((_, upstream)) => Ok(upstream.clone()),
            None => self.make(settings),
        }
    }

    /// One that is not in place.
    pub(in crate::registry) fn make(&self, settings: UpstreamSettings) -> Result<Arc<Upstream>, String> {
        Upstream::metered(settings, self.metrics.clone(), self.meter.clone()).map_err(|error| error.to_string())
    }

    /// A repository of an upstream that is no more, by the name that the database has for it. Nobody is asked for it.
    pub(in crate::registry) fn gone(&self, own: &QualifiedName, upstream: &str) -> Option<Repository> {
        let account = self.unless_home(own.account);
        // A URL is needed to make settings, and dropped with all else that asking needs.
        let mut settings = UpstreamSettings::new(UpstreamName::new(upstream), "http://localhost/".parse().ok()?)?;
        settings.registry = account;
        let name = UpstreamName::new(upstream);
        let known = self.gone.get(&name).unwrap_or_else(|| {
            let made = self.make(settings.without_asking()).ok();
            self.gone.insert(name, made.clone());
            made
        })?;
        let local = match account {
            Some(account) => RepositoryName::under(account.as_str(), &own.name),
            None => own.name.clone(),
        };
        Some(Repository {
            upstream: known,
            remote: own.name.clone(),
            local,
            own: own.clone(),
            asker: Asker::work("questions"),
        })
    }

    fn put_in_place(&self, known: &Known) {
        self.names.store(Arc::new(names(&self.accounts, known)));
    }

    /// What a panic under the lock leaves is whole: lists are replaced, not changed.
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn names(accounts: &Registries, known: &Known) -> HashMap<AccountId, Arc<Names>> {
    let names = |account: AccountId| {
        let declared = declared_for(&known.declared, account, accounts.home());
        let mut upstreams = declared.clone();
        for (_, upstream) in known.rules.iter().filter(|(of, _)| *of == account) {
            let name = UpstreamName::new(upstream.settings().known_as());
            let default = upstream.settings().default != DefaultFor::None;
            match claim(declared.iter().map(|upstream| upstream.settings()), &name, default) {
                None => upstreams.push(upstream.clone()),
                Some(claim) => {
                    tracing::warn!(rule = %upstream.name(), ?claim, "a pull-through rule gives way to the configuration");
                }
            }
        }
        (account, Arc::new(Names::new(account, upstreams)))
    };
    accounts.all().map(names).collect()
}

fn declared_for(declared: &[Arc<Upstream>], account: AccountId, home: AccountId) -> Vec<Arc<Upstream>> {
    declared.iter().filter(|upstream| upstream.settings().is_for(account, home)).cloned().collect()
}

fn claim<'a>(
    declared: impl Iterator<Item = &'a UpstreamSettings> + Clone,
    name: &UpstreamName,
    default: bool,
) -> Option<Claim> {
    let first = name.as_str().split('/').next().unwrap_or_default();
    if first.parse::<AccountId>().is_ok() {
        return Some(Claim::NameOfAccount);
    }
    if declared.clone().any(|upstream| upstream.name == *name) {
        return Some(Claim::Declared);
    }
    if let Some(upstream) = declared.clone().find(|upstream| upstream.ns.iter().any(|host| host == name.as_str())) {
        return Some(Claim::Host(upstream.name.clone()));
    }
    let is_above = |above: &str| name.as_str().strip_prefix(above).is_some_and(|rest| rest.starts_with('/'));
    let above = declared
        .clone()
        .find(|upstream| is_above(upstream.name.as_str()) || upstream.ns.iter().any(|host| is_above(host)));
    if let Some(upstream) = above {
        return Some(Claim::Below(upstream.name.clone()));
    }
    let other = declared.into_iter().find(|upstream| default && upstream.default != DefaultFor::None);
    other.map(|upstream| Claim::Default(upstream.name.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::RequestedName;
    use crate::registry::names::Named;

    fn declared(text: &str) -> Vec<UpstreamSettings> {
        crate::config::parse(text).unwrap().upstreams
    }

    #[test]
    fn the_configuration_goes_first() {
        let upstreams = declared("[[upstream]]\nname = \"docker.io\"\n[[upstream]]\nname = \"quay.io\"\n");
        let claim = |name: &str, default| claim(upstreams.iter(), &UpstreamName::new(name), default);
        assert_eq!(claim("quay.io", false), Some(Claim::Declared));
        assert_eq!(claim("index.docker.io", false), Some(Claim::Host(UpstreamName::new("docker.io"))));
        assert_eq!(claim("root", true), Some(Claim::Default(UpstreamName::new("docker.io"))));
        assert_eq!(claim("hub", false), None);
        assert_eq!(claim("222222222222/hub", false), Some(Claim::NameOfAccount));
        assert_eq!(claim("222222222222", false), Some(Claim::NameOfAccount));
        assert_eq!(claim("22222222222/hub", false), None);
    }

    /// What is declared for the home registry is asked for by its path, too: no rule takes a part of it away.
    #[test]
    fn d14_a_rule_below_a_declared_upstream_gives_way() {
        let upstreams = declared(
            "[[upstream]]\nname = \"docker.io\"\n[[upstream]]\nname = \"team/a\"\nurl = \"https://a.example\"\n",
        );
        let claim = |name: &str| claim(upstreams.iter(), &UpstreamName::new(name), false);
        let below = |name| Some(Claim::Below(UpstreamName::new(name)));
        assert_eq!(claim("docker.io/library"), below("docker.io"));
        assert_eq!(claim("index.docker.io/a/b"), below("docker.io"));
        assert_eq!(claim("team/a/b"), below("team/a"));
        for free in ["team", "team/b", "team/ab", "docker.iox/library", "hub/docker.io"] {
            assert_eq!(claim(free), None, "{free}");
        }
    }

    /// Rules take effect when they are read, map names as they say, keep what did not change, and give way on a reload.
    #[tokio::test]
    async fn rules_take_effect() {
        let folder = tempfile::tempdir().unwrap();
        let meta = Meta::open(&folder.path().join("x.db")).await.unwrap();
        let metrics = Metrics::new().unwrap();
        let settings = crate::config::parse("[[account]]\nid = \"222222222222\"\n").unwrap();
        let (home, other) = (settings.auth.account, settings.accounts[0].id);
        let accounts = Arc::new(Registries::new(&settings.auth, &settings.accounts));
        let upstreams = Upstreams::new(accounts, Vec::new(), folder.path().to_owned(), meta.clone(), metrics.clone());
        let resolve_in = |account, path: &str| {
            let name = RequestedName { path: path.parse().unwrap(), namespace: None, host: None, registry: None };
            match upstreams.names(account).resolve(&name) {
                Ok(Named::Upstream(repository)) => format!("{} {}", repository.remote, repository.local),
                Ok(Named::Own { otherwise: Some(repository), .. }) => format!("own or {}", repository.local),
                Ok(Named::Own { .. }) => "own".to_owned(),
                Err(error) => error.to_string(),
            }
        };
        let resolve = |path: &str| resolve_in(home, path);
        for (name, document) in [
            ("hub", r#"{"ecrRepositoryPrefix":"hub/","upstreamRegistryUrl":"registry-1.docker.io"}"#),
            (
                "team",
                r#"{"ecrRepositoryPrefix":"team","upstreamRegistryUrl":"a.example","upstreamRepositoryPrefix":"x/y"}"#,
            ),
        ] {
            meta.add_document(home, DocumentKind::PullThroughRule, name, document, 1).await.unwrap();
        }
        assert_eq!(resolve("hub/nginx"), "own");
        upstreams.read_rules().await.unwrap();
        assert_eq!(resolve("hub/nginx"), "library/nginx hub/library/nginx");
        assert_eq!(resolve("team/app"), "x/y/app team/app");
        assert_eq!(resolve("app"), "own");
        assert_eq!(resolve_in(other, "hub/nginx"), "own");
        let theirs = r#"{"ecrRepositoryPrefix":"hub","upstreamRegistryUrl":"c.example"}"#;
        meta.add_document(other, DocumentKind::PullThroughRule, "hub", theirs, 1).await.unwrap();
        upstreams.read_rules().await.unwrap();
        assert_eq!(resolve_in(other, "hub/nginx"), "nginx 222222222222/hub/nginx");
        assert_eq!(resolve("hub/nginx"), "library/nginx hub/library/nginx");
        // A rule with its registry's own name is asked for by that, and is no host that clients come to.
        let named = r#"{"ecrRepositoryPrefix":"d.example","upstreamRegistryUrl":"d.example"}"#;
        meta.add_document(home, DocumentKind::PullThroughRule, "d.example", named, 1).await.unwrap();
        upstreams.read_rules().await.unwrap();
        let by = |namespace: Option<&str>, host: Option<&str>| {
            let (namespace, host) = (namespace.map(str::to_owned), host.map(str::to_owned));
            let name = RequestedName { path: "app".parse().unwrap(), namespace, host, registry: None };
            matches!(upstreams.names(home).resolve(&name), Ok(Named::Upstream(_)))
        };
        assert!(by(Some("d.example"), None) && !by(None, Some("d.example")) && !by(None, Some("d.example:5000")));
        assert!(!upstreams.names(home).is_host("d.example"));
        let first = upstreams.names(home).upstreams().to_vec();

        let root = r#"{"ecrRepositoryPrefix":"ROOT","upstreamRegistryUrl":"b.example"}"#;
        meta.add_document(home, DocumentKind::PullThroughRule, "ROOT", root, 1).await.unwrap();
        upstreams.read_rules().await.unwrap();
        assert_eq!(resolve("app"), "own or root/app");
        let second = upstreams.names(home).upstreams().to_vec();
        assert!(first.iter().all(|one| second.iter().any(|other| Arc::ptr_eq(one, other))));

        let hub = declared("[[upstream]]\nname = \"hub\"\nurl = [\"https://other.example\"]\n").remove(0);
        upstreams.declare(vec![Upstream::new(hub, metrics).unwrap()]);
        assert_eq!(resolve("hub/nginx"), "nginx hub/nginx");
        assert_eq!(resolve("team/app"), "x/y/app team/app");
    }

    /// An operator's credential pulls for the home registry, and for the accounts that the upstream names.
    #[tokio::test]
    async fn s11_credentials_of_upstreams_are_the_home_registrys() {
        let folder = tempfile::tempdir().unwrap();
        let meta = Meta::open(&folder.path().join("x.db")).await.unwrap();
        let metrics = Metrics::new().unwrap();
        let settings = crate::config::parse(
            "[[account]]\nid = \"222222222222\"\n[[account]]\nid = \"333333333333\"\n\
             [[upstream]]\nname = \"open\"\nurl = \"https://a.example\"\n\
             [[upstream]]\nname = \"private\"\nurl = \"https://b.example\"\nusername = \"u\"\npassword = \"p\"\n\
             [[upstream]]\nname = \"lent\"\nurl = \"https://c.example\"\nusername = \"u\"\npassword = \"p\"\naccounts = [\"222222222222\"]\n\
             [[upstream]]\nname = \"shared\"\nurl = \"https://d.example\"\nusername = \"u\"\npassword = \"p\"\naccounts = [\"*\"]\n",
        )
        .unwrap();
        let accounts = Arc::new(Registries::new(&settings.auth, &settings.accounts));
        let declared = settings.upstreams.iter().map(|one| Upstream::new(one.clone(), metrics.clone()).unwrap());
        let secrets = folder.path().to_owned();
        let upstreams = Upstreams::new(accounts, declared.collect(), secrets, meta.clone(), metrics.clone());
        let names = |account| -> Vec<String> {
            upstreams.names(account).upstreams().iter().map(|upstream| upstream.name().to_string()).collect()
        };
        let (home, [second, third]) = (settings.auth.account, [settings.accounts[0].id, settings.accounts[1].id]);
        assert_eq!(names(home), ["open", "private", "shared"]);
        assert_eq!(names(second), ["open", "lent", "shared"]);
        assert_eq!(names(third), ["open", "shared"]);
        // The name is free for a rule of their own.
        let prefix: Prefix = "private".parse().unwrap();
        assert_eq!(upstreams.claim(home, &prefix), Some(Claim::Declared));
        assert_eq!(upstreams.claim(third, &prefix), None);
    }
}
