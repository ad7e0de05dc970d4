//! What a request is surrounded by, whatever it is about.

use std::net::IpAddr;
use std::time::SystemTime;

use super::iam::{Context, Moment};

/// What a client sent is matched against patterns only so far.
const MAX_USER_AGENT_BYTES: usize = 512;

/// What conditions can look at.
#[derive(Clone, Debug)]
pub struct Circumstances {
    pub source: Option<IpAddr>,
    /// Over TLS.
    pub secure: bool,
    pub user_agent: Option<String>,
    pub now: SystemTime,
}

/// Adds the keys that every request has.
pub(super) fn surroundings<'a>(context: &mut Context<'a>, circumstances: &'a Circumstances) {
    let now = Moment::from(circumstances.now);
    let seconds = circumstances.now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    context.add("aws:SecureTransport", circumstances.secure);
    context.add("aws:CurrentTime", now);
    context.add("aws:EpochTime", seconds as f64);
    // No service calls in anybody's name.
    context.add("aws:ViaAWSService", false);
    if let Some(source) = circumstances.source {
        context.add("aws:SourceIp", source);
    }
    if let Some(agent) = &circumstances.user_agent {
        let end = agent.floor_char_boundary(MAX_USER_AGENT_BYTES);
        context.add("aws:UserAgent", agent.get(..end).unwrap_or_default());
    }
}
