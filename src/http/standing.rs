//! A permit that its request outlives. Bodies take their time, and rights are taken away meanwhile: when a body is whole, and before anything
//! comes of it, its permit is asked for again.

use std::time::SystemTime;

use super::gate::{Gate, Visit};
use crate::auth::{Authenticator, Identity};
use crate::policy::{Asked as _, Authorizer, Circumstances, Denied, OciRequest, Permit};
use crate::registry::Located;
use crate::telemetry::{Audit, Caller, Entry, Reason};

/// A request whose body is still to come.
pub struct Standing {
    authenticator: Authenticator,
    authorizer: Authorizer,
    audit: Audit,
    identity: Identity,
    request: OciRequest,
    circumstances: Circumstances,
    caller: Caller,
    /// In the request's own record, if it has one.
    reason: Option<Reason>,
}

impl Standing {
    pub fn of(gate: &Gate, visit: Visit<'_>, permit: &Permit<Located>, entry: Option<&Entry>) -> Self {
        let identity = permit.identity().clone();
        Self {
            authenticator: gate.authenticator().clone(),
            authorizer: gate.authorizer().clone(),
            audit: gate.audit().clone(),
            caller: gate.caller(visit, identity.name(), identity.means),
            identity,
            request: permit.asked().under_way(),
            circumstances: gate.circumstances(visit),
            reason: entry.map(Entry::reason),
        }
    }

    /// Decides again, as of now. The request's record says the decision that held; where it has none, a refusal gets one.
    pub async fn confirm(self) -> Result<(), Denied> {
        let Self { authorizer, audit, request, circumstances, caller, reason, .. } = self;
        let refused = (request.needs().first()).map(|need| (need.action.to_owned(), authorizer.arn(need.on)));
        let decided = match self.authenticator.renewed(&self.identity).await {
            Ok(Some(identity)) => {
                let circumstances = Circumstances { now: SystemTime::now(), ..circumstances };
                authorizer.authorize(identity, request, &circumstances).await
            }
            Ok(None) => Err(Denied::Revoked),
            Err(error) => Err(error.into()),
        };
        match (decided, reason) {
            (Ok(permit), Some(reason)) => reason.is_now(permit.because().clone()),
            (Ok(_), None) => {}
            (Err(denied), Some(_)) => return Err(denied),
            (Err(denied), None) => {
                if let Some((action, resource)) = refused.filter(|_| !matches!(denied, Denied::Unavailable(_))) {
                    audit.denied(caller, &action, resource, &denied.reason());
                }
                return Err(denied);
            }
        }
        Ok(())
    }
}
