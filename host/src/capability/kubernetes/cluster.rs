//! A cluster of a binding: how it is reached is known from the beginning, or an API is asked for its kubeconfig when it is
//! first needed, and again once the API server does not know its credential any more.

use std::path::Path;
use std::sync::Arc;

use crate::runbook::types::{Cluster, Handout, Origin};

use super::super::credential::Redactor;
use super::super::handout::{Desk, Kept, line};
use super::super::trust::Trust;
use super::super::{Facilities, Fault, SecretShelf};
use super::kubeconfig::{Access, KubeconfigError, KubeconfigProblem};

/// A cluster.
pub(crate) struct Entry {
    name: String,
    source: Source,
}

enum Source {
    Read(Arc<Access>),
    Handout(Box<Handed>),
}

/// A kubeconfig that an API hands out.
struct Handed {
    handout: Handout,
    context: Option<String>,
    kept: Kept<Access>,
}

/// How a cluster is reached, and how that came to be known.
pub(super) struct Reached {
    pub(super) access: Arc<Access>,
    /// What was asked just now to know it, for the journal.
    pub(super) asked: Option<String>,
}

impl Entry {
    /// Reads the kubeconfig where it is at hand; `shelf` comes to know its secrets.
    pub(crate) fn read(
        name: &str,
        cluster: &Cluster,
        shelf: &mut SecretShelf<'_>,
        trust: &Trust,
    ) -> Result<Self, KubeconfigError> {
        let context = cluster.context.as_deref();
        let source = match &cluster.kubeconfig {
            Origin::Secret(source) => {
                let access = Access::read(source, context, shelf, trust);
                let access = access.map_err(|problem| error(name, problem))?;
                Source::Read(Arc::new(access))
            }
            Origin::Handout(handout) => Source::Handout(Box::new(Handed {
                handout: handout.clone(),
                context: cluster.context.clone(),
                kept: Kept::default(),
            })),
        };
        Ok(Self {
            name: name.to_owned(),
            source,
        })
    }

    /// How it is reached. `redactor` comes to know the secrets of a kubeconfig before it is used.
    pub(super) async fn reach(
        &self,
        desk: &Desk,
        redactor: &Redactor,
        facilities: &Facilities,
    ) -> Result<Reached, Fault> {
        let handed = match &self.source {
            Source::Read(access) => {
                return Ok(Reached {
                    access: Arc::clone(access),
                    asked: None,
                });
            }
            Source::Handout(handed) => handed,
        };
        let make = async || {
            let what = format!("the kubeconfig of `{}`", self.name);
            let text = desk.ask(&what, &handed.handout).await?;
            let mut shelf = SecretShelf::new(facilities.secrets.as_ref(), Path::new(""));
            let context = handed.context.as_deref();
            let private = handed.handout.private;
            let access = Access::of(&text, context, private, &mut shelf, desk.trust());
            redactor.learn(shelf.into_forms());
            access.map_err(|problem| {
                let error = error(&self.name, problem);
                Fault::invalid(error.problem.code(), error.to_string())
            })
        };
        let (access, is_new) = handed.kept.get(make).await?;
        let asked = is_new.then(|| line(&handed.handout));
        Ok(Reached { access, asked })
    }

    /// Has the next call ask for the kubeconfig; false where nobody could be asked.
    pub(super) async fn forget(&self) -> bool {
        match &self.source {
            Source::Read(_) => false,
            Source::Handout(handed) => {
                handed.kept.forget().await;
                true
            }
        }
    }
}

fn error(cluster: &str, problem: KubeconfigProblem) -> KubeconfigError {
    KubeconfigError {
        cluster: cluster.to_owned(),
        problem,
    }
}
