//! `SimulatePrincipalPolicy`: what `entrepot policy explain` tells, for many actions and resources at once.

use super::api::Api;
use super::error::Error;
use crate::auth::Known;
use crate::iam::{Entity, EntityKind, EntityName, MatchedStatement, Output, Simulated, Simulation, Verdict};
use crate::oci::AccountId;
use crate::policy::Viewer;
use crate::policy::iam::Context;

/// Of a role that nobody has assumed.
const SESSION: &str = "simulated";

impl Api {
    pub(super) async fn simulate(
        &self,
        account: AccountId,
        viewer: &Viewer,
        simulation: Simulation,
    ) -> Result<Output, Error> {
        let entity = principal(account, &simulation.principal)?;
        let row = self.accounts.find(account, &entity).await?;
        let known = match entity.kind {
            EntityKind::User => Known::new(row),
            EntityKind::Role => Known::in_role(row, SESSION),
        };
        let mut context = Context::new();
        for (key, values) in &simulation.context {
            context.add_all(key.as_str(), values.iter().map(String::as_str));
        }
        let mut results = Vec::new();
        for action in &simulation.actions {
            for resource in &simulation.resources {
                // Each may look at many statements, and others want the thread, too.
                tokio::task::yield_now().await;
                let simulated = self.authorizer.simulate(viewer, &known, action, resource, &context).await?;
                let verdict = match (simulated.is_allowed, simulated.is_denied) {
                    (true, _) => Verdict::Allowed,
                    (false, true) => Verdict::Denied,
                    (false, false) => Verdict::NotAllowed,
                };
                let matched = simulated.matched.into_iter().map(|statement| MatchedStatement {
                    policy_type: if statement.policy.is_some() { entity.kind.word() } else { "resource" },
                    policy: statement.policy.unwrap_or_else(|| "resource-policy".to_owned()),
                    statement: statement.index,
                    sid: statement.sid,
                });
                results.push(Simulated {
                    action: action.clone(),
                    resource: resource.clone(),
                    verdict,
                    matched: matched.collect(),
                });
            }
        }
        Ok(Output::Simulation(results))
    }
}

/// A user or role of the account, by its ARN.
fn principal(account: AccountId, arn: &str) -> Result<Entity, Error> {
    let named = |kind: &str, make: fn(EntityName) -> Entity| {
        let name = arn.strip_prefix(&format!("arn:aws:iam::{account}:{kind}/"))?;
        EntityName::parse(name).ok().map(make)
    };
    let found = named("user", Entity::user).or_else(|| named("role", Entity::role));
    found.ok_or_else(|| Error::NotAPrincipal(arn.to_owned()))
}
