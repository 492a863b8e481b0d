//! `understudy explain CODE`: what a code means, why it matters and what to do.

use serde_json::json;

use super::Context;
use super::error::CommandError;
use super::output::{Format, Table};
use understudy::explain;

/// Explain a code such as RB0012; without one, list all codes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The code, as a message printed it
    code: Option<String>,
}

impl Args {
    /// Explains it.
    ///
    /// # Errors
    /// There is no such code.
    pub(super) fn run(&self, context: &Context) -> Result<(), CommandError> {
        let Some(wanted) = &self.code else {
            return list(context);
        };
        let page = explain::page(wanted).ok_or_else(|| {
            CommandError::invalid(format!("there is no code `{wanted}`"))
                .hint("`understudy explain` lists all codes")
        })?;
        match context.output.format() {
            Format::Text => context.output.data(page),
            Format::Json => context.output.json(&json!({
                "code": wanted.to_ascii_uppercase(), "title": title(page), "page": page,
            })),
        }
    }
}

/// What stands after the code in the first line.
fn title(page: &str) -> &str {
    let first = page.lines().next().unwrap_or(page);
    first.split_once(": ").map_or(first, |(_, title)| title)
}

fn list(context: &Context) -> Result<(), CommandError> {
    let pages = explain::codes().filter_map(|code| Some((code, title(explain::page(code)?))));
    match context.output.format() {
        Format::Json => {
            let pages = pages.map(|(code, title)| json!({"code": code, "title": title}));
            context.output.json(&pages.collect::<Vec<_>>())
        }
        Format::Text => {
            let mut table = Table::new(&["CODE", "WHAT"]);
            pages.for_each(|(code, title)| table.row([(code, None), (title, None)]));
            context.output.data(&table.render(&context.output))
        }
    }
}
