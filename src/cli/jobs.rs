//! `entrepot jobs`: what is to be done, and what could not be done, from the database, whether anybody serves or not.

use clap::{Args, Subcommand, ValueEnum};

use super::existing;
use super::failure::Failure;
use super::output::{self, Format, Output};
use crate::app::JobQueue;
use crate::config::Source;
use crate::meta::{JobFilter, JobRow, JobState};

#[derive(Debug, Subcommand)]
pub enum Jobs {
    /// Jobs that wait, run or are dead, the oldest first
    Ls(List),
    /// Everything about one job
    Show {
        /// Its number
        id: i64,
        #[command(flatten)]
        output: Output,
    },
    /// Let a job that waits or is dead begin anew, now
    Retry {
        /// Its number
        #[arg(required_unless_present = "dead")]
        id: Option<i64>,
        /// All dead jobs of this queue
        #[arg(long, value_name = "QUEUE", conflicts_with = "id")]
        dead: Option<String>,
    },
    /// Forget a job that waits or is dead: nobody does it
    Drop {
        /// Its number
        id: i64,
    },
}

#[derive(Debug, Args)]
pub struct List {
    /// Only of this queue
    #[arg(long, value_name = "QUEUE")]
    pub queue: Option<String>,
    /// Only in this state
    #[arg(long, value_enum)]
    pub state: Option<State>,
    /// Go on after the job of this number
    #[arg(long, value_name = "ID")]
    pub after: Option<i64>,
    /// The most that are shown
    #[arg(long, value_name = "NUMBER", default_value = "100", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum State {
    Waiting,
    Running,
    Dead,
}

impl From<State> for JobState {
    fn from(state: State) -> Self {
        match state {
            State::Waiting => Self::Waiting,
            State::Running => Self::Running,
            State::Dead => Self::Dead,
        }
    }
}

pub(super) async fn run(source: &Source, command: Jobs) -> Result<String, Failure> {
    let queue = JobQueue::open(&existing::open(source)?).await.map_err(runtime)?;
    let done = dispatch(&queue, command).await;
    queue.close().await;
    done
}

async fn dispatch(queue: &JobQueue, command: Jobs) -> Result<String, Failure> {
    match command {
        Jobs::Ls(list) => {
            let filter = JobFilter { queue: list.queue, state: list.state.map(JobState::from) };
            let jobs = queue.list(&filter, list.after, list.limit).await.map_err(runtime)?;
            match list.output.format {
                Format::Json => output::json(&jobs),
                Format::Text => Ok(table(&jobs, list.limit)),
            }
        }
        Jobs::Show { id, output } => {
            let job = queue.find(id).await.map_err(runtime)?.ok_or_else(|| missing(id))?;
            match output.format {
                Format::Json => output::json(&job),
                Format::Text => Ok(all_of(&job)),
            }
        }
        Jobs::Retry { id: Some(id), .. } => match queue.retry(id).await.map_err(runtime)? {
            true => Ok(format!("job {id} begins anew")),
            false => Err(not_done(queue, id).await),
        },
        Jobs::Retry { id: None, dead } => {
            let of = dead.unwrap_or_default();
            let retried = queue.retry_dead(&of).await.map_err(runtime)?;
            Ok(format!("{retried} dead jobs of {of} begin anew"))
        }
        Jobs::Drop { id } => match queue.drop_job(id).await.map_err(runtime)? {
            true => Ok(format!("job {id} is dropped")),
            false => Err(not_done(queue, id).await),
        },
    }
}

fn runtime(error: impl std::fmt::Display) -> Failure {
    Failure::Runtime(error.to_string())
}

fn missing(id: i64) -> Failure {
    Failure::Runtime(format!("there is no job {id}: it was done, or dropped; `entrepot jobs ls` shows all"))
}

async fn not_done(queue: &JobQueue, id: i64) -> Failure {
    match queue.find(id).await {
        Ok(Some(_)) => Failure::Runtime(format!("job {id} runs: wait until it has ended")),
        Ok(None) => missing(id),
        Err(error) => runtime(error),
    }
}

fn table(jobs: &[JobRow], limit: u32) -> String {
    if jobs.is_empty() {
        return "no jobs\n".to_owned();
    }
    let mut text = format!("{:>8}  {:<12} {:<8} {:>5}  {:<10} KEY\n", "ID", "QUEUE", "STATE", "TRIES", "WHEN");
    for job in jobs {
        text += &format!(
            "{:>8}  {:<12} {:<8} {:>5}  {:<10} {}\n",
            job.id,
            job.queue,
            job.state.name(),
            job.attempts,
            when(job),
            if job.key.is_empty() { "-" } else { &job.key }
        );
        if let Some(error) = &job.error {
            text += &format!("          {}\n", error.lines().next().unwrap_or_default());
        }
    }
    if jobs.len() >= usize::try_from(limit).unwrap_or(usize::MAX)
        && let Some(last) = jobs.last()
    {
        text += &format!("there may be more: --after {}\n", last.id);
    }
    text
}

/// Of one that waits, in how long it may run; of others since when, or until when.
fn when(job: &JobRow) -> String {
    let seconds = (job.at_ms - job.now_ms) / 1_000;
    match job.state {
        JobState::Waiting if seconds > 0 => format!("in {}", span(seconds)),
        JobState::Waiting => format!("due {}", span(-seconds)),
        JobState::Running if seconds >= 0 => "now".to_owned(),
        JobState::Running => format!("lost {}", span(-seconds)),
        JobState::Dead => format!("{} ago", span(-seconds)),
    }
}

fn span(seconds: i64) -> String {
    match seconds {
        0..=119 => format!("{seconds}s"),
        120..=7_199 => format!("{}m", seconds / 60),
        7_200..=172_799 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

fn all_of(job: &JobRow) -> String {
    let mut lines = vec![
        ("id", job.id.to_string()),
        ("queue", job.queue.clone()),
        ("key", job.key.clone()),
        ("account", job.account.clone()),
        ("destination", job.destination.clone()),
        ("state", job.state.name().to_owned()),
        ("when", when(job)),
        ("tries", job.attempts.to_string()),
        ("replica", job.replica.clone()),
        ("enqueued", format!("{} ago", span((job.now_ms - job.created_at_ms) / 1_000))),
        ("payload", job.payload.clone()),
        ("position", job.position.clone().unwrap_or_default()),
        ("error", job.error.clone().unwrap_or_default()),
    ];
    if job.done + job.bytes > 0 {
        lines.push(("progress", format!("{} of {}, {} bytes", job.done, job.total, job.bytes)));
    }
    if job.again {
        lines.push(("again", "it was enqueued while it ran, and runs once more".to_owned()));
    }
    let line = |(name, value): (&str, String)| format!("{name:<12} {value}\n");
    lines.into_iter().filter(|(_, value)| !value.is_empty()).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(state: JobState, at_ms: i64) -> JobRow {
        JobRow {
            id: 7,
            queue: "gc".to_owned(),
            key: String::new(),
            account: String::new(),
            destination: String::new(),
            payload: "{}".to_owned(),
            state,
            at_ms,
            attempts: 3,
            again: false,
            replica: String::new(),
            position: None,
            done: 0,
            total: 0,
            bytes: 0,
            error: Some("the bucket is away\nand more".to_owned()),
            created_at_ms: 0,
            now_ms: 1_000_000,
        }
    }

    #[test]
    fn what_is_shown() {
        for (state, at_ms, said) in [
            (JobState::Waiting, 1_030_000, "in 30s"),
            (JobState::Waiting, 400_000, "due 10m"),
            (JobState::Running, 1_030_000, "now"),
            (JobState::Running, 970_000, "lost 30s"),
            (JobState::Dead, 1_000_000 - 8 * 3_600_000, "8h ago"),
        ] {
            assert_eq!(when(&job(state, at_ms)), said);
        }
        let shown = table(&[job(JobState::Dead, 0)], 1);
        assert!(shown.contains("gc           dead         3  16m ago    -\n"), "{shown}");
        assert!(shown.contains("the bucket is away\nthere may be more: --after 7\n"), "{shown}");
        assert_eq!(table(&[], 1), "no jobs\n");
        let all = all_of(&job(JobState::Dead, 0));
        assert!(all.contains("tries        3\n") && !all.contains("replica"), "{all}");
    }
}
