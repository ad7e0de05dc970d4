//! The life of a request.

use std::time::{Duration, Instant};

use http::{HeaderValue, Request, Response};
use tracing::Instrument;

use super::access_log::{Logged, Record};
use super::address::Address;
use super::browsers;
use super::ecr;
use super::gate::Gate;
use super::iam;
use super::metered::{Metered, Received};
use super::oci::{self, Conditions, Failure};
use super::request_body;
use super::transport::{FileRegions, NoPlace, ResponseBody};
use crate::accounts;
use crate::metering::Meter;
use crate::registry::{Answer, Incoming, Registry};
use crate::telemetry::Metrics;

/// Answers the OCI API. Cheap to clone.
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
    /// A body of which the client sends nothing for this long is given up.
    pub stall_timeout: Duration,
}

impl Service {
    /// Route, authenticate, authorize, answer, render, log.
    pub async fn call(&self, request: Request<hyper::body::Incoming>) -> Response<Logged<ResponseBody>> {
        let metered = Metered::new(self.meter.clone());
        let mut record = Record::begin(&request, self.metrics.clone(), metered, self.access_log, Instant::now());
        let (parts, body) = request.into_parts();
        let span = record.span();
        let answered = self.answer(&parts, body, &mut record).instrument(span).await;
        let mut response = answered.unwrap_or_else(|failure| {
            record.failed(failure.logged());
            oci::refuse(&failure, record.request_id())
        });
        if response.body().is_too_much() {
            self.metrics.http_ended.with_label_values(&["no_memory"]).inc();
            let failure = Failure::busy("clients that take nothing hold the memory for answers");
            record.failed(&failure.message);
            response = oci::refuse(&failure, record.request_id());
        }
        browsers::forbid(response.headers_mut());
        if let Ok(id) = HeaderValue::from_str(record.request_id()) {
            response.headers_mut().insert("x-request-id", id);
        }
        record.headers_sent(response.status());
        response.map(|body| Logged::new(body, record))
    }

    async fn answer(
        &self,
        request: &http::request::Parts,
        body: hyper::body::Incoming,
        record: &mut Record,
    ) -> Result<Response<ResponseBody>, Failure> {
        if request.extensions.get::<NoPlace>().is_some() {
            self.metrics.http_ended.with_label_values(&["no_place"]).inc();
            return Err(Failure::busy("too many requests are under way over HTTP/2"));
        }
        let address = Address::of(request, self.gate.door().secure)?;
        if let Some(keeper) = self.gate.keeper().filter(|_| request.uri.path() == oci::token::PATH) {
            let form = request_body::incoming(body, self.stall_timeout, Received::default())
                .all(oci::token::MAX_FORM_BYTES)
                .await;
            let form = form.map_err(crate::registry::Error::from)?.unwrap_or_default();
            return oci::token::answer(request, &address, &form, &self.gate, keeper, &self.registry).await;
        }
        if ecr::is_for(request) {
            let request_id = record.request_id().to_owned();
            let body = request_body::incoming(body, self.stall_timeout, record.metered().receives());
            let metered = record.metered();
            let asked = ecr::Asked {
                request,
                address: &address,
                gate: &self.gate,
                registry: &self.registry,
                request_id: &request_id,
            };
            let answered = ecr::answer(&asked, body, metered).await;
            if let Some(fault) = answered.fault {
                record.failed(&fault);
            }
            return Ok(answered.response);
        }
        if iam::is_for(request) {
            let body = request_body::incoming(body, self.stall_timeout, Received::default());
            let asked = iam::Asked {
                request,
                address: &address,
                gate: &self.gate,
                api: &self.accounts,
                request_id: record.request_id(),
            };
            let answered = iam::answer(&asked, body).await;
            if let Some(fault) = answered.fault {
                record.failed(&fault);
            }
            return Ok(answered.response);
        }
        let action = oci::route(request, address.host.as_deref())?;
        // A body that comes with a read is not waited for: hyper drains or closes.
        let brings = action.writes();
        record.metered().asks(&action, &self.registry);
        let permit = self.gate.admit(request, &address, action, &self.registry, record.request_id()).await?;
        record.metered().is_permitted(permit.identity());
        let body = if brings {
            request_body::incoming(body, self.stall_timeout, record.metered().receives())
        } else {
            Incoming::empty()
        };
        let answer = self.registry.answer(permit, body, self.redirect).await?;
        note(record, &answer);
        let conditions = Conditions::read(&request.headers);
        let regions = request.extensions.get::<FileRegions>();
        oci::respond(answer, &conditions, regions, &request.uri).await
    }
}

fn note(record: &mut Record, answer: &Answer) {
    let upstream = answer.upstream.as_ref().map(|upstream| upstream.name().clone());
    record.metered().is_answered(answer);
    record.served(upstream, answer.outcome);
}
