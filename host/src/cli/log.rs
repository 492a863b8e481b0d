//! Logs: events of the library, on stderr, as text or as JSON lines. Never part of a command's data.

use tracing_subscriber::EnvFilter;

use super::error::CommandError;

/// The word that asks for JSON lines.
const JSON: &str = "json";

/// Starts logging as `--log` wants it.
///
/// # Errors
/// An invalid level or directive.
pub(crate) fn start(wanted: &str) -> Result<(), CommandError> {
    let (json, directives) = parse(wanted);
    let filter = EnvFilter::try_new(&directives).map_err(|error| {
        CommandError::invalid(format!("`--log {wanted}`: {error}"))
            .hint("give error, warn, info, debug or trace, and `,json` for JSON lines")
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let started = if json {
        builder.json().try_init()
    } else {
        builder.compact().with_ansi(false).try_init()
    };
    started.map_err(CommandError::invalid)
}

/// Whether JSON is wanted, and the directives that are left.
fn parse(wanted: &str) -> (bool, String) {
    let parts = || {
        wanted
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
    };
    let directives: Vec<&str> = parts().filter(|part| *part != JSON).collect();
    let directives = if directives.is_empty() {
        "info".to_owned()
    } else {
        directives.join(",")
    };
    (parts().any(|part| part == JSON), directives)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_stands_beside_levels_and_directives() {
        assert_eq!(parse("warn"), (false, "warn".to_owned()));
        assert_eq!(parse("json"), (true, "info".to_owned()));
        assert_eq!(
            parse("understudy=debug, json"),
            (true, "understudy=debug".to_owned())
        );
    }
}
