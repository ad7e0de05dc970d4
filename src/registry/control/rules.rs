//! Pull-through rules: upstreams that are made while the registry serves.
//!
//! They are listed together with those of the configuration, which cannot be changed here.

use std::sync::Arc;
use std::time::Duration;

use super::{Control, failed, now_ms, timestamp};
use crate::config::Credential;
use crate::ecr::{
    CreatePullThroughCacheRule, DeletedPullThroughCacheRule, DescribePullThroughCacheRules,
    DescribePullThroughCacheRulesOutput, Fault, Output, Prefix, PullThroughCacheRule, PullThroughCacheRuleKey,
    Selection, UpdatePullThroughCacheRule, UpdatedPullThroughCacheRule, UpstreamRegistry,
    ValidatedPullThroughCacheRule,
};
use crate::meta::{DocumentKind, DocumentRow, Hidden, MadeRule, NewRule};
use crate::registry::upstreams::{Claim, MAX_RULES, Rule, SecretError, key};
use crate::upstream::{ErrorKind, Upstream};

const KIND: DocumentKind = DocumentKind::PullThroughRule;

/// What an upstream has to say whether it lets us in.
const PATIENCE: Duration = Duration::from_secs(10);

impl Control<'_> {
    pub(super) async fn create_pull_through_cache_rule(
        &self,
        mut input: CreatePullThroughCacheRule,
    ) -> Result<Output, Fault> {
        let now_ms = now_ms();
        input.upstream_registry = kind(&input)?;
        let rule = Rule { said: input, created_at_ms: now_ms, updated_at_ms: now_ms };
        self.check_prefix(&rule)?;
        let address = &rule.said.upstream_registry_url;
        let upstream = self
            .registry
            .sources()
            .upstream(self.endpoint.account, &rule, Credential::Anonymous)
            .map_err(|_| Fault::unsupported_upstream_registry(address))?;
        self.check_secret(&rule).await?;
        let prefix = &rule.said.rule.prefix;
        let described = PullThroughCacheRule { updated_at: None, ..self.describe_rule(&rule) };
        let (account, text) = (self.endpoint.account, document(&described)?);
        // An earlier rule of this prefix may have been for another registry: its tags and its rights to blobs are not this one's.
        let upstream = upstream.name.as_str();
        let new = NewRule { account, name: rule.key(), path: prefix.path(), upstream, document: &text };
        match self.meta.make_rule(new, u64::from(MAX_RULES), now_ms).await.map_err(failed)? {
            MadeRule::New => self.registry.forget_pulled(),
            MadeRule::TooMany => {
                return Err(Fault::limit_exceeded(format!("there are {MAX_RULES} pull through cache rules already")));
            }
            MadeRule::IsThere => return Err(self.exists(prefix)),
            MadeRule::Below(other) => {
                return Err(Fault::validation(format!(
                    "'{prefix}' lies below the rule for '{other}', whose repositories it would take: choose another prefix"
                )));
            }
            MadeRule::Hides(Hidden { repository, upstream: None }) => {
                return Err(Fault::validation(format!(
                    "the repository {repository} was pushed here and would be hidden by a rule for '{prefix}': choose another prefix, \
                     or delete it first"
                )));
            }
            MadeRule::Hides(Hidden { repository, upstream: Some(_) }) => {
                return Err(Fault::validation(format!(
                    "the repository {repository} was pulled from another upstream and would be one of the rule for '{prefix}': choose \
                     another prefix, or delete it first"
                )));
            }
        }
        self.registry.sources().read_rules().await.map_err(failed)?;
        Ok(Output::CreatePullThroughCacheRule(described))
    }

    pub(super) async fn describe_pull_through_cache_rules(
        &self,
        input: DescribePullThroughCacheRules,
    ) -> Result<Output, Fault> {
        let all = self.all_rules().await?;
        let (pull_through_cache_rules, next_token) = match input.rules {
            Selection::Named(prefixes) => {
                let find = |prefix: &Prefix| {
                    let found = all.iter().find(|rule| key(&rule.ecr_repository_prefix) == key(prefix));
                    found.cloned().ok_or_else(|| self.no_rule(prefix))
                };
                (prefixes.iter().map(find).collect::<Result<_, _>>()?, None)
            }
            Selection::All(page) => {
                let is_later = |rule: &PullThroughCacheRule| {
                    page.after.as_deref().is_none_or(|after| key(&rule.ecr_repository_prefix) > after)
                };
                let mut rules: Vec<_> = all.into_iter().filter(is_later).collect();
                let more = rules.len() > page.limit;
                rules.truncate(page.limit);
                let last = rules.last().filter(|_| more).map(|rule| key(&rule.ecr_repository_prefix));
                let next_token = last.map(|last| page.next_token(last));
                (rules, next_token)
            }
        };
        let output = DescribePullThroughCacheRulesOutput { pull_through_cache_rules, next_token };
        Ok(Output::DescribePullThroughCacheRules(output))
    }

    pub(super) async fn update_pull_through_cache_rule(
        &self,
        input: UpdatePullThroughCacheRule,
    ) -> Result<Output, Fault> {
        let mut rule = self.own_rule(&input.rule.prefix).await?;
        if input.credential_arn.is_none() && input.custom_role_arn.is_none() {
            return Err(Fault::validation("there is nothing to change: give credentialArn or customRoleArn"));
        }
        let now_ms = now_ms();
        let change = |rule: &mut Rule| {
            rule.said.custom_role_arn = input.custom_role_arn.clone().or(rule.said.custom_role_arn.take());
            rule.said.credential_arn = input.credential_arn.clone().or(rule.said.credential_arn.take());
            rule.updated_at_ms = now_ms;
        };
        change(&mut rule);
        self.check_secret(&rule).await?;
        // Others may have changed it since, or deleted it.
        let update = |row: &DocumentRow| {
            rule = Rule::of_row(row).ok_or_else(|| self.no_rule(&input.rule.prefix))?;
            change(&mut rule);
            document(&self.describe_rule(&rule))
        };
        let key = key(&input.rule.prefix);
        let changed = self.meta.change_document(self.endpoint.account, KIND, key, now_ms, update).await;
        changed.map_err(failed)?.ok_or_else(|| self.no_rule(&input.rule.prefix))??;
        self.registry.sources().read_rules().await.map_err(failed)?;
        Ok(Output::UpdatePullThroughCacheRule(UpdatedPullThroughCacheRule {
            ecr_repository_prefix: rule.said.rule.prefix,
            registry_id: self.endpoint.account,
            updated_at: timestamp(rule.updated_at_ms),
            credential_arn: rule.said.credential_arn,
            custom_role_arn: rule.said.custom_role_arn,
            upstream_repository_prefix: rule.said.upstream_repository_prefix,
        }))
    }

    pub(super) async fn validate_pull_through_cache_rule(
        &self,
        input: PullThroughCacheRuleKey,
    ) -> Result<Output, Fault> {
        let (described, result) = match self.declared_rule(&input.prefix) {
            Some((upstream, described)) => (described, ping(&upstream).await),
            None => {
                let rule = self.own_rule(&input.prefix).await?;
                // Whoever validates has often just changed the secret.
                self.registry.sources().read_rules().await.map_err(failed)?;
                (self.describe_rule(&rule), self.try_rule(&rule).await)
            }
        };
        Ok(Output::ValidatePullThroughCacheRule(ValidatedPullThroughCacheRule {
            ecr_repository_prefix: described.ecr_repository_prefix,
            registry_id: described.registry_id,
            upstream_registry_url: described.upstream_registry_url,
            credential_arn: described.credential_arn,
            custom_role_arn: described.custom_role_arn,
            upstream_repository_prefix: described.upstream_repository_prefix,
            is_valid: result.is_ok(),
            failure: result.err(),
        }))
    }

    pub(super) async fn delete_pull_through_cache_rule(&self, input: PullThroughCacheRuleKey) -> Result<Output, Fault> {
        let rule = self.own_rule(&input.prefix).await?;
        if self.meta.remove_document(self.endpoint.account, KIND, rule.key()).await.map_err(failed)?.is_none() {
            return Err(self.no_rule(&input.prefix));
        }
        self.registry.sources().read_rules().await.map_err(failed)?;
        Ok(Output::DeletePullThroughCacheRule(DeletedPullThroughCacheRule {
            ecr_repository_prefix: rule.said.rule.prefix,
            upstream_registry_url: rule.said.upstream_registry_url,
            created_at: timestamp(rule.created_at_ms),
            registry_id: self.endpoint.account,
            credential_arn: rule.said.credential_arn,
            custom_role_arn: rule.said.custom_role_arn,
            upstream_repository_prefix: rule.said.upstream_repository_prefix,
        }))
    }

    /// Those of the configuration and those of the database, in order of their prefixes. Where both have one of a prefix, the
    /// configuration's is in place.
    async fn all_rules(&self) -> Result<Vec<PullThroughCacheRule>, Fault> {
        let declared = self.registry.sources().declared(self.endpoint.account);
        let mut all: Vec<_> = declared.iter().filter_map(|upstream| self.describe_declared(upstream)).collect();
        let rows = self.meta.documents(self.endpoint.account, KIND, None, MAX_RULES * 2).await.map_err(failed)?;
        for rule in rows.iter().filter_map(Rule::of_row) {
            if all.iter().all(|other| key(&other.ecr_repository_prefix) != rule.key()) {
                all.push(self.describe_rule(&rule));
            }
        }
        all.sort_by(|a, b| key(&a.ecr_repository_prefix).cmp(key(&b.ecr_repository_prefix)));
        Ok(all)
    }

    /// The rule of the database, which can be changed.
    async fn own_rule(&self, prefix: &Prefix) -> Result<Rule, Fault> {
        let row = self.meta.document(self.endpoint.account, KIND, key(prefix)).await.map_err(failed)?;
        match row.as_ref().and_then(Rule::of_row) {
            Some(rule) => Ok(rule),
            None if self.declared_rule(prefix).is_some() => Err(Fault::validation(format!(
                "The pull through cache rule with ecrRepositoryPrefix '{prefix}' stands in the configuration, as an \
                 [[upstream]]: it is changed there"
            ))),
            None => Err(self.no_rule(prefix)),
        }
    }

    fn declared_rule(&self, prefix: &Prefix) -> Option<(Arc<Upstream>, PullThroughCacheRule)> {
        let declared = self.registry.sources().declared(self.endpoint.account);
        let upstream = declared.into_iter().find(|upstream| Some(upstream.name().as_str()) == prefix.path())?;
        let described = self.describe_declared(&upstream)?;
        Some((upstream, described))
    }

    /// A prefix must not be another upstream's.
    fn check_prefix(&self, rule: &Rule) -> Result<(), Fault> {
        let prefix = &rule.said.rule.prefix;
        let Some(claim) = self.registry.sources().claim(self.endpoint.account, prefix) else {
            return Ok(());
        };
        Err(match claim {
            Claim::Declared => self.exists(prefix),
            Claim::Host(name) => {
                Fault::validation(format!("'{prefix}' is a host of the upstream {name} of the configuration"))
            }
            Claim::OwnHost => Fault::validation(format!(
                "'{prefix}' is a host that this registry is reached by: choose another prefix"
            )),
            Claim::Below(name) => Fault::validation(format!(
                "'{prefix}' lies below the upstream {name} of the configuration: choose another prefix"
            )),
            Claim::Default(name) => Fault::validation(format!(
                "the upstream {name} is the default in the configuration; a rule ROOT needs one without a default"
            )),
            Claim::NameOfAccount => Fault::validation(format!(
                "'{prefix}' begins with twelve digits, as the upstreams of other registries are called: choose another prefix"
            )),
            Claim::NameOfRoot => {
                Fault::validation(format!("'{prefix}' is where the repositories of the rule ROOT are listed"))
            }
        })
    }

    /// A rule is not made or changed so that it would go without its login.
    async fn check_secret(&self, rule: &Rule) -> Result<(), Fault> {
        let credential = self.registry.sources().credential(self.endpoint.account, rule).await;
        credential.map(drop).map_err(|error| secret(rule, &error))
    }

    async fn try_rule(&self, rule: &Rule) -> Result<(), String> {
        let credential =
            self.registry.sources().credential(self.endpoint.account, rule).await.map_err(|error| error.to_string())?;
        let upstream = self.registry.sources().make(self.registry.sources().upstream(
            self.endpoint.account,
            rule,
            credential,
        )?)?;
        ping(&upstream).await
    }

    fn exists(&self, prefix: &Prefix) -> Fault {
        Fault::pull_through_cache_rule_already_exists(prefix, &self.endpoint.account)
    }

    fn no_rule(&self, prefix: &Prefix) -> Fault {
        Fault::pull_through_cache_rule_not_found(prefix, &self.endpoint.account)
    }

    fn describe_rule(&self, rule: &Rule) -> PullThroughCacheRule {
        let said = rule.said.clone();
        PullThroughCacheRule {
            ecr_repository_prefix: said.rule.prefix,
            upstream_registry_url: said.upstream_registry_url,
            created_at: timestamp(rule.created_at_ms),
            registry_id: self.endpoint.account,
            credential_arn: said.credential_arn,
            custom_role_arn: said.custom_role_arn,
            upstream_repository_prefix: said.upstream_repository_prefix,
            upstream_registry: said.upstream_registry,
            updated_at: Some(timestamp(rule.updated_at_ms)),
        }
    }

    fn describe_declared(&self, upstream: &Upstream) -> Option<PullThroughCacheRule> {
        let url = upstream.settings().urls.first()?;
        let host = url.host_str()?;
        let at = timestamp(self.registry.sources().started_at_ms());
        Some(PullThroughCacheRule {
            ecr_repository_prefix: upstream.name().as_str().parse().ok()?,
            upstream_registry_url: url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")),
            created_at: at,
            registry_id: self.endpoint.account,
            credential_arn: None,
            custom_role_arn: None,
            upstream_repository_prefix: Prefix::root(),
            upstream_registry: UpstreamRegistry::of_url(host),
            updated_at: Some(at),
        })
    }
}

/// The kind that the URL tells. A rule may name one itself where the URL tells none.
fn kind(input: &CreatePullThroughCacheRule) -> Result<Option<UpstreamRegistry>, Fault> {
    match (input.upstream_registry, UpstreamRegistry::of_url(&input.upstream_registry_url)) {
        (Some(said), Some(told)) if said != told => {
            let detail = format!("{} is a registry of the kind {told}", input.upstream_registry_url);
            Err(Fault::invalid_parameter("upstreamRegistry", &detail))
        }
        (said, told) => Ok(said.or(told)),
    }
}

fn secret(rule: &Rule, error: &SecretError) -> Fault {
    let arn = rule.said.credential_arn.as_deref().unwrap_or_default();
    match error {
        SecretError::ForNobody { .. } | SecretError::ForOthers { .. } => {
            Fault::secret_of_others(arn, &error.to_string())
        }
        SecretError::NotFound => Fault::secret_not_found(arn),
        SecretError::Unreadable => Fault::unable_to_access_secret(arn),
        SecretError::Malformed => Fault::unable_to_decrypt_secret_value(arn),
    }
}

fn document(rule: &PullThroughCacheRule) -> Result<String, Fault> {
    serde_json::to_string(rule).map_err(Fault::server)
}

/// In words for whoever wrote the rule, and no more than they may know: which ports of which machines answer, and how, is for the log.
async fn ping(upstream: &Upstream) -> Result<(), String> {
    let error = match upstream.ping(PATIENCE).await {
        Ok(()) => return Ok(()),
        Err(error) => error,
    };
    let address = upstream.settings().urls.first().map_or("", |url| url.as_str());
    tracing::info!(rule = %upstream.name(), address, %error, "a pull-through rule was tried and does not work");
    let why = match error.kind {
        ErrorKind::Unauthorized | ErrorKind::Denied => error.kind.to_string(),
        ErrorKind::LoginFailed { .. } => "its token service gave no token".to_owned(),
        ErrorKind::RateLimited { .. } => "it limits our rate (429)".to_owned(),
        _ => "no registry can be reached there".to_owned(),
    };
    Err(format!("{address}: {why}"))
}
