//! Following what happens, line by line: `events tail` and `deliveries tail`. With a
//! cursor file it goes on, when started again, behind the last line it has printed.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::ending::Ending;
use super::follow::{Follow, News};
use super::output::{Output, print};
use super::server::Server;
use super::{Exit, Failure, route, tell};

#[derive(clap::Args)]
pub(super) struct Following {
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    from: From,
}

/// Of what happens, what is followed.
#[derive(clap::Args)]
pub(super) struct Filters {
    /// About this number
    #[arg(long, value_name = "NUMBER")]
    phone_number: Option<String>,
    /// Of this type, `phone_number_quality_update`
    #[arg(long, value_name = "TYPE")]
    event_type: Option<String>,
}

/// Where it begins.
#[derive(clap::Args)]
pub(super) struct From {
    /// Keep in this file how far it came, and go on from there: what happens while this does not
    /// run is then printed first, as far as the server's journal reaches
    #[arg(long, value_name = "FILE")]
    cursor_file: Option<PathBuf>,
}

impl From {
    /// What the file says, if there is one.
    pub(super) fn cursor(&self) -> Result<Option<String>, Failure> {
        let Some(file) = &self.cursor_file else { return Ok(None) };
        match std::fs::read_to_string(file) {
            Ok(text) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", file, &error)),
        }
    }

    /// Notes that all up to `cursor` is done.
    pub(super) fn keep(&self, cursor: &str) -> Result<(), Failure> {
        let Some(file) = &self.cursor_file else { return Ok(()) };
        let mut partial = file.clone().into_os_string();
        partial.push(".partial");
        let written = std::fs::write(&partial, format!("{cursor}\n"));
        written.and_then(|()| std::fs::rename(&partial, file)).map_err(|error| failed("write", file, &error))
    }
}

fn failed(what: &str, file: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("cannot {what} the cursor file {}: {error}", file.display()))
}

/// The account's stream, narrowed.
pub(super) async fn stream(server: &Server, filters: &Filters) -> Result<String, Failure> {
    let path = server.of_account(&["stream"]).await?;
    let filters =
        [("phoneNumber", filters.phone_number.as_deref()), ("eventType", filters.event_type.as_deref())];
    Ok(route::query(&path, &filters))
}

/// Prints what happens of this kind, `event` or `delivery` (to this webhook), until it
/// is ended.
pub(super) async fn run(
    server: &Server,
    tail: &Following,
    kind: &str,
    webhook: Option<&str>,
    line: impl Fn(&Value, Output) -> String,
) -> Result<(), Failure> {
    let path = route::query(&stream(server, &tail.filters).await?, &[("webhookId", webhook)]);
    let mut follow = Follow::new(&server.client, path, tail.from.cursor()?);
    let mut ending = Ending::new()?;
    loop {
        let step = tokio::select! {
            biased;
            () = ending.told() => return Ok(()),
            step = follow.next() => step?,
        };
        match &step.news {
            Some(News { kind: found, data }) if found == kind => {
                let printed =
                    if server.out.json { data.get().to_owned() } else { line(&read(data.get()), server.out) };
                print(printed)?;
            }
            Some(News { kind, data }) if kind == "gap" => tell_gap(data.get()),
            Some(_) | None => {}
        }
        // Not before: should this end now, the line comes again rather than never.
        tail.from.keep(&step.cursor)?;
    }
}

fn read(data: &str) -> Value {
    serde_json::from_str(data).unwrap_or_default()
}

/// Something may be missing: the server says what, and what to do.
pub(super) fn tell_gap(data: &str) {
    let gap = read(data);
    let text = |name: &str| super::output::cell(gap.get(name));
    tell(format_args!("gap: {}\nhint: {}", text("detail"), text("hint")));
}
