//! Whose registry a request means: each account has one.
//!
//! A client chooses by the name of the host that it comes to, as in ECR, or comes to the registry of `auth.account`. Regions
//! divide nothing here: a name may say any, and it is answered with that one.

use std::collections::{BTreeMap, HashMap};

use super::names::NameError;
use crate::config::{AccountSettings, AuthSettings};
use crate::oci::AccountId;

const AWS_DOMAINS: [&str; 2] = [".amazonaws.com", ".amazonaws.com.cn"];

/// The registries of this process.
pub struct Registries {
    home: AccountId,
    region: String,
    /// With a dot in front.
    domain: Option<String>,
    /// The first host of each, if it has any.
    all: BTreeMap<AccountId, Option<String>>,
    by_host: HashMap<String, AccountId>,
    /// Of `auth.url`.
    url_host: Option<String>,
}

/// What a host's name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    pub account: AccountId,
    pub region: Option<String>,
}

impl Registries {
    pub fn new(auth: &AuthSettings, accounts: &[AccountSettings]) -> Self {
        let mut all = BTreeMap::from([(auth.account, None)]);
        let mut by_host = HashMap::new();
        for account in accounts {
            all.insert(account.id, account.hosts.first().cloned());
            by_host.extend(account.hosts.iter().map(|host| (host.clone(), account.id)));
        }
        let domain = auth.domain.as_ref().map(|domain| format!(".{domain}"));
        let url_host = auth.url.as_ref().and_then(|url| url.host_str()).map(str::to_owned);
        Self { home: auth.account, region: auth.region.clone(), domain, all, by_host, url_host }
    }

    /// The one that is meant where no host says another.
    pub fn home(&self) -> AccountId {
        self.home
    }

    /// In the names of repositories, where the client says no other.
    pub fn region(&self) -> &str {
        &self.region
    }

    pub fn has(&self, account: AccountId) -> bool {
        self.all.contains_key(&account)
    }

    pub fn all(&self) -> impl Iterator<Item = AccountId> {
        self.all.keys().copied()
    }

    /// What the `Host` that a client came to says; `None` where it is no name of a registry.
    pub fn chosen_by(&self, host: Option<&str>) -> Result<Option<Chosen>, NameError> {
        let Some(host) = host.filter(|_| self.domain.is_some() || !self.by_host.is_empty() || self.all.len() > 1)
        else {
            return Ok(None);
        };
        let (name, port) = host.rsplit_once(':').unwrap_or((host, ""));
        let name = if port.bytes().all(|c| c.is_ascii_digit()) { name } else { host };
        // The final dot says that the name is whole.
        let name = name.to_ascii_lowercase();
        let name = name.strip_suffix('.').unwrap_or(&name);
        if let Some(account) = self.by_host.get(name) {
            return Ok(Some(Chosen { account: *account, region: None }));
        }
        // AWS's own name of a registry that is here, which a client was made to resolve to us.
        let of_aws = AWS_DOMAINS.iter().find_map(|domain| name.strip_suffix(domain)).and_then(of_ecr);
        if let Some((account, region)) = of_aws.filter(|(account, _)| self.has(*account)) {
            return Ok(Some(Chosen { account, region: Some(region.to_owned()) }));
        }
        let below = self.domain.as_deref().and_then(|domain| name.strip_suffix(domain));
        let Some((account, region)) = below.and_then(of_ecr) else { return Ok(None) };
        if !self.has(account) {
            return Err(NameError::UnknownRegistry(account));
        }
        Ok(Some(Chosen { account, region: Some(region.to_owned()) }))
    }

    /// Whether the configuration says that clients come to this host.
    pub fn is_own_host(&self, host: &str) -> bool {
        let is_below = |domain: &str| domain.strip_prefix('.') == Some(host) || host.ends_with(domain);
        self.url_host.as_deref() == Some(host)
            || self.domain.as_deref().is_some_and(is_below)
            || !matches!(self.chosen_by(Some(host)), Ok(None))
    }

    /// Where clients reach the registry of this account by name: `None` if only that of all others has one.
    pub fn host_of(&self, account: AccountId, region: &str) -> Option<String> {
        match (self.all.get(&account), &self.domain) {
            (Some(Some(host)), _) => Some(host.clone()),
            (Some(None), Some(domain)) => Some(format!("{account}.dkr.ecr.{region}{domain}")),
            _ => None,
        }
    }
}

/// `<account>.dkr.ecr.<region>`, or as the names of ECR's dual stack and FIPS hosts begin.
fn of_ecr(name: &str) -> Option<(AccountId, &str)> {
    let (account, rest) = name.split_once('.')?;
    let region = ["dkr.ecr.", "dkr-ecr.", "dkr.ecr-fips.", "dkr-ecr-fips."]
        .iter()
        .find_map(|middle| rest.strip_prefix(middle))?;
    let is_region = !region.is_empty() && region.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
    Some((account.parse().ok()?, region)).filter(|_| is_region)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_choose_registries() {
        let settings = crate::config::parse(
            "[auth]\naccount = \"111111111111\"\ndomain = \"registry.example\"\n\
             [[account]]\nid = \"222222222222\"\nhosts = [\"Team.example\", \"other.example\"]\n[[account]]\nid = \"333333333333\"\n",
        )
        .unwrap();
        let accounts = Registries::new(&settings.auth, &settings.accounts);
        let chosen = |host: &str| match accounts.chosen_by(Some(host)) {
            Ok(None) => "home".to_owned(),
            Ok(Some(Chosen { account, region })) => format!("{account} {}", region.unwrap_or_default()),
            Err(error) => error.to_string(),
        };
        for (host, expected) in [
            ("localhost:5000", "home"),
            ("registry.example", "home"),
            ("[::1]:5000", "home"),
            ("team.example", "222222222222 "),
            ("TEAM.example:8443", "222222222222 "),
            ("222222222222.dkr.ecr.eu-west-1.registry.example", "222222222222 eu-west-1"),
            ("333333333333.dkr-ecr.local.registry.example:443", "333333333333 local"),
            ("111111111111.dkr.ecr-fips.us-east-1.registry.example", "111111111111 us-east-1"),
            ("222222222222.dkr.ecr.eu-west-1.other.example", "home"),
            ("222222222222.dkr.ecr..registry.example", "home"),
            ("222222222222.dkr.ecr.a.b.registry.example", "home"),
            ("22222222222.dkr.ecr.a.registry.example", "home"),
            ("x.team.example", "home"),
            ("team.example.", "222222222222 "),
            ("team.example.:5000", "222222222222 "),
            ("333333333333.dkr.ecr.local.registry.example.", "333333333333 local"),
            // C8: a registry that is here, by the name that it has at AWS; others' names are not ours to answer for.
            ("222222222222.dkr.ecr.eu-central-1.amazonaws.com", "222222222222 eu-central-1"),
            ("222222222222.dkr.ecr.cn-north-1.amazonaws.com.cn", "222222222222 cn-north-1"),
            ("999999999999.dkr.ecr.eu-central-1.amazonaws.com", "home"),
        ] {
            assert_eq!(chosen(host), expected, "{host}");
        }
        assert!(chosen("999999999999.dkr.ecr.a.registry.example").contains("999999999999"));
        assert_eq!(accounts.chosen_by(None), Ok(None));
        let account = |text: &str| text.parse::<AccountId>().unwrap();
        assert_eq!(accounts.host_of(account("222222222222"), "a").as_deref(), Some("team.example"));
        let named = "333333333333.dkr.ecr.a.registry.example";
        assert_eq!(accounts.host_of(account("333333333333"), "a").as_deref(), Some(named));
        assert_eq!(accounts.host_of(account("999999999999"), "a"), None);
        assert!(accounts.has(account("111111111111")) && !accounts.has(account("999999999999")));
    }
}
