//! The parameters of a request, each taken once.
//!
//! Members of lists are parameters with a number: `Tags.member.1.Key=team`. An empty list is the list's name with no value.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

use super::fault::{Code, Fault};
use super::operation_name::{OperationName, Service};

const MAX_PARAMETERS: usize = 1024;
const MAX_NAME_CHARS: usize = 128;

/// No `Debug`: it holds passwords.
pub struct Form {
    action: String,
    version: String,
    left: BTreeMap<String, String>,
}

impl Form {
    pub fn parse(body: &[u8]) -> Result<Self, Fault> {
        let wrong = |message: &str| Fault::new(Code::ValidationError, message);
        let text = str::from_utf8(body).map_err(|_| wrong("the request is no form: it is not text"))?;
        let mut left = BTreeMap::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = decode(name).zip(decode(value));
            let (name, value) = decoded.ok_or_else(|| wrong("a parameter of the request is not UTF-8"))?;
            if name.chars().count() > MAX_NAME_CHARS {
                return Err(wrong("the request has a parameter with too long a name"));
            }
            if left.contains_key(&name) {
                return Err(wrong(&format!("the request says {name} twice")));
            }
            if left.len() == MAX_PARAMETERS {
                return Err(wrong(&format!("the request has more than {MAX_PARAMETERS} parameters")));
            }
            left.insert(name, value);
        }
        let action =
            left.remove("Action").ok_or_else(|| Fault::new(Code::InvalidAction, "the request has no Action"))?;
        let version = left.remove("Version").unwrap_or_else(|| "NO_VERSION_SPECIFIED".to_owned());
        Ok(Self { action, version, left })
    }

    pub fn operation_name(&self) -> Result<OperationName, Fault> {
        let service = Service::of_version(&self.version);
        let known = OperationName::named(&self.action).filter(|name| Some(name.service()) == service);
        known.ok_or_else(|| {
            let short = |text: &str| text.chars().take(64).collect::<String>();
            let (action, version) = (short(&self.action), short(&self.version));
            Fault::new(Code::InvalidAction, format!("Could not find operation {action} for version {version}"))
        })
    }

    /// Of the version; IAM's where it is nobody's.
    pub fn service(&self) -> Service {
        Service::of_version(&self.version).unwrap_or(Service::Iam)
    }

    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        self.left.remove(name)
    }

    pub(super) fn require(&mut self, name: &str) -> Result<String, Fault> {
        self.take(name).ok_or_else(|| Fault::missing(name))
    }

    /// Members of a list of texts.
    pub(super) fn take_texts(&mut self, name: &str, most: usize) -> Result<Vec<String>, Fault> {
        self.take_members(name, most, |form, member| Ok(form.take(member)))
    }

    /// Members of a list, each made of parameters whose names begin with what `take` is given.
    pub(super) fn take_members<T>(
        &mut self,
        name: &str,
        most: usize,
        mut take: impl FnMut(&mut Self, &str) -> Result<Option<T>, Fault>,
    ) -> Result<Vec<T>, Fault> {
        if let Some(text) = self.take(name).filter(|text| !text.is_empty()) {
            return Err(Fault::constraint(name, Some(&text), "Member must be a list"));
        }
        let mut members = Vec::new();
        while let Some(member) = take(self, &format!("{name}.member.{}", members.len() + 1))? {
            if members.len() == most {
                let constraint = format!("Member must have length less than or equal to {most}");
                return Err(Fault::constraint(name, None, &constraint));
            }
            members.push(member);
        }
        Ok(members)
    }

    /// Nothing may be left.
    pub(super) fn finish(self) -> Result<(), Fault> {
        match self.left.into_keys().next() {
            None => Ok(()),
            Some(name) => Err(Fault::new(
                Code::ValidationError,
                format!("{} with {name} is not supported here: leave the parameter out", self.action),
            )),
        }
    }
}

fn decode(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().ok().map(Into::into)
}
