//! IAM's operations, and the user or role that each is about.

use super::describe::{access_key, detail, entity};
use super::entities::Accounts;
use super::error::Error;
use crate::auth::{Authenticator, Identity, Who};
use crate::iam::{
    AccessKeyDetail, Code, Entity, EntityKind, Fault, Listed, ManagedPolicy, NewRole, Operation, OperationName, Output,
    Page, PolicyName, Sensitive, Service,
};
use crate::meta::{self, PrincipalId, PrincipalRow, RoleColumns, now_ms};
use crate::oci::AccountId;
use crate::policy::{Authorizer, IamRequest, Permit, Subject, Viewer};

/// Cheap to clone.
#[derive(Clone)]
pub struct Api {
    pub(super) accounts: Accounts,
    pub(super) authenticator: Authenticator,
    pub(super) authorizer: Authorizer,
}

impl Api {
    pub const fn new(accounts: Accounts, authenticator: Authenticator, authorizer: Authorizer) -> Self {
        Self { accounts, authenticator, authorizer }
    }

    /// The user or role that the operation is about, in the caller's own account, or the role of any. `None` for a caller without account.
    pub async fn locate(
        &self,
        name: OperationName,
        operation: Operation,
        identity: &Identity,
    ) -> Result<Option<IamRequest>, meta::Error> {
        let Some(account) = account(identity) else { return Ok(None) };
        let Some(arn) = operation.resource(account) else {
            return Ok(Some(IamRequest { name, operation, subject: None }));
        };
        let (account, entity) = match &operation {
            Operation::AssumeRole { role, .. } => (role.account, Some(Entity::role(role.name.clone()))),
            operation => (account, operation.subject()),
        };
        let row = match &entity {
            Some(entity) => match self.accounts.find(account, entity).await {
                Ok(row) => Some(row),
                Err(Error::Meta(error)) => return Err(error),
                Err(_) => None,
            },
            None => None,
        };
        let (tags, trust) = row.map(|row| (row.tags, row.trust)).unwrap_or_default();
        let subject = Some(Subject { arn, account, tags, trust });
        Ok(Some(IamRequest { name, operation, subject }))
    }

    pub async fn operate(&self, permit: Permit<IamRequest>) -> Result<Output, Fault> {
        let (IamRequest { name, operation, .. }, identity, viewer) = permit.into_parts();
        let Some(account) = account(&identity) else { return Err(Fault::server("nobody asks")) };
        let done = self.carry_out(account, &identity, &viewer, operation).await;
        if name.is_write() && name.service() == Service::Iam {
            // Also where it went wrong half-way.
            self.authenticator.forget();
            self.authorizer.policies_changed();
        }
        done.map_err(|error| error.fault())
    }

    async fn carry_out(
        &self,
        account: AccountId,
        identity: &Identity,
        viewer: &Viewer,
        operation: Operation,
    ) -> Result<Output, Error> {
        let accounts = &self.accounts;
        match operation {
            Operation::GetCallerIdentity => Ok(self.caller_identity(identity)),
            Operation::GetSessionToken { seconds } => self.session_token(identity, seconds),
            Operation::AssumeRole { role, session, seconds } => {
                self.assume_role(identity, &role, &session, seconds).await
            }
            // It is not signed, and comes another way.
            Operation::AssumeRoleWithWebIdentity { role, .. } => Err(Error::NoEntity(Entity::role(role.name))),

            Operation::CreateUser { name, tags } => {
                let user = Entity::user(name);
                let row = accounts.create(account, &user, tags, &RoleColumns::default()).await?;
                described(row, &user)
            }
            Operation::CreateRole { name, tags, role } => {
                let NewRole { trust, description, longest_session_seconds } = role;
                let columns =
                    RoleColumns { trust: Some(trust), description, longest_session_s: Some(longest_session_seconds) };
                let role = Entity::role(name);
                let row = accounts.create(account, &role, tags, &columns).await?;
                described(row, &role)
            }
            Operation::Get(of) => described(accounts.find(account, &of).await?, &of),
            Operation::List(kind, page) => self.list(account, kind, &page).await,
            Operation::Delete(of) => {
                let row = accounts.find_changeable(account, &of).await?;
                accounts.remove_bare(&row).await?;
                Ok(Output::Done)
            }
            Operation::PutTrust { role, document } => {
                let role = Entity::role(role);
                let row = accounts.find_changeable(account, &role).await?;
                accounts.put_trust(&row, &role, &document).await?;
                Ok(Output::Done)
            }

            Operation::CreateAccessKey(name) => {
                let row = accounts.find_changeable(account, &Entity::user(name)).await?;
                let key = accounts.make_access_key(&row).await?;
                let detail = AccessKeyDetail { user: row.name, id: key.id, created_at_ms: now_ms(), is_active: true };
                Ok(Output::NewAccessKey(detail, Sensitive::new(key.secret)))
            }
            Operation::ListAccessKeys(name, page) => {
                let row = accounts.find(account, &Entity::user(name)).await?;
                let keys = accounts.access_keys(&row).await?.into_iter().map(|key| access_key(&row, key));
                Ok(Output::AccessKeys(page.cut(keys, |key| &key.id)))
            }
            Operation::UpdateAccessKey { of, id, is_active } => {
                let row = accounts.find_changeable(account, &Entity::user(of)).await?;
                accounts.set_access_key_active(&row, id.as_str(), is_active).await?;
                Ok(Output::Done)
            }
            Operation::DeleteAccessKey(name, id) => {
                let row = accounts.find_changeable(account, &Entity::user(name)).await?;
                accounts.remove_access_key_of(&row, id.as_str()).await?;
                Ok(Output::Done)
            }

            Operation::CreatePassword(name, password) => {
                let row = accounts.find_changeable(account, &Entity::user(name)).await?;
                if row.password.is_some() {
                    return Err(Error::HasPassword(row.name));
                }
                accounts.make_password(caller(identity, &row), &row, password.expose()).await?;
                Ok(Output::LoginProfile { user: row.name, created_at_ms: now_ms() })
            }
            Operation::ChangePassword(name, password) => {
                let row = with_password(accounts.find_changeable(account, &Entity::user(name)).await?)?;
                accounts.change_password(caller(identity, &row), &row, password.expose()).await?;
                Ok(Output::Done)
            }
            Operation::GetPassword(name) => {
                let row = with_password(accounts.find(account, &Entity::user(name)).await?)?;
                let created_at_ms = row.password_at_ms.unwrap_or(row.created_at_ms);
                Ok(Output::LoginProfile { user: row.name, created_at_ms })
            }
            Operation::DeletePassword(name) => {
                let row = with_password(accounts.find_changeable(account, &Entity::user(name)).await?)?;
                accounts.remove_password(&row).await?;
                Ok(Output::Done)
            }

            Operation::PutPolicy { of, policy, document } => {
                let row = accounts.find_changeable(account, &of).await?;
                accounts.put_policy(&row, &of, &policy, &document).await?;
                Ok(Output::Done)
            }
            Operation::GetPolicy(of, policy) => self.policy(account, of, &policy).await,
            Operation::ListPolicies(of, page) => {
                let row = accounts.find(account, &of).await?;
                let names = accounts.policies(&row).await?.into_iter().filter(is_own).map(|(name, _)| name);
                Ok(Output::PolicyNames(page.cut(names, String::as_str)))
            }
            Operation::DeletePolicy(of, policy) => {
                let row = accounts.find_changeable(account, &of).await?;
                if ManagedPolicy::named(policy.as_str()).is_some() {
                    return Err(Error::NoPolicy { of, policy: policy.to_string() });
                }
                accounts.remove_policy(&row, &of, policy.as_str()).await?;
                Ok(Output::Done)
            }

            Operation::Attach(of, policy) => {
                let row = accounts.find_changeable(account, &of).await?;
                accounts.attach(&row, policy).await?;
                Ok(Output::Done)
            }
            Operation::Detach(of, policy) => {
                let row = accounts.find_changeable(account, &of).await?;
                accounts.remove_policy(&row, &of, policy.name()).await?;
                Ok(Output::Done)
            }
            Operation::ListAttached(of, page) => {
                let row = accounts.find(account, &of).await?;
                let policies = accounts.policies(&row).await?.into_iter().filter(|policy| !is_own(policy));
                let policies = policies.filter_map(|(name, _)| ManagedPolicy::named(&name));
                Ok(Output::Attached(page.cut(policies, |policy| policy.name())))
            }

            Operation::ListManaged(page) => {
                let mut all = ManagedPolicy::ALL;
                all.sort_unstable_by_key(|policy| policy.aws_name());
                Ok(Output::ManagedPolicies(page.cut(all, |policy| policy.aws_name())))
            }
            Operation::GetManaged(policy) => Ok(Output::ManagedPolicy(policy)),
            Operation::GetManagedDocument(policy) => Ok(Output::ManagedDocument(policy.text())),

            Operation::Tag(of, tags) => {
                let row = accounts.find_changeable(account, &of).await?;
                accounts.change_tags(&row, &tags, &[]).await?;
                Ok(Output::Done)
            }
            Operation::Untag(of, keys) => {
                let row = accounts.find_changeable(account, &of).await?;
                accounts.change_tags(&row, &Default::default(), &keys).await?;
                Ok(Output::Done)
            }
            Operation::ListTags(of, page) => {
                let row = accounts.find(account, &of).await?;
                Ok(Output::Tags(page.cut(row.tags, |(key, _)| key)))
            }

            Operation::Simulate(simulation) => self.simulate(account, viewer, simulation).await,
        }
    }

    async fn list(&self, account: AccountId, kind: EntityKind, page: &Page) -> Result<Output, Error> {
        let rows = self.accounts.list(account, kind, page).await?;
        let listed = page.cut(rows, |row| &row.name);
        let items = listed.items.into_iter().filter_map(detail).collect();
        Ok(Output::Entities(kind, Listed { items, next: listed.next }))
    }

    async fn policy(&self, account: AccountId, of: Entity, name: &PolicyName) -> Result<Output, Error> {
        let row = self.accounts.find(account, &of).await?;
        let policies = self.accounts.policies(&row).await?;
        match policies.into_iter().find(|policy| policy.0 == name.as_str() && is_own(policy)) {
            Some((name, document)) => Ok(Output::Policy { of, name, document }),
            None => Err(Error::NoPolicy { of, policy: name.to_string() }),
        }
    }
}

pub(super) fn account(identity: &Identity) -> Option<AccountId> {
    match &identity.who {
        Who::Known(known) => Some(known.row().account),
        Who::Open { .. } | Who::Anonymous => None,
    }
}

/// Who sets a password: the user or role, and not its session.
fn caller(identity: &Identity, row: &PrincipalRow) -> PrincipalId {
    match &identity.who {
        Who::Known(known) => known.row().id,
        Who::Open { .. } | Who::Anonymous => row.id,
    }
}

/// Whether it is a policy of the principal's own, and not one that comes with the program.
fn is_own((name, document): &(String, String)) -> bool {
    !document.is_empty() || ManagedPolicy::named(name).is_none()
}

fn described(row: PrincipalRow, asked: &Entity) -> Result<Output, Error> {
    debug_assert!(entity(&row).as_ref() == Some(asked));
    detail(row).map(|detail| Output::Entity(Box::new(detail))).ok_or_else(|| Error::NoEntity(asked.clone()))
}

fn with_password(row: PrincipalRow) -> Result<PrincipalRow, Error> {
    if row.password.is_some() { Ok(row) } else { Err(Error::NoPassword(row.name)) }
}

/// In AWS's words.
pub(super) fn not_authorized(why: String) -> Fault {
    Fault::new(Code::AccessDenied, why)
}
