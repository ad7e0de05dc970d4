//! Settings as text again: TOML that reads back as the same settings, secrets aside, and JSON of the same shape.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::config::reading::Part as _;
use crate::config::settings::{
    ACCOUNT, ADMIN, AUTH, CACHE, CERTIFICATE, DATA, HOSTED, HTTP, LISTEN, LOG, META, METERING, OIDC, REPOSITORY, ROLE,
    RULES, STORAGE, Settings, UPSTREAM, USER, WELL_KNOWN_UPSTREAMS,
};

/// The file that says the same as the settings. Every upstream is in it, so that none is to be added.
struct Document<'a>(&'a Settings);

impl Settings {
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(&Document(self))
    }

    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(&Document(self))
    }
}

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Settings {
            listen,
            data,
            http,
            admin,
            cache,
            hosted,
            storage,
            meta,
            metering,
            rules,
            auth,
            accounts,
            repositories,
            users,
            roles,
            oidc,
            certificates,
            telemetry,
            upstreams,
        } = self.0;
        let mut map = serializer.serialize_map(None)?;
        DATA.write(data, &mut map)?;
        WELL_KNOWN_UPSTREAMS.write(&Some(false), &mut map)?;
        LISTEN.write(listen, &mut map)?;
        HTTP.write(http, &mut map)?;
        ADMIN.write(admin, &mut map)?;
        CACHE.write(cache, &mut map)?;
        HOSTED.write(hosted, &mut map)?;
        STORAGE.write(storage, &mut map)?;
        META.write(meta, &mut map)?;
        METERING.write(metering, &mut map)?;
        RULES.write(rules, &mut map)?;
        AUTH.write(auth, &mut map)?;
        USER.write(users, &mut map)?;
        ACCOUNT.write(accounts, &mut map)?;
        REPOSITORY.write(repositories, &mut map)?;
        ROLE.write(roles, &mut map)?;
        OIDC.write(oidc, &mut map)?;
        CERTIFICATE.write(certificates, &mut map)?;
        LOG.write(telemetry, &mut map)?;
        map.serialize_entry(UPSTREAM.name, upstreams)?;
        map.end()
    }
}
