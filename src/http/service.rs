//! The life of a request.

use std::net::SocketAddr;
use std::time::Instant;

use http::header::{AUTHORIZATION, ORIGIN};
use http::request::Parts;
use http::{HeaderValue, Request, Response};
use tracing::Instrument;

use super::access_log::{Logged, Record};
use super::address::Address;
use super::browsers;
use super::caching;
use super::ecr;
use super::forwarded::TrustedProxies;
use super::gate::{Admitted, Gate, Visit};
use super::iam;
use super::metered::{Metered, Received};
use super::oci::{self, Conditions, Failure};
use super::origin::{self, KnownHosts};
use super::protocol::Protocol;
use super::request_body::{self, LeastPace};
use super::standing::Standing;
use super::transport::{FileRegions, NoPlace, ResponseBody};
use super::welcome;
use crate::accounts;
use crate::auth::Identity;
use crate::metering::Meter;
use crate::registry::{Answer, Body, Error, Incoming, Located, Made, Meant, Registry};
use crate::telemetry::{Entry, Metrics};
use crate::turns::Asker;

/// Answers the four APIs. Cheap to clone.
#[derive(Clone)]
pub struct Service {
    pub registry: Registry,
    pub metrics: Metrics,
    pub meter: Meter,
    pub access_log: bool,
    pub gate: Gate,
    pub accounts: accounts::Api,
    /// Whether its clients may be sent to a bucket.
    pub redirect: bool,
    /// Proxies in front that are believed.
    pub proxies: TrustedProxies,
    pub hosts: KnownHosts,
    /// Only this machine reaches the listener.
    pub is_local: bool,
    /// A body of which the client sends nothing for this long is given up.
    /// Of bodies of requests.
    pub pace: LeastPace,
}

impl Service {
    /// Route, authenticate, authorize, answer, render, log.
    pub async fn call(&self, mut request: Request<hyper::body::Incoming>) -> Response<Logged<ResponseBody>> {
        self.proxies.restore(&mut request);
        let metered = Metered::new(self.meter.clone());
        let mut record = Record::begin(&request, self.metrics.clone(), metered, self.access_log, Instant::now());
        let (parts, body) = request.into_parts();
        let client = parts.extensions.get::<SocketAddr>().map(|peer| Asker::address(peer.ip()));
        let is_content = Protocol::of(&parts, self.gate.door().open) == Protocol::Oci;
        let span = record.span();
        let answered = self.answer(&parts, body, &mut record).instrument(span).await;
        let mut response = answered.unwrap_or_else(|failure| {
            record.failed(failure.logged());
            oci::refuse(&failure, record.request_id())
        });
        if let Some(client) = client {
            response.body_mut().taken_by(client);
        }
        if response.body().is_too_much() {
            self.metrics.http_ended.with_label_values(&["no_memory"]).inc();
            let failure = Failure::busy("clients that take nothing hold the memory for answers");
            record.failed(&failure.message);
            response = oci::refuse(&failure, record.request_id());
        }
        browsers::forbid(response.headers_mut());
        let is_open = self.gate.door().open && is_content;
        caching::limit(response.status(), response.headers_mut(), is_open);
        if let Ok(id) = HeaderValue::from_str(record.request_id()) {
            response.headers_mut().insert("x-request-id", id);
        }
        record.headers_sent(response.status());
        response.map(|body| Logged::new(body, record))
    }

    /// Where there are no credentials, a page that has its name lead here could do whatever this machine may.
    fn check_site(&self, request: &Parts, address: &Address) -> Result<(), Failure> {
        let host = address.host.as_deref();
        origin::check_origin(&request.headers, host, &self.hosts)?;
        let is_open = self.gate.door().open;
        if is_open {
            origin::check_shown(&request.headers)?;
        }
        // Such a page shows no credential. No client but a browser has an origin, whatever the listener is bound to.
        let is_page = request.headers.contains_key(ORIGIN);
        let is_page = is_page && (is_open || !request.headers.contains_key(AUTHORIZATION));
        let is_checked = is_page || is_open && self.is_local;
        if !is_checked {
            return Ok(());
        }
        let front = self.gate.front();
        origin::check_host(host, |host| {
            self.hosts.has(host)
                || matches!(front.registries.chosen_by(Some(host)), Ok(Some(_)))
                || self.registry.is_host_of_upstream(host)
        })
    }

    async fn answer(
        &self,
        parts: &Parts,
        body: hyper::body::Incoming,
        record: &mut Record,
    ) -> Result<Response<ResponseBody>, Failure> {
        if parts.extensions.get::<NoPlace>().is_some() {
            self.metrics.http_ended.with_label_values(&["no_place"]).inc();
            return Err(Failure::busy("too many requests are under way over HTTP/2"));
        }
        let address = Address::of(parts, self.gate.door().secure)?;
        self.check_site(parts, &address)?;
        let request_id = record.request_id().to_owned();
        let visit = Visit { parts, address: &address, request_id: &request_id };
        let client = Asker::address(address.source);
        let body = |received| request_body::incoming(body, self.pace, received, client);
        let answered = match Protocol::of(parts, self.gate.door().open) {
            Protocol::Oci => return self.answer_oci(visit, body, record).await,
            Protocol::Welcome => return Ok(welcome::words(&self.gate.front().url(&address), self.gate.door().open)),
            Protocol::Token => {
                let form = body(Received::default()).all(oci::token::MAX_FORM_BYTES).await;
                let form = form.map_err(crate::registry::Error::from)?.map(|form| form.bytes).unwrap_or_default();
                return oci::token::answer(visit, &form, &self.gate, &self.registry).await;
            }
            Protocol::Ecr => {
                let body = body(record.metered().receives());
                let asked = ecr::Asked { visit, gate: &self.gate, registry: &self.registry };
                ecr::answer(&asked, body, record.metered()).await
            }
            Protocol::Iam => {
                let asked = iam::Asked { visit, gate: &self.gate, api: &self.accounts };
                iam::answer(&asked, body(Received::default())).await
            }
        };
        if let Some(fault) = answered.fault {
            record.failed(&fault);
        }
        Ok(answered.response)
    }

    /// Where is it, and may they? A repository that the request makes is made here: where somebody else was faster, theirs is another one,
    /// about which both questions are asked again.
    async fn admit(
        &self,
        visit: Visit<'_>,
        identity: Identity,
        meant: &Meant,
    ) -> Result<(Admitted<Located>, Option<Made>), Failure> {
        for _ in 0..MAX_DECISIONS {
            let located = self.registry.locate(meant).await?;
            let admitted = self.gate.admit(visit, identity.clone(), meant, located).await?;
            let Admitted { permit, entry } = admitted;
            if !permit.asked().makes_repository() {
                return Ok((Admitted { permit, entry }, None));
            }
            let about = permit.asked().about();
            let record = about.map(|about| self.gate.record_of_making(visit, &permit, about).begin());
            match self.gate.changes().carry_out(record, self.registry.make(&permit), oci::fault, |_| None).await {
                Ok(made) => return Ok((Admitted { permit, entry }, Some(made))),
                Err(error) => {
                    entry.into_iter().for_each(Entry::withdraw);
                    if !matches!(error, Error::MadeMeanwhile) {
                        return Err(error.into());
                    }
                }
            }
        }
        Err(Error::MadeMeanwhile.into())
    }

    async fn answer_oci(
        &self,
        visit: Visit<'_>,
        body: impl FnOnce(Received) -> Incoming,
        record: &mut Record,
    ) -> Result<Response<ResponseBody>, Failure> {
        let action = oci::route(visit.parts, visit.address.host.as_deref())?;
        // A body that comes with a read is not waited for: hyper drains or closes.
        let brings = action.writes();
        if brings {
            // Nobody uploads for minutes to hear it then, and nothing is changed by rights as they were.
            self.registry.takes_writes()?;
        }
        let meant = self.registry.meant(action);
        let identity = self.gate.identify(visit, &meant).await?;
        let (Admitted { permit, entry }, made) = self.admit(visit, identity, &meant).await?;
        record.metered().is_permitted(permit.asked(), permit.identity());
        let body = if brings {
            let standing = Standing::of(&self.gate, visit, &permit, entry.as_ref());
            body(record.metered().receives()).confirmed_by(standing.confirm())
        } else {
            Incoming::empty()
        };
        let (registry, redirect) = (self.registry.clone(), self.redirect);
        let pulls = permit.asked().about().filter(|about| about.upstream.is_some() && !brings);
        let making = pulls.map(|about| self.gate.record_of_making(visit, &permit, about));
        let work = async move { registry.answer(permit, made, making, body, redirect).await };
        let answer = self.gate.changes().carry_out(entry, work, oci::fault, outcome).await?;
        note(record, &answer);
        let conditions = Conditions::read(&visit.parts.headers, visit.parts.version);
        let regions = visit.parts.extensions.get::<FileRegions>();
        oci::respond(answer, &conditions, regions, &visit.parts.uri).await
    }
}

/// Times that a request is decided about again because the repository that it would make came to be.
const MAX_DECISIONS: usize = 4;

/// What a push made, for its record.
fn outcome(answer: &Answer) -> Option<String> {
    match &answer.body {
        Body::ManifestPushed { digest, .. } => Some(digest.to_string()),
        _ => None,
    }
}

fn note(record: &mut Record, answer: &Answer) {
    let upstream = answer.upstream.as_ref().map(|upstream| upstream.name().clone());
    record.metered().is_answered(answer);
    record.served(upstream, answer.outcome);
}
