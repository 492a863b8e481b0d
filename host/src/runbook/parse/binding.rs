//! Bindings: contract × site → provider, with the provider's credentials, connections and egress.

use std::collections::BTreeMap;
use std::ops::Range;

use super::Declared;
use super::door::Door;
use crate::name::{InterfaceName, SiteName};
use crate::runbook::problem::Problem;
use crate::runbook::raw::{
    At, RawBinding, RawConnection, RawCredential, RawEngine, RawHttpGrant, RawScheme, RawSecret,
    Text,
};
use crate::runbook::types::{
    Binding, Connection, Credential, CredentialScheme, Engine, HttpGrant, SecretSource,
};

impl Door<'_> {
    pub(super) fn bindings(
        &mut self,
        raw: &[At<RawBinding>],
        declared: &Declared<'_>,
    ) -> Vec<Binding> {
        self.bound_once(raw);
        raw.iter()
            .filter_map(|binding| self.binding(binding, declared))
            .collect()
    }

    /// One contract has at most one provider per site, and at most one for everything else.
    fn bound_once(&mut self, raw: &[At<RawBinding>]) {
        let mut first: BTreeMap<(&str, &str), Range<usize>> = BTreeMap::new();
        for binding in raw {
            let contract = &binding.value().contract;
            let sites = &binding.value().sites;
            // The empty name stands for a binding without sites.
            let default = sites.is_empty().then(|| ("", contract.span()));
            let named = sites
                .iter()
                .map(|site| (site.value().as_str(), site.span()));
            for (site, span) in named.chain(default) {
                let key = (contract.value().as_str(), site);
                let Some(earlier) = first.get(&key) else {
                    first.insert(key, span);
                    continue;
                };
                let problem = Problem::DuplicateBinding {
                    contract: contract.value().clone(),
                    site: match site {
                        "" => "every site without a binding of its own".to_owned(),
                        site => format!("site `{site}`"),
                    },
                    first: self.sources.place(earlier),
                };
                self.report(&span, problem);
            }
        }
    }

    fn binding(&mut self, binding: &At<RawBinding>, declared: &Declared<'_>) -> Option<Binding> {
        let raw = binding.value();
        let contract: Option<InterfaceName> = self.name(&raw.contract);
        let sites: Vec<SiteName> = raw
            .sites
            .iter()
            .filter_map(|site| self.reference("site", site, &declared.sites))
            .collect();
        let plugin = self.reference("plugin", &raw.plugin, &declared.plugins);
        let config = self.object("config", &binding.span(), &raw.config);
        let credentials = self.credentials(&raw.credentials);
        let connections = raw
            .connections
            .iter()
            .filter_map(|(name, connection)| {
                let read = self.connection(connection, &raw.credentials);
                Some((self.kebab("connection name", name)?, read?))
            })
            .collect();
        let clusters = self.clusters(&raw.clusters, &raw.credentials);
        let kubernetes = raw
            .kubernetes
            .iter()
            .filter_map(|grant| self.kubernetes_grant(grant, &raw.clusters))
            .collect();
        let programs = self.programs(&raw.programs);
        let name_servers = self.name_servers(&raw.name_servers);
        let dns_update = raw
            .dns_update
            .iter()
            .filter_map(|grant| self.dns_update_grant(grant, &raw.name_servers))
            .collect();
        let issuers = self.issuers(&raw.issuers);
        let http = raw
            .http
            .iter()
            .filter_map(|grant| self.http_grant(grant))
            .collect();
        let tls = raw
            .tls
            .iter()
            .filter_map(|authority| self.authority(authority))
            .collect();
        let trust = raw
            .trust
            .iter()
            .filter_map(|path| self.path("PEM file", path))
            .collect();
        Some(Binding {
            contract: contract?,
            sites,
            plugin: plugin?,
            config: config?,
            credentials,
            connections,
            clusters,
            kubernetes,
            programs,
            name_servers,
            dns_update,
            issuers,
            http,
            tls,
            trust,
        })
    }

    pub(super) fn credentials(
        &mut self,
        raw: &BTreeMap<Text, At<RawCredential>>,
    ) -> BTreeMap<String, Credential> {
        raw.iter()
            .filter_map(|(slot, credential)| {
                let read = self.credential(credential);
                Some((self.kebab("credential slot", slot)?, read?))
            })
            .collect()
    }

    fn credential(&mut self, credential: &At<RawCredential>) -> Option<Credential> {
        let raw = credential.value();
        let source = self.secret(&credential.span(), raw.env.as_ref(), raw.file.as_ref());
        let signs = (&raw.access_key_id, &raw.region, &raw.service);
        let scheme = match (raw.scheme, &raw.user, &raw.name, signs) {
            (RawScheme::Bearer, None, None, (None, None, None)) => Some(CredentialScheme::Bearer),
            (RawScheme::Basic, Some(user), None, (None, None, None)) => {
                Some(CredentialScheme::Basic { user: user.clone() })
            }
            (RawScheme::Header, None, Some(name), (None, None, None)) => self
                .header(name)
                .map(|name| CredentialScheme::Header { name }),
            (RawScheme::AwsSigV4, None, None, (Some(id), Some(region), Some(service))) => {
                Some(CredentialScheme::AwsSigV4 {
                    access_key_id: id.clone(),
                    region: region.clone(),
                    service: service.clone(),
                })
            }
            _ => {
                self.contradiction(
                    &credential.span(),
                    "the keys of this credential do not fit its scheme".to_owned(),
                    "`bearer` takes nothing else, `basic` takes `user`, `header` takes `name`, `aws-sigv4` takes `access-key-id`, `region` and `service`",
                );
                None
            }
        };
        Some(Credential {
            source: source?,
            scheme: scheme?,
        })
    }

    pub(super) fn secret(
        &mut self,
        span: &Range<usize>,
        env: Option<&String>,
        file: Option<&Text>,
    ) -> Option<SecretSource> {
        match (env, file) {
            (Some(variable), None) if !variable.is_empty() && !variable.contains(['=', '\0']) => {
                Some(SecretSource::Environment(variable.clone()))
            }
            (None, Some(file)) => self.path("file", file).map(SecretSource::File),
            _ => {
                self.contradiction(
                    span,
                    "a secret comes from exactly one place".to_owned(),
                    "write either `env = \"VARIABLE\"` or `file = \"path\"`; the secret itself never stands in a runbook",
                );
                None
            }
        }
    }

    fn connection(
        &mut self,
        connection: &At<RawConnection>,
        credentials: &BTreeMap<Text, At<RawCredential>>,
    ) -> Option<Connection> {
        let raw = connection.value();
        let trust = raw.trust.as_ref();
        let trust = trust.map(|origin| self.origin(origin, credentials));
        let host = self.host(&raw.host);
        let server_name = raw.server_name.as_ref().map(|name| self.host(name));
        let RawSecret { env, file } = raw.password.value();
        let password = self.secret(&raw.password.span(), env.as_ref(), file.as_ref());
        if *raw.port.value() == 0 {
            self.contradiction(
                &raw.port.span(),
                "port 0 cannot be reached".to_owned(),
                "use the port of the server",
            );
        }
        Some(Connection {
            engine: match raw.engine {
                RawEngine::Mysql => Engine::Mysql,
                RawEngine::Postgres => Engine::Postgres,
            },
            host: host?,
            port: *raw.port.value(),
            server_name: match server_name {
                Some(read) => Some(read?),
                None => None,
            },
            user: raw.user.clone(),
            password: password?,
            database: raw.database.clone(),
            trust: match trust {
                Some(read) => Some(read?),
                None => None,
            },
        })
    }

    fn http_grant(&mut self, raw: &RawHttpGrant) -> Option<HttpGrant> {
        let methods: Vec<String> = raw
            .methods
            .iter()
            .filter_map(|method| self.method(method))
            .collect();
        let url = self.url(&raw.url)?;
        if raw.methods.is_empty() {
            self.contradiction(
                &raw.url.span(),
                "this grant allows no method".to_owned(),
                "name the methods, such as `methods = [\"GET\"]`",
            );
        }
        if url.query().is_some() {
            self.invalid(
                "URL",
                &raw.url,
                "leave `?…` out: a grant is for a path and what is below it",
            );
            return None;
        }
        Some(HttpGrant {
            methods,
            url,
            private: raw.private,
        })
    }
}
